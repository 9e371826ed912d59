//! Trains an autoencoder on the built-in digits: 64 pixels through a code of 8 numbers and back.
//!
//! `cargo run --release --example autoencoder -- --kind conv`; `--help` lists the options. The kinds are `dense`, `conv`, and `denoising`,
//! which sees noisy digits and gives clean ones. The error on the held-out third is set beside that of the mean image and that of as many
//! principal components, the best that a linear code can do; it fails unless it is well below the latter.

mod common;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use thalweg::{
    data::pictures,
    graph::NewtonSchulz,
    nn::{Flatten, Unflatten},
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
const EPOCHS: u32 = 60;
/// Deviation of the noise that is to be removed.
const NOISE: f64 = 0.25;
/// What its error must be below, in errors of the principal components.
const BETTER: f64 = 0.75;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    Dense,
    Conv,
    Denoising,
}

/// Trains an autoencoder on the built-in digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// Of which layers, and for what.
    #[arg(long, value_enum, default_value_t = Kind::Dense)]
    kind: Kind,
    #[command(flatten)]
    common: Common,
    /// Passes over the training images; of fewer, nothing is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
}

#[derive(Module)]
struct Autoencoder {
    encoder: Sequential,
    decoder: Sequential,
}

impl Autoencoder {
    /// Of linear layers.
    fn dense(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Autoencoder> {
        let encoder = Sequential::new()
            .then(Flatten::new())
            .then(Linear::new(SIDE * SIDE, 256).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Linear::new(256, CODE).init(device, rng)?);
        let decoder = Sequential::new()
            .then(Linear::new(CODE, 256).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Linear::new(256, SIDE * SIDE).init(device, rng)?)
            .then(Unflatten::new(1, [1, SIDE, SIDE]));
        Ok(Autoencoder { encoder, decoder })
    }

    /// Of convolutions that halve the image twice, transposed ones that double it again, and one that smooths the seams.
    fn conv(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Autoencoder> {
        let encoder = Sequential::new()
            .then(Conv2d::new(1, 32, 3).padding(1).stride(2).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Conv2d::new(32, 64, 3).padding(1).stride(2).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Flatten::new())
            .then(Linear::new(64 * 2 * 2, CODE).init(device, rng)?);
        let decoder = Sequential::new()
            .then(Linear::new(CODE, 64 * 2 * 2).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Unflatten::new(1, [64, 2, 2]))
            .then(ConvTranspose2d::new(64, 32, 2).stride(2).init(device, rng)?)
            .then(Activation::Gelu)
            .then(ConvTranspose2d::new(32, 16, 2).stride(2).init(device, rng)?)
            .then(Activation::Gelu)
            .then(Conv2d::new(16, 1, 3).padding(1).init(device, rng)?);
        Ok(Autoencoder { encoder, decoder })
    }

    /// `[B, 1, 8, 8] → [B, 1, 8, 8]`
    fn forward(&self, x: &Tensor) -> Tensor {
        self.decoder.forward(&self.encoder.forward(x))
    }
}

/// All images of a data set, `[n, 1, 8, 8]`.
fn whole(data: &InMemory, device: &Device) -> Result<Tensor> {
    Ok(data.in_order(data.len())?.next_batch().images.to(device))
}

/// An orthonormal basis of the first principal components of rows with mean 0, by subspace iteration: `Q ← orth(Xᵀ X Q)`.
///
/// # Shapes
/// `[n, pixels]` → `[pixels, CODE]`
fn principal(rows: &Tensor, rng: &mut Rng) -> Result<Tensor> {
    let orthonormal = |x: &Tensor| x.orthogonalise(&NewtonSchulz::exact(12));
    let mut basis = orthonormal(&rng.stream().normal(rows.device(), [SIDE * SIDE, CODE]));
    for _ in 0..50 {
        basis = orthonormal(&rows.t().matmul(&rows.matmul(&basis)));
        basis.eval()?;
    }
    Ok(basis)
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
    let (rng, seed) = (&mut Rng::seed(options.common.seed), Seed(options.common.seed));
    let net = match options.kind {
        Kind::Dense | Kind::Denoising => Autoencoder::dense(&device, rng)?,
        Kind::Conv => Autoencoder::conv(&device, rng)?,
    };
    let noise = rng.stream();
    let seen = |x: &Tensor| match options.kind {
        Kind::Denoising => x + noise.normal(&device, x.shape()) * NOISE,
        Kind::Dense | Kind::Conv => x.clone(),
    };
    let opt = AdamW { lr: LR, weight_decay: 1e-3, ..AdamW::default() }.init(&net)?;
    let batches = data.train.batches(BATCH, seed)?;
    let steps = batches.len() * options.epochs as usize;
    for epoch in 0..options.epochs {
        let mut last = None;
        for (i, batch) in batches.epoch(epoch).enumerate() {
            let x = batch.images.to(&device);
            let loss = net.forward(&seen(&x)).mse_loss(&x);
            opt.set_lr(LR * one_cycle(epoch as usize * batches.len() + i, steps, 0.1))?;
            opt.step(&loss)?;
            last = Some(loss);
        }
        if epoch == 0 {
            println!("{}", train::plan(&device));
        }
        if let Some(loss) = last.filter(|_| (epoch + 1) % 10 == 0) {
            println!("epoch {}: loss {:.5}", epoch + 1, loss.item()?);
        }
    }

    net.eval();
    let (train, test) = (whole(&data.train, &device)?, whole(&data.test, &device)?);
    let given = seen(&test).copy()?;
    let mean = train.mean(0);
    let basis = keep_f32(|| principal(&(&train - &mean).flatten(1..), rng))?;
    let linear =
        keep_f32(|| (&given - &mean).flatten(1..).matmul(&basis).matmul(&basis.t()).reshape(test.shape()) + &mean);
    let by_net = net.forward(&given);
    let error = |guess: &Tensor| guess.broadcast_to(test.shape()).mse_loss(&test).item();
    let (by_mean, by_linear, by_net_error) = (error(&mean)?, error(&linear)?, error(&by_net)?);

    for (what, images) in [("seen", &given), ("by the net", &by_net), ("by principal components", &linear)] {
        println!("{what}:");
        let lines = pictures(&images.narrow(0, 0, 6).to_vec::<f32>()?, SIDE, SIDE);
        lines.iter().for_each(|line| println!("{line}"));
    }
    println!("error: {by_net_error:.5}; of {CODE} principal components {by_linear:.5}; of the mean image {by_mean:.5}");
    let bound = BETTER * by_linear;
    ensure!(options.epochs < EPOCHS || by_net_error < bound, "that is not below {bound:.5}");
    Ok(())
}
