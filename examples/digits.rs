//! Trains a small convolutional network on the built-in handwritten digits.
//!
//! `cargo run --release --example digits -- --help` lists the options. Fails below 98 % on the held-out third.

mod common;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::pictures,
    prelude::*,
    train::{self, Checkpoint, Journal, one_cycle},
};

use self::common::Common;

const BATCH: usize = 64;
const LR: f64 = 4e-3;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// What the command promises.
const ACCURACY: f64 = 0.98;

/// Trains on the built-in digits, or predicts with a saved model.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the training images.
    #[arg(long, default_value_t = 12)]
    epochs: u32,
    /// Keep the run in this file, and go on from it where it is there.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Steps from one checkpoint to the next; there is one after every epoch as well.
    #[arg(long, default_value_t = 100)]
    every: usize,
    /// Train on so many images only, and test on so many; then no accuracy is asked for.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Predict with this model instead of training.
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Where the model and the loss curve are written.
    #[arg(long, default_value = "out/digits")]
    out: PathBuf,
}

#[derive(Module)]
struct Net {
    conv1: Conv2d,
    norm1: BatchNorm2d,
    conv2: Conv2d,
    norm2: BatchNorm2d,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            conv1: Conv2d::new(1, 32, 3).padding(1).bias(false).init(device, rng)?,
            norm1: BatchNorm2d::new(32).init(device, rng)?,
            conv2: Conv2d::new(32, 64, 3).padding(1).bias(false).init(device, rng)?,
            norm2: BatchNorm2d::new(64).init(device, rng)?,
            dropout: Dropout::new(0.25).init(device, rng)?,
            head: Linear::new(64 * 2 * 2, 10).init(device, rng)?,
        })
    }

    /// `[B, 1, 8, 8] → [B, 10]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm1.forward(&self.conv1.forward(x)).relu().max_pool2d(2);
        let x = self.norm2.forward(&self.conv2.forward(&x)).relu().max_pool2d(2);
        self.head.forward(&self.dropout.forward(&x.flatten(1..)))
    }
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let data = Digits::embedded()?;
    let (train, test) = (data.train.first(options.limit), data.test.first(options.limit));
    let net = Net::new(&device, &mut Rng::seed(options.common.seed))?;
    match &options.load {
        Some(file) => train::load(file, &net)?,
        None => fit(&net, &train, &test, &device, options)?,
    }
    net.eval();
    let score = evaluate(&test, 200, &device, |x| net.forward(x))?;
    show(&net, &test, &device)?;
    println!("test accuracy: {:.2} %", 100.0 * score.accuracy);
    let asked = options.load.is_none() && options.limit == usize::MAX;
    ensure!(!asked || score.accuracy >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    Ok(())
}

fn fit(net: &Net, train: &InMemory, test: &InMemory, device: &Device, options: &Options) -> Result<()> {
    let opt = AdamW { lr: LR, weight_decay: 1e-2, ..AdamW::default() }.init(net)?;
    let batches = train.batches(BATCH, Seed(options.common.seed))?;
    let journal = Journal::new(device, 5);
    let run =
        Checkpoint::new().part("model", net).part("optimizer", &opt).part("data", &batches).part("journal", &journal);
    let file = options.checkpoint.as_deref();
    if let Some(file) = file
        && run.resume(file)?
    {
        println!("going on after step {}", journal.steps());
    }
    let keep = || file.map_or(Ok(()), |file| run.save(file));
    let steps = batches.len() * options.epochs as usize;
    while batches.position().epoch < options.epochs {
        let at = batches.position();
        journal.epoch(format!("epoch {}/{}", at.epoch + 1, options.epochs), (at.batches - at.batch) * BATCH);
        net.train();
        for batch in &batches {
            let (images, labels) = (batch.images.to(device), batch.labels.to(device));
            opt.set_lr(LR * one_cycle(journal.steps(), steps, WARM_UP))?;
            let logits = net.forward(&images);
            let loss = logits.cross_entropy(&labels);
            opt.step(&loss)?;
            journal.step(batch.len, &loss, || accuracy(&logits, &labels))?;
            if journal.steps() == 1 {
                println!("{}", train::plan(device));
            }
            // The last step of an epoch is kept with its test, below.
            if journal.steps().is_multiple_of(options.every) && batches.position().batch > 0 {
                keep()?;
            }
        }
        net.eval();
        journal.end_epoch(&evaluate(test, 200, device, |x| net.forward(x))?)?;
        keep()?;
    }
    let report = opt.report()?;
    if report.skipped > 0 {
        println!("{} of {} steps were skipped: their gradients were not finite", report.skipped, report.steps);
    }
    train::save(options.out.join("model.safetensors"), net)?;
    journal.curve().save(options.out.join("loss.svg"), "digits")?;
    println!("wrote {0}/model.safetensors and {0}/loss.svg", options.out.display());
    Ok(())
}

/// A few test images as text, with what they are and what the model says.
fn show(net: &Net, test: &InMemory, device: &Device) -> Result<()> {
    let Some(batch) = test.in_order(6)?.into_iter().next() else { return Ok(()) };
    let predictions = net.forward(&batch.images.to(device)).argmax(-1).to_vec::<i32>()?;
    pictures(&batch.images.values, 8, 8).iter().for_each(|line| println!("{line}"));
    let words = predictions.iter().zip(&batch.labels.values).map(|(says, label)| format!("{label}, says {says}"));
    println!("{}", words.map(|text| format!("{text:16}")).collect::<Vec<_>>().join("  ").trim_end());
    Ok(())
}
