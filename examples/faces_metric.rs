//! Trains a net whose embeddings tell whether two pictures show the same: ArcFace, with handwritten digits for faces, against a softmax.
//!
//! `cargo run --release --example faces_metric`; `--help` lists the options. Of all pairs of held-out pictures it accepts those that are
//! most alike, so few that one in a thousand pairs of two digits is among them. Fails below 95 % of the pairs of one digit, or if a
//! softmax in place of ArcFace gives as many.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    nn::ArcFace,
    prelude::*,
    train::{self, one_cycle, verification_rate},
};

use self::common::Common;

/// Pictures of a step.
const BATCH: usize = 64;
/// Passes over the training pictures.
const EPOCHS: u32 = 20;
const LR: f64 = 4e-3;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Numbers of an embedding.
const WIDTH: usize = 32;
/// s and m of ArcFace: for few classes a small scale and, as they are easily told apart, a wide margin.
const SCALE: f64 = 16.0;
const MARGIN: f64 = 1.0;
/// Share of pairs of two digits that may be accepted, and of pairs of one that have to be.
const FALSE_ACCEPTS: f64 = 1e-3;
const RATE: f64 = 0.95;

/// Trains on the built-in digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the training pictures.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
}

#[derive(Module)]
struct Net {
    conv1: Conv2d,
    norm1: BatchNorm2d,
    conv2: Conv2d,
    norm2: BatchNorm2d,
    embed: Linear,
    norm3: BatchNorm1d,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            conv1: Conv2d::new(1, 32, 3).padding(1).bias(false).init(device, rng)?,
            norm1: BatchNorm2d::new(32).init(device, rng)?,
            conv2: Conv2d::new(32, 64, 3).padding(1).bias(false).init(device, rng)?,
            norm2: BatchNorm2d::new(64).init(device, rng)?,
            embed: Linear::new(64 * 2 * 2, WIDTH).init(device, rng)?,
            norm3: BatchNorm1d::new(WIDTH).init(device, rng)?,
        })
    }

    /// `[B, 1, 8, 8] → [B, WIDTH]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm1.forward(&self.conv1.forward(x)).relu().max_pool2d(2);
        let x = self.norm2.forward(&self.conv2.forward(&x)).relu().max_pool2d(2);
        self.norm3.forward(&self.embed.forward(&x.flatten(1..)))
    }
}

/// What makes logits of embeddings whose identities are known.
trait Head: Module {
    fn logits(&self, x: &Tensor, identities: &Tensor) -> Tensor;
}

impl Head for ArcFace {
    fn logits(&self, x: &Tensor, identities: &Tensor) -> Tensor {
        self.forward(x, identities)
    }
}

impl Head for Linear {
    fn logits(&self, x: &Tensor, _: &Tensor) -> Tensor {
        self.forward(x)
    }
}

/// Only the net is used once they are trained.
#[derive(Module)]
struct Model<H> {
    net: Net,
    head: H,
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let rng = &mut Rng::seed(options.common.seed);
    let head = ArcFace::new(WIDTH, 10).scale(SCALE).margin(MARGIN).init(&device, rng)?;
    let arc = fit("arcface", Model { net: Net::new(&device, rng)?, head }, &device, options)?;
    let rng = &mut Rng::seed(options.common.seed);
    let head = Linear::new(WIDTH, 10).init(&device, rng)?;
    let softmax = fit("softmax", Model { net: Net::new(&device, rng)?, head }, &device, options)?;
    println!(
        "verification rate at {FALSE_ACCEPTS} false accepts: {:.2} %, with a softmax {:.2} %",
        100.0 * arc,
        100.0 * softmax
    );
    let asked = options.epochs >= EPOCHS;
    ensure!(!asked || arc >= RATE, "that is below {:.0} %", 100.0 * RATE);
    ensure!(!asked || arc > softmax, "that is no better than with a softmax");
    Ok(())
}

/// Trains a model; gives its verification rate on the held-out pictures.
fn fit<H: Head>(name: &str, model: Model<H>, device: &Device, options: &Options) -> Result<f64> {
    let digits = Digits::embedded()?;
    let opt = AdamW { lr: LR, weight_decay: 1e-2, ..AdamW::default() }.init(&model)?;
    let batches = digits.train.batches(BATCH, Seed(options.common.seed))?;
    let steps = batches.len() * options.epochs as usize;
    for epoch in 0..options.epochs {
        let mut sum = Tensor::zeros(device, []);
        for (step, batch) in batches.epoch(epoch).enumerate() {
            let (pictures, identities) = (batch.images.to(device), batch.labels.to(device));
            opt.set_lr(LR * one_cycle(epoch as usize * batches.len() + step, steps, WARM_UP))?;
            let logits = model.head.logits(&model.net.forward(&pictures), &identities);
            let loss = logits.cross_entropy(&identities);
            opt.step(&loss)?;
            sum += loss.detach();
            if epoch == 0 && step == 0 {
                println!("{}", train::plan(device));
            }
        }
        if (epoch + 1) % 5 == 0 {
            println!("{name}, epoch {}: loss {:.4}", epoch + 1, sum.item()? / batches.len() as f64);
        }
    }
    model.eval();
    let all = digits.test.in_order(digits.test.len())?.next_batch();
    let unit = model.net.forward(&all.images.to(device)).normalize(2.0, 1, 1e-12);
    let cosines = keep_f32(|| unit.matmul(&unit.t())).to_vec::<f64>()?;
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (i, one) in all.labels.values.iter().enumerate() {
        for (j, other) in all.labels.values.iter().enumerate().skip(i + 1) {
            let pairs = if one == other { &mut same } else { &mut different };
            pairs.push(cosines[i * all.len + j]);
        }
    }
    let rate = verification_rate(&same, &different, FALSE_ACCEPTS);
    println!("{name}: accepts {:.2} % of {} pairs of one digit", 100.0 * rate, same.len());
    Ok(rate)
}
