//! Trains a variational autoencoder on the built-in digits, and draws new ones.
//!
//! `cargo run --release --example vae`; `--help` lists the options. It maximises a lower bound of the likelihood of the images,
//!
//! ```text
//! ln p(x) ≥ E_q(z|x) ln p(x|z) - KL(q(z|x) ‖ p(z)),   q(z|x) = N(μ(x), σ²(x)),   p(z) = N(0, 1)
//! ```
//!
//! and fails unless the bound on held-out images is well above what the mean image gives, which needs no code.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::pictures,
    nn::{
        BinaryCrossEntropyWithLogits,
        models::{Mlp, mlp},
    },
    prelude::*,
    train::{self, one_cycle},
};

use self::common::Common;

/// Pixels along each side.
const SIDE: usize = 8;
/// Numbers of a code.
const CODE: usize = 8;
const BATCH: usize = 64;
const LR: f64 = 3e-3;
const EPOCHS: u32 = 100;
/// By how many nats an image the bound must be above that of the mean image.
const BETTER: f64 = 2.0;

/// Trains a variational autoencoder.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the training images; of fewer, nothing is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
}

#[derive(Module)]
struct Vae {
    encoder: Mlp,
    decoder: Mlp,
    noise: Stream,
}

/// What an image is worth, in nats: `[B]` each.
struct Bound {
    /// `E_q ln p(x|z)`, by one draw.
    likelihood: Tensor,
    /// `KL(q ‖ p)`.
    divergence: Tensor,
}

impl Vae {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Vae> {
        Ok(Vae {
            encoder: mlp(&[SIDE * SIDE, 256, 2 * CODE]).init(device, rng)?,
            decoder: mlp(&[CODE, 256, SIDE * SIDE]).init(device, rng)?,
            noise: rng.stream(),
        })
    }

    /// The bound of images whose pixels are probabilities of white, `[B, 1, 8, 8]`.
    fn bound(&self, images: &Tensor) -> Bound {
        let x = images.flatten(1..);
        let code = self.encoder.forward(&x);
        let (mu, log_var) = (code.narrow(1, 0, CODE), code.narrow(1, CODE, CODE));
        // The draw is a function of μ and σ, through which gradients pass (Kingma & Welling 2014, arXiv:1312.6114, §2.4).
        let z = &mu + (&log_var * 0.5).exp() * self.noise.normal(x.device(), mu.shape());
        let divergence = (mu.square() + log_var.exp() - 1.0 - &log_var).sum(1) * 0.5;
        Bound { likelihood: likelihood(&self.decoder.forward(&z), &x), divergence }
    }

    /// Images of codes that are drawn from the prior: `[n, 64]`.
    fn draw(&self, device: &Device, n: usize) -> Tensor {
        self.decoder.forward(&self.noise.normal(device, [n, CODE])).sigmoid()
    }
}

/// `Σ_i x_i ln p_i + (1 - x_i) ln(1 - p_i)` of logits of p: `[B, pixels]` → `[B]`.
fn likelihood(logits: &Tensor, x: &Tensor) -> Tensor {
    -BinaryCrossEntropyWithLogits { reduction: Reduction::None, ..Default::default() }.loss(logits, x).sum(1)
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
    let net = Vae::new(&device, &mut Rng::seed(options.common.seed))?;
    let opt = Adam { lr: LR, ..Adam::default() }.init(&net)?;
    let batches = data.train.batches(BATCH, Seed(options.common.seed))?;
    let steps = batches.len() * options.epochs as usize;
    for epoch in 0..options.epochs {
        let mut last = None;
        for (i, batch) in batches.epoch(epoch).enumerate() {
            let bound = net.bound(&batch.images.to(&device));
            let loss = (&bound.divergence - &bound.likelihood).mean(..);
            opt.set_lr(LR * one_cycle(epoch as usize * batches.len() + i, steps, 0.1))?;
            opt.step(&loss)?;
            last = Some((loss, bound.divergence.mean(..)));
        }
        if epoch == 0 {
            println!("{}", train::plan(&device));
        }
        if let Some((loss, divergence)) = last.filter(|_| (epoch + 1) % 10 == 0) {
            println!("epoch {}: loss {:.2}, of it divergence {:.2}", epoch + 1, loss.item()?, divergence.item()?);
        }
    }

    net.eval();
    let whole = |data: &InMemory| data.in_order(data.len()).map(|batches| batches.next_batch().images.to(&device));
    let (train, test) = (whole(&data.train)?, whole(&data.test)?);
    let bound = net.bound(&test);
    let reached = (bound.likelihood - bound.divergence).mean(..).item()?;
    // Every pixel by its mean, and a little, so that none is impossible.
    let mean = train.flatten(1..).mean(0).clamp(1e-3, 1.0 - 1e-3);
    let logits = (mean.log() - (1.0 - &mean).log()).broadcast_to([test.shape()[0], SIDE * SIDE]);
    let by_mean = likelihood(&logits, &test.flatten(1..)).mean(..).item()?;

    println!("drawn:");
    pictures(&net.draw(&device, 6).to_vec::<f32>()?, SIDE, SIDE).iter().for_each(|line| println!("{line}"));
    println!("bound on held-out images: {reached:.2} nats; of the mean image {by_mean:.2}");
    let least = by_mean + BETTER;
    ensure!(options.epochs < EPOCHS || reached > least, "that is not above {least:.2}");
    Ok(())
}
