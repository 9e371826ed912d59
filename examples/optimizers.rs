//! Trains the same classifier of the built-in digits by every update rule there is, each at a rate that suits it, and draws their losses.
//! Beside that, how far each comes down Rosenbrock's valley and an ill-conditioned bowl.
//!
//! `cargo run --release --example optimizers -- --curve losses.svg`; `--help` lists the options. Fails if a rule reads fewer than 85 % of
//! the held-out digits.

mod common;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    nn::models::{Mlp, mlp},
    optim::{Muon, RULES, rule},
    prelude::*,
    train::{Curves, evaluate},
};

use self::common::Common;

const BATCH: usize = 60;
/// Passes over the training images.
const EPOCHS: u32 = 20;
/// Steps down the valley and the bowl.
const STEPS: usize = 1000;
/// What every rule promises.
const ACCURACY: f64 = 0.85;

/// The rates of a rule: for the digits, the valley and the bowl. They fall in a straight line to 0.
#[rustfmt::skip]
const RATES: &[(&str, [f64; 3])] = &[
    ("Sgd",          [0.5,   2e-3, 1.5e-3]),
    ("SgdEma",       [0.5,   4e-3, 1e-2]),
    ("Adagrad",      [0.05,  0.5,  0.5]),
    ("Adadelta",     [3.0,   20.0, 20.0]),
    ("RmsProp",      [3e-3,  0.02, 0.02]),
    ("Adam",         [5e-3,  0.05, 0.05]),
    ("AdamW",        [5e-3,  0.05, 0.05]),
    ("Adamax",       [1e-2,  0.1,  0.1]),
    ("NAdam",        [5e-3,  0.05, 0.05]),
    ("RAdam",        [5e-3,  2e-3, 1e-3]),
    ("Asgd",         [0.5,   2e-3, 1.5e-3]),
    ("Rprop",        [1e-3,  0.01, 0.01]),
    ("Lion",         [1e-3,  0.01, 0.01]),
    ("SparseAdam",   [5e-3,  0.05, 0.05]),
    ("Adafactor",    [0.05,  0.05, 0.05]),
    ("Lamb",         [0.02,  0.02, 0.02]),
    ("Lars",         [0.3,   2.0,  2.0]),
    ("Muon",         [0.02,  0.02, 0.02]),
    ("SophiaG",      [1e-3,  0.01, 0.01]),
    ("ScheduleFree", [1e-2,  0.05, 0.05]),
];

/// Compares update rules.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the training images; of fewer, nothing is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
    /// Only these rules.
    #[arg(long, value_delimiter = ',')]
    rules: Vec<String>,
    /// Where the picture of all losses goes.
    #[arg(long)]
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
    let digits = Digits::embedded()?;
    let chosen = |name: &str| options.rules.is_empty() || options.rules.iter().any(|r| r.eq_ignore_ascii_case(name));
    let mut curves = Curves::default();
    println!("{:<14}{:>10}{:>10}{:>14}{:>14}", "rule", "loss", "accuracy", "the valley", "the bowl");
    for (name, rates) in RATES.iter().filter(|(name, _)| chosen(name)) {
        let (losses, accuracy) = train_digits(options, &device, &digits, name, rates[0])?;
        let down = descend(&device, named(name, rates[1])?, valley)?;
        let bowl = descend(&device, named(name, rates[2])?, bowl)?;
        let last = losses.last().map_or(f64::NAN, |(_, loss)| *loss);
        println!("{name:<14}{last:>10.4}{:>9.1} %{down:>14.3e}{bowl:>14.3e}", 100.0 * accuracy);
        ensure!(options.epochs < EPOCHS || accuracy >= ACCURACY, "{name} is below {:.0} %", 100.0 * ACCURACY);
        curves.line(*name, losses);
    }
    assert!(RULES.iter().all(|name| RATES.iter().any(|(known, _)| known == name)), "a rule has no rates");
    if let Some(path) = &options.curve {
        curves.save(path, "training loss of the built-in digits")?;
        println!("losses: {}", path.display());
    }
    Ok(())
}

/// A rule at a rate, without decay.
fn named(name: &str, lr: f64) -> Result<Box<dyn Rule>> {
    let with_decay = ["AdamW", "Lamb", "Muon", "SophiaG"].contains(&name);
    let settings = [("lr", lr), ("weight_decay", 0.0)];
    Ok(match name {
        "Adafactor" => rule(name, &[("lr", lr), ("relative_step", 0.0)])?,
        // A share of the norm, which here is the rate's to say.
        "Lars" => rule(name, &[("lr", lr), ("kappa", 1e-2)])?,
        _ => rule(name, &settings[..if with_decay { 2 } else { 1 }])?,
    })
}

/// The mean loss of every epoch, by step, and the accuracy on the held-out digits.
fn train_digits(
    options: &Options,
    device: &Device,
    digits: &Digits,
    name: &str,
    lr: f64,
) -> Result<(Vec<(usize, f64)>, f64)> {
    let seed = options.common.seed;
    let net = mlp(&[64, 48, 10]).init(device, &mut Rng::seed(seed))?;
    let batches = digits.train.clone().loader(BATCH, Shuffled(Seed(seed)), Stack)?.drop_tail()?;
    let steps = batches.len() * options.epochs as usize;
    let opt = match name {
        // For matrices: biases go to AdamW.
        "Muon" => Muon { lr, ..Muon::default() }.init_hidden(&net, AdamW { lr, ..AdamW::default() }, &[])?,
        _ => named(name, lr)?.init(&net)?,
    };
    opt.set_schedule(move |t| lr * (1.0 - t as f64 / steps as f64).max(0.0));
    let mut losses = Vec::new();
    for epoch in 0..options.epochs {
        let mut sum = Tensor::zeros(device, []);
        for (i, batch) in batches.epoch(epoch).enumerate() {
            let (images, labels) = batch?;
            let logits = net.forward(&images.to(device).flatten(1..));
            let loss = logits.cross_entropy(&labels.to(device));
            opt.step(&loss)?;
            sum += loss.detach();
            if name == "SophiaG" && i % 10 == 0 {
                observe(&opt, &net, &images.to(device))?;
            }
        }
        losses.push(((epoch as usize + 1) * batches.len(), sum.item()? / batches.len() as f64));
    }
    net.eval();
    let score = opt.during(|| evaluate(&digits.test, 199, device, |x| net.forward(&x.flatten(1..))))??;
    Ok((losses, score.accuracy))
}

/// A curvature for Sophia: the gradient of a loss whose labels the model draws itself.
fn observe(opt: &Optimizer, net: &Mlp, images: &Tensor) -> Result<()> {
    let logits = net.forward(&images.flatten(1..));
    let probabilities = logits.detach().softmax(-1).to_vec::<f64>()?;
    let mut rng = Rng::seed(opt.report()?.steps);
    let labels: Vec<i32> = probabilities
        .chunks(10)
        .map(|row| {
            let mut left = rng.uniform();
            row.iter()
                .position(|p| {
                    left -= p;
                    left < 0.0
                })
                .unwrap_or(9) as i32
        })
        .collect();
    opt.observe(&logits.cross_entropy(&Tensor::from_slice(logits.device(), &labels, [labels.len()])))?;
    Ok(())
}

/// `100 (b - a²)² + (1 - a)²`, from `[-1.2, 1]`.
fn valley(x: &Tensor) -> Tensor {
    let (a, b) = (x.at(s![0, 0]), x.at(s![0, 1]));
    (b - a.square()).square() * 100.0 + (1.0 - a).square()
}

/// `½ Σ λ x²` with λ from 1 to 1000.
fn bowl(x: &Tensor) -> Tensor {
    let lambda: Vec<f32> = (0..4).map(|i| 10f32.powi(i)).collect();
    (x.square() * Tensor::from_slice(x.device(), &lambda, [4]) * 0.5).sum(..)
}

/// What is left of a function after so many steps.
fn descend(device: &Device, rule: Box<dyn Rule>, f: fn(&Tensor) -> Tensor) -> Result<f64> {
    let start = [-1.2f32, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0];
    let x = Param::new(Tensor::from_slice(device, &start, [2, 4]))?;
    let lr = rule.lr();
    let opt = rule.init(&x)?;
    opt.set_schedule(move |t| lr * (1.0 - t as f64 / STEPS as f64).max(0.0));
    for _ in 0..STEPS {
        opt.step(&f(&x.tensor()))?;
    }
    Ok(opt.during(|| f(&x.tensor()).item())??)
}
