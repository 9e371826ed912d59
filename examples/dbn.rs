//! Trains a deep belief net on handwritten digits of which few are labelled: two restricted Boltzmann machines on one another learn what
//! digits look like (contrastive divergence, Hinton 2002, "Training products of experts by minimizing contrastive divergence"; stacked:
//! Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks"), then a net that starts with their weights
//! learns the labels.
//!
//! `cargo run --release --example dbn`; `--help` lists the options. The updates of the machines are written out, no gradient is taken.
//! Fails unless that net is 3 points better on the held-out third than the same one from scratch, over ten choices of 50 labelled images.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{graph::Result as Made, prelude::*};

use self::common::Common;

/// Pixels and hidden units, layer by layer.
const UNITS: [usize; 3] = [64, 256, 128];
/// Images of a step of the machines.
const BATCH: usize = 100;
/// Passes of each machine over the images.
const EPOCHS: u32 = 60;
/// Steps of Gibbs sampling: the k of CD-k.
const GIBBS: usize = 1;
/// The learning rate of the machines, and of the net.
const CD_LR: f64 = 0.1;
const LR: f64 = 2e-3;
/// Labelled images, steps on all of them, and how often they are chosen anew.
const LABELS: usize = 50;
const STEPS: usize = 200;
const TRIALS: u64 = 10;
/// By how much the net has to be better than from scratch.
const GAIN: f64 = 0.03;

/// Trains on the built-in digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes of each machine over the images.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
    /// Steps of Gibbs sampling before a machine's fantasy is compared with the data.
    #[arg(long, default_value_t = GIBBS)]
    gibbs: usize,
}

/// A restricted Boltzmann machine: `p(h = 1 | v) = σ(W v + c)`, `p(v = 1 | h) = σ(Wᵀ h + b)`.
#[derive(Module)]
struct Rbm {
    /// W `[hidden, visible]` and c.
    up: Linear,
    /// b.
    visible: Param,
}

impl Rbm {
    fn new(visible: usize, hidden: usize, device: &Device, rng: &mut Rng) -> Made<Rbm> {
        let up = Linear::new(visible, hidden).weights(Init::Normal(0.01)).biases(Init::Constant(0.0));
        Ok(Rbm { up: up.init(device, rng)?, visible: Init::Constant(0.0).param(device, [visible], rng)? })
    }

    /// `[B, visible] → [B, hidden]`
    fn hidden(&self, v: &Tensor) -> Tensor {
        self.up.forward(v).sigmoid().detach()
    }

    /// `[B, hidden] → [B, visible]`
    fn visible(&self, h: &Tensor) -> Tensor {
        (h.matmul(&self.up.weight.tensor()) + self.visible.tensor()).sigmoid().detach()
    }

    /// CD-k: `W += η (⟨h v⟩ of the data - ⟨h v⟩ after k steps of Gibbs sampling)`, and so both biases. Gives the mean squared error of a
    /// reconstruction.
    fn learn(&self, data: &Tensor, k: usize, draws: &Stream) -> Made<Tensor> {
        let first = self.hidden(data);
        let (mut v, mut h) = (data.clone(), first.clone());
        for _ in 0..k {
            // Hidden units are drawn, so that no more than a bit of each passes; pixels need not be.
            v = self.visible(&draws.bernoulli_of(&h).cast(DType::F32));
            h = self.hidden(&v);
        }
        let rate = CD_LR / data.shape()[0] as f64;
        let moved = |param: &Param, by: Tensor| (param.clone(), param.tensor().detach() + by * rate);
        let mut updates = vec![
            moved(&self.up.weight, first.t().matmul(data) - h.t().matmul(&v)),
            moved(&self.visible, (data - &v).sum(0)),
        ];
        updates.extend(self.up.bias.as_ref().map(|bias| moved(bias, (first - h).sum(0))));
        let error = (data - v).square().mean(..);
        // All of it in one run: a parameter that is set makes what reads the old one stale.
        let values: Vec<Tensor> = updates.iter().map(|(_, value)| value.clone()).chain([error.clone()]).collect();
        Tensor::eval_all(&values)?;
        updates.iter().try_for_each(|(param, value)| param.set(value))?;
        Ok(error)
    }
}

/// The machines' ways up, one after the other, and a head for the classes.
#[derive(Module)]
struct Net {
    layers: Vec<Linear>,
    head: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> Made<Net> {
        let layers = UNITS.windows(2).map(|w| Linear::new(w[0], w[1]).weights(Init::XAVIER).init(device, rng));
        Ok(Net { layers: layers.collect::<Made<_>>()?, head: Linear::new(UNITS[2], 10).init(device, rng)? })
    }

    /// `[B, 64] → [B, 10]`
    fn forward(&self, pixels: &Tensor) -> Tensor {
        let hidden = self.layers.iter().fold(pixels.clone(), |x, layer| layer.forward(&x).sigmoid());
        self.head.forward(&hidden)
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
    let (seed, digits) = (options.common.seed, Digits::embedded()?);
    let rng = &mut Rng::seed(seed);
    let draws = rng.stream();
    let machines = [Rbm::new(UNITS[0], UNITS[1], &device, rng)?, Rbm::new(UNITS[1], UNITS[2], &device, rng)?];
    for (number, machine) in machines.iter().enumerate() {
        for epoch in 0..options.epochs {
            let batches = digits.train.batches(BATCH, Seed(seed))?;
            let mut sum = Tensor::zeros(&device, []);
            for batch in batches.epoch(epoch) {
                let pixels = binary(&batch.images.to(&device));
                // What the machines below make of them.
                let seen = machines[..number].iter().fold(pixels, |x, below| below.hidden(&x));
                sum += machine.learn(&seen, options.gibbs, &draws)?;
            }
            if (epoch + 1) % 20 == 0 {
                let error = sum.item()? / batches.len() as f64;
                println!("machine {}, epoch {}: squared error of a pixel {error:.4}", number + 1, epoch + 1);
            }
        }
    }

    let mut accuracies = [0.0; 2];
    for trial in 0..TRIALS {
        let labelled = digits.train.batches(LABELS, Seed(seed + 1000 + trial))?.next_batch();
        let (pixels, labels) = (binary(&labelled.images.to(&device)), labelled.labels.to(&device));
        for (pretrained, sum) in [false, true].into_iter().zip(&mut accuracies) {
            let net = Net::new(&device, &mut Rng::seed(seed + trial))?;
            if pretrained {
                for (layer, machine) in net.layers.iter().zip(&machines) {
                    layer.weight.set(&machine.up.weight.tensor())?;
                    let biases = layer.bias.as_ref().zip(machine.up.bias.as_ref());
                    biases.map_or(Ok(()), |(bias, of)| bias.set(&of.tensor()))?;
                }
            }
            let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
            for _ in 0..STEPS {
                opt.step(&net.forward(&pixels).cross_entropy(&labels))?;
            }
            net.eval();
            *sum += evaluate(&digits.test, 200, &device, |x| net.forward(&binary(x)))?.accuracy / TRIALS as f64;
        }
    }
    let [scratch, pretrained] = accuracies;
    println!("test accuracy with {LABELS} labels: {:.2} %, from scratch {:.2} %", 100.0 * pretrained, 100.0 * scratch);
    let asked = options.epochs >= EPOCHS;
    ensure!(!asked || pretrained >= scratch + GAIN, "that is less than {:.0} points better", 100.0 * GAIN);
    Ok(())
}

/// `[B, 1, 8, 8] → [B, 64]`: ink or none.
fn binary(images: &Tensor) -> Tensor {
    images.flatten(1..).gt(0.5).cast(DType::F32)
}
