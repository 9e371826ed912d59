//! Trains a Wasserstein GAN with a penalty on the critic's gradient, which is differentiated a second time.
//!
//! `cargo run --release --example wgan_gp`; `--help` lists the options. The data are eight small clouds of points on a circle, of which a
//! generator likes to forget some. Fails unless all eight are drawn, and most of the points lie in one.

mod common;

use std::f64::consts::TAU;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    functional::grad,
    nn::models::mlp,
    prelude::*,
    train::{self, one_cycle},
};

use self::common::Common;

/// Clouds on the circle of radius 1.
const CLOUDS: usize = 8;
/// Their deviation.
const SPREAD: f64 = 0.05;
/// Distance from the middle of a cloud within which a point lies in it: four deviations.
const NEAR: f64 = 4.0 * SPREAD;
/// Numbers that a point is drawn from.
const NOISE: usize = 8;
/// Of the layers of both nets.
const WIDTH: usize = 64;
const BATCH: usize = 256;
const LR: f64 = 2e-3;
/// Steps of the generator.
const STEPS: usize = 2000;
/// Steps of the critic for each of these.
const CRITIC_STEPS: usize = 5;
/// λ, the weight of the penalty.
const PENALTY: f64 = 0.3;
/// Points that are judged.
const JUDGED: usize = 4000;
/// Share of the points that the smallest cloud must have; an eighth would be its due.
const LEAST: f64 = 0.04;
/// Share of the points that must lie in some cloud; of points spread evenly along the circle it would be a half.
const INSIDE: f64 = 0.6;

/// Trains a generator of points.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Steps of the generator; of fewer, nothing is asked for.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

/// The middles of the clouds, `[8, 2]`.
fn middles(device: &Device) -> Tensor {
    let middle = |i: usize| {
        let angle = TAU * i as f64 / CLOUDS as f64;
        [angle.cos() as f32, angle.sin() as f32]
    };
    let middles: Vec<f32> = (0..CLOUDS).flat_map(middle).collect();
    Tensor::from_slice(device, &middles, [CLOUDS, 2])
}

/// The share of the points that each cloud has.
fn shares(points: &Tensor) -> Result<[f64; CLOUDS]> {
    let apart = points.unsqueeze(1) - middles(points.device()).unsqueeze(0);
    let near = apart.square().sum(2).le(NEAR * NEAR);
    let shares = near.cast(DType::F32).mean(0).to_vec::<f32>()?;
    Ok(std::array::from_fn(|cloud| f64::from(shares[cloud])))
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
    let generator = mlp(&[NOISE, WIDTH, WIDTH, 2]).init(&device, rng)?;
    // A smooth nonlinearity: the penalty's gradient holds its second derivative.
    let critic = mlp(&[2, WIDTH, WIDTH, 1]).activation(Activation::Silu).init(&device, rng)?;
    let adam = Adam { lr: LR, beta1: 0.5, beta2: 0.9, ..Adam::default() };
    let (opt_g, opt_c) = (adam.clone().init(&generator)?, adam.init(&critic)?);

    let (noise, middles) = (rng.stream(), middles(&device));
    let real = || {
        let cloud = (noise.uniform(&device, [BATCH]) * CLOUDS as f64).floor().cast(DType::I32);
        middles.index_select(0, &cloud) + noise.normal(&device, [BATCH, 2]) * SPREAD
    };
    let draw = |n| generator.forward(&noise.normal(&device, [n, NOISE]));
    let before = shares(&draw(JUDGED))?;

    for step in 1..=options.steps {
        let mut distance = None;
        for opt in [&opt_g, &opt_c] {
            opt.set_lr(LR * one_cycle(step, STEPS, 0.02))?;
        }
        for _ in 0..CRITIC_STEPS {
            let (real, fake) = (real(), draw(BATCH).detach());
            // Between a real point and a drawn one the critic's slope is to be 1 (Gulrajani et al. 2017, arXiv:1704.00028,
            // algorithm 1). The gradient is a graph like any other, so its norm has a gradient by the critic's parameters.
            let along = noise.uniform(&device, [BATCH, 1]);
            let between = &along * &real + (1.0 - &along) * &fake;
            let slope = grad(|x| critic.forward(&x[0]).sum(..), &[between])?;
            let penalty = (slope[0].square().sum(1).sqrt() - 1.0).square().mean(..);
            let wasserstein = critic.forward(&real).mean(..) - critic.forward(&fake).mean(..);
            opt_c.step(&(penalty * PENALTY - &wasserstein))?;
            distance = Some(wasserstein);
        }
        if step == 1 {
            println!("{}", train::plan(&device));
        }
        opt_g.step(&-critic.forward(&draw(BATCH)).mean(..))?;
        if let Some(distance) = distance.filter(|_| step % 250 == 0) {
            println!("step {step}: the critic sees a distance of {:.3}", distance.item()?);
        }
    }

    let (shares, sum) = (shares(&draw(JUDGED))?, |of: [f64; CLOUDS]| of.iter().sum::<f64>());
    let percent = shares.map(|share| format!("{:.1}", 100.0 * share)).join(" ");
    let (inside, least) = (sum(shares), shares.into_iter().fold(1.0, f64::min));
    println!(
        "{:.1} % of the points lie in clouds: {percent}; before training {:.1} %",
        100.0 * inside,
        100.0 * sum(before)
    );
    let good = inside >= INSIDE && least >= LEAST;
    ensure!(
        options.steps < STEPS || good,
        "{:.0} % in all and {:.0} % in each are wanted",
        100.0 * INSIDE,
        100.0 * LEAST
    );
    Ok(())
}
