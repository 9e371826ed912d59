//! Trains a ResNet of 20 layers on CIFAR-10, or on a part of it, with flips and crops.
//!
//! `cargo run --release --example cifar_resnet -- --data DIR`; `--help` lists the options. Fails below 40 % on the test images, which is
//! meant for three passes over a few thousand images. (He et al. 2016, arXiv:1512.03385, report 91.25 % for all 50,000 of them and 64,000
//! steps.)

mod common;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::{random_crop, random_flip},
    nn::models::cifar_resnet20,
    prelude::*,
    train::{self, Journal, one_cycle},
};

use self::common::Common;

const BATCH: usize = 32;
/// Images in a batch of evaluation.
const TEST_BATCH: usize = 200;
/// The highest learning rate.
const LR: f64 = 0.05;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.2;
/// Pixels by which an image moves at most.
const SHIFT: usize = 4;
/// Passes over the training images.
const EPOCHS: u32 = 3;
/// What the command promises.
const ACCURACY: f64 = 0.4;

/// Trains on CIFAR-10.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// The folder with CIFAR-10's binary files, gzipped or not.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Passes over the training images; of fewer, no accuracy is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
    /// Stop after so many steps of these epochs, without a test where that is within one.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    steps: usize,
    /// Write the loss of every step there, as a table.
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let data = Cifar10::load(&options.data)?;
    println!("{} images to train on, {} to test with", data.train.len(), data.test.len());
    let seed = Seed(options.common.seed);
    let net = cifar_resnet20().init(&device, &mut Rng::seed(options.common.seed))?;
    let opt = Sgd { lr: LR, momentum: 0.9, nesterov: true, weight_decay: 5e-4, ..Sgd::default() }.init(&net)?;
    let changed =
        data.train.augment(seed, |(image, label), rng| (random_crop(random_flip(image, rng), SHIFT, rng), label));
    let batches = changed.loader(BATCH, Shuffled(seed), Stack)?.drop_tail()?;

    let journal = Journal::new(&device, 1);
    let all = batches.len() * options.epochs as usize;
    let steps = all.min(options.steps);
    let mut reached = 0.0;
    while journal.steps() < steps {
        let epoch = journal.steps() / batches.len();
        let of_epoch = batches.len().min(steps - journal.steps());
        journal.epoch(format!("epoch {}/{}", epoch + 1, options.epochs), of_epoch * BATCH);
        net.train();
        for batch in batches.epoch(epoch as u32).take(of_epoch) {
            let (images, labels) = batch?;
            let labels = labels.to(&device);
            opt.set_lr(LR * one_cycle(journal.steps(), all, WARM_UP))?;
            let logits = net.forward(&images.to(&device));
            let loss = logits.cross_entropy(&labels);
            opt.step(&loss)?;
            journal.step(BATCH, &loss, || accuracy(&logits, &labels))?;
            if journal.steps() == 1 {
                println!("{}", train::plan(&device));
            }
        }
        if of_epoch < batches.len() {
            journal.wait()?;
            println!("stopped after {steps} steps");
            break;
        }
        net.eval();
        let score = evaluate(&data.test, TEST_BATCH, &device, |x| net.forward(x))?;
        journal.end_epoch(&score)?;
        reached = score.accuracy;
    }
    if let Some(file) = &options.curve {
        train::write_atomically(file, journal.curve().csv().as_bytes())?;
    }
    if steps == all {
        println!("test accuracy: {:.2} %", 100.0 * reached);
        ensure!(options.epochs < EPOCHS || reached >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    }
    Ok(())
}
