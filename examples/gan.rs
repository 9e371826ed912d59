//! Trains two nets against each other: a generator, which draws digits, and a discriminator, which tells them from real ones.
//!
//! `cargo run --release --example gan`; `--help` lists the options. How good the drawn digits are is judged by a classifier that was
//! trained on real ones: their inception score is 1 for noise that always looks the same, and 10 for digits that are all clear and equally
//! frequent. Fails below 5.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::pictures,
    nn::models::{Mlp, mlp},
    prelude::*,
    train,
};

use self::common::Common;

/// Pixels along each side.
const SIDE: usize = 8;
/// Numbers that a digit is drawn from.
const NOISE: usize = 16;
const BATCH: usize = 64;
const LR: f64 = 1e-3;
const STEPS: usize = 4000;
/// Digits that are judged.
const JUDGED: usize = 1000;
/// What the command promises.
const SCORE: f64 = 5.0;

/// Trains a generator of digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Training steps; of fewer, nothing is asked for.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

/// A classifier of real digits, to judge the others by.
fn judge(digits: &Digits, device: &Device, rng: &mut Rng, seed: Seed) -> Result<Mlp> {
    let net = mlp(&[SIDE * SIDE, 128, 10]).init(device, rng)?;
    let opt = AdamW { lr: 3e-3, ..AdamW::default() }.init(&net)?;
    let batches = digits.train.batches(BATCH, seed)?;
    for epoch in 0..20 {
        for batch in batches.epoch(epoch) {
            let logits = net.forward(&batch.images.to(device).flatten(1..));
            opt.step(&logits.cross_entropy(&batch.labels.to(device)))?;
        }
    }
    net.eval();
    Ok(net)
}

/// `exp E_x KL(p(y|x) ‖ p(y))`: how clear the classes of images are, and how many there are.
///
/// # Source
/// Salimans et al. 2016, arXiv:1606.03498, §4.
fn inception_score(judge: &Mlp, images: &Tensor) -> Result<f64> {
    let log_p = judge.forward(images).log_softmax(1);
    let mean = log_p.exp().mean_keepdim(0);
    Ok((log_p.exp() * (&log_p - mean.log())).sum(1).mean(..).exp().item()?)
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let (digits, seed, rng) = (Digits::embedded()?, Seed(options.common.seed), &mut Rng::seed(options.common.seed));
    let leaky = Activation::LeakyRelu(0.2);
    let generator = mlp(&[NOISE, 128, 256, SIDE * SIDE]).activation(leaky).init(&device, rng)?;
    let discriminator = mlp(&[SIDE * SIDE, 256, 128, 1]).activation(leaky).dropout(0.3).init(&device, rng)?;
    let adam = Adam { lr: LR, beta1: 0.5, ..Adam::default() };
    let (opt_g, opt_d) = (adam.clone().init(&generator)?, adam.init(&discriminator)?);
    let noise = rng.stream();
    let draw = |n| generator.forward(&noise.normal(&device, [n, NOISE])).sigmoid();
    let (ones, zeros) = (Tensor::ones(&device, [BATCH, 1]), Tensor::zeros(&device, [BATCH, 1]));

    let judge = judge(&digits, &device, rng, seed)?;
    let before = inception_score(&judge, &draw(JUDGED))?;
    let batches = digits.train.batches(BATCH, seed)?;
    for step in 1..=options.steps {
        let real = batches.next_batch().images.to(&device).flatten(1..);
        let fake = draw(BATCH);
        // The discriminator learns from real and drawn digits; the generator is not moved.
        let d_loss = discriminator.forward(&real).bce_with_logits(&ones)
            + discriminator.forward(&fake.detach()).bce_with_logits(&zeros);
        opt_d.step(&d_loss)?;
        // The same drawn digits teach the generator: the discriminator, as it is now, is to take them for real ones
        // (Goodfellow et al. 2014, arXiv:1406.2661, §3).
        let g_loss = discriminator.forward(&fake).bce_with_logits(&ones);
        opt_g.step(&g_loss)?;
        if step == 1 {
            println!("{}", train::plan(&device));
        }
        if step % 500 == 0 {
            println!("step {step}: discriminator {:.3}, generator {:.3}", d_loss.item()?, g_loss.item()?);
        }
    }

    generator.eval();
    let drawn = draw(JUDGED);
    let score = inception_score(&judge, &drawn)?;
    let real = digits.test.in_order(digits.test.len())?.next_batch().images.to(&device).flatten(1..);
    let of_real = inception_score(&judge, &real)?;
    println!("drawn:");
    pictures(&drawn.narrow(0, 0, 6).to_vec::<f32>()?, SIDE, SIDE).iter().for_each(|line| println!("{line}"));
    println!("inception score: {score:.2}; before training {before:.2}; of real digits {of_real:.2}");
    ensure!(options.steps < STEPS || score >= SCORE, "that is below {SCORE}");
    Ok(())
}
