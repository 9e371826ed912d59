//! Trains a ResNet on photographs and a small Transformer on a text in f32, mixed f16 and mixed bf16: from the same weights, with the same
//! batches. Says what a step takes in each, and how far the losses are apart over the last fifth of the steps.
//!
//! `cargo run --release --example mixed_precision -- --data DIR --text FILE`; `--help` lists the options. Without the two it trains on the
//! built-in digits and on pages of this repository. `docs/mixed-precision.md` says what each precision is.
//!
//! Losses in mixed f16 are to be at most 2 % off those in f32, step by step. A run that multiplies any difference cannot promise that: in
//! such a model f32 does not repeat itself either when weights are moved by their last digits, which is the fourth way here. Fails if mixed
//! f16 is more than 2 % off where nudged f32 is not; or, where it is, farther off than f32 from another seed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use thalweg::{
    data::{Host, Windows, random_crop, random_flip},
    nn::{LearnedPosition, TransformerEncoder, TransformerEncoderLayer, models::cifar_resnet20},
    prelude::*,
    train::{Curves, one_cycle},
};

/// What is compared: a name, a precision, and whether every weight is first moved a little.
const WAYS: [(&str, Precision, bool); 4] = [
    ("f32", Precision::F32, false),
    ("mixed f16", Precision::MixedF16, false),
    ("mixed bf16", Precision::MixedBf16, false),
    ("f32, nudged", Precision::F32, true),
];
/// By how much it is moved, in relation to it: a few units in the last place of an f32.
const NUDGE: f64 = 1e-6;
/// Share of the steps whose losses are compared: the last ones.
const COMPARED: f64 = 0.2;
/// What mixed f16 promises: `mean |loss - loss in f32| / loss in f32`, in percent.
const APART: f64 = 2.0;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.2;
/// Images of a step, and pixels by which one moves at most.
const IMAGES: usize = 32;
const SHIFT: usize = 4;
/// Windows of a step, characters of a window, and numbers that stand for a character.
const WINDOWS: usize = 16;
const CONTEXT: usize = 64;
const WIDTH: usize = 128;
/// The highest learning rates of the ResNet and of the Transformer.
const LR_IMAGES: f64 = 0.05;
const LR_TEXT: f64 = 2e-3;
/// What there is to read where no file is given.
const PAGES: [&str; 4] = [
    include_str!("../README.md"),
    include_str!("../ARCHITECTURE.md"),
    include_str!("../docs/semantics.md"),
    include_str!("../docs/for-pytorch-users.md"),
];

/// Compares precisions.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// best, cpu, gpu, gpu:1, lavapipe, or part of an adapter's name; else THALWEG_DEVICE, else the best.
    #[arg(long)]
    device: Option<String>,
    /// The folder with CIFAR-10's binary files, gzipped or not.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A text to read.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Steps of each run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The first seed of weights and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds; two at least, to compare them.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    seeds: u32,
    /// One of the two models alone.
    #[arg(long)]
    only: Option<Model>,
    /// Where the picture of all losses goes.
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
enum Model {
    Cifar,
    Text,
}

/// What a run begins with.
struct Start {
    device: Device,
    seed: u64,
    nudged: bool,
    steps: usize,
}

/// What a run was.
struct Run {
    losses: Vec<f64>,
    /// The median of all steps.
    step_ms: f64,
    planned_bytes: u64,
    skipped: u64,
    loss_scale: f64,
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = match &options.device {
        Some(name) => Device::named(name)?,
        None => Device::best()?,
    };
    println!("device: {device}");
    let images = match &options.data {
        Some(dir) => Cifar10::load(dir)?.train,
        None => Digits::embedded()?.train,
    };
    let (text, characters) = read(options.text.as_deref())?;
    println!("{} images, {} characters of {characters} kinds", images.len(), text.len());
    println!("{} steps; the losses are means of the last {:.0} %", options.steps, 100.0 * COMPARED);
    let mut curves = Curves::default();
    let mut apart = Vec::new();
    for model in [Model::Cifar, Model::Text].into_iter().filter(|model| options.only.is_none_or(|only| only == *model))
    {
        let off = compare(options, model, &mut curves, |&(_, precision, nudged), seed| {
            let start = Start { device: device.with_precision(precision), seed, nudged, steps: options.steps as usize };
            match model {
                Model::Cifar => residual(&start, &images),
                Model::Text => transformer(&start, &text, characters),
            }
        })?;
        apart.push((model, off));
    }
    if let Some(path) = &options.curve {
        curves.save(path, "training losses by precision, means over seeds")?;
        println!("losses: {}", path.display());
    }
    for (model, (off, limit)) in apart {
        println!(
            "{model:?}: {off:.2} % in mixed f16, and {APART} % is {}",
            if off <= APART { "kept" } else { "not kept" }
        );
        ensure!(off <= limit, "{model:?}: mixed f16 is {off:.2} % off step by step, above {limit:.2} %");
    }
    Ok(())
}

/// Trains a model in every way from every seed. Gives how far mixed f16 is from f32, step by step, and may be.
fn compare(
    options: &Options,
    model: Model,
    curves: &mut Curves,
    train: impl Fn(&(&str, Precision, bool), u64) -> Result<Run>,
) -> Result<(f64, f64)> {
    println!();
    println!(
        "{:<6}{:>5} {:<12}{:>9}{:>9}{:>9}{:>9}{:>9}{:>11}{:>10}",
        "model", "seed", "way", "loss", "ms/step", "MiB", "skipped", "scale", "by step/%", "by mean/%"
    );
    // Of each way, by seed.
    let mut runs: [Vec<Run>; 4] = Default::default();
    for i in 0..options.seeds as usize {
        for (w, way) in WAYS.iter().enumerate() {
            let seed = options.seed + i as u64;
            let run = train(way, seed)?;
            let [by_step, by_mean] = distance(&run, runs[0].get(i).unwrap_or(&run));
            println!(
                "{:<6}{seed:>5} {:<12}{:>9.4}{:>9.1}{:>9.1}{:>9}{:>9}{by_step:>11.3}{by_mean:>10.3}",
                format!("{model:?}").to_lowercase(),
                way.0,
                mean(last(&run)),
                run.step_ms,
                run.planned_bytes as f64 / f64::from(1 << 20),
                run.skipped,
                run.loss_scale,
            );
            runs[w].push(run);
        }
    }
    let mean_of = |of: &[[f64; 2]]| [0, 1].map(|i| mean(&of.iter().map(|off| off[i]).collect::<Vec<_>>()));
    let apart = |runs: &[Run], others: &[Run]| {
        mean_of(&runs.iter().zip(others).map(|(a, b)| distance(a, b)).collect::<Vec<_>>())
    };
    let of = |name: &str, [by_step, by_mean]: [f64; 2]| {
        println!("{name} is {by_step:.3} % off f32 step by step, and {by_mean:.3} % in its mean");
        by_step
    };
    let [f16, _, nudged] = [1, 2, 3].map(|w| of(WAYS[w].0, apart(&runs[w], &runs[0])));
    // Each run against that of the next seed.
    let other = of("f32 from another seed", apart(&runs[0][1..], &runs[0]));
    for ((name, ..), of) in WAYS.iter().zip(&runs) {
        let at = |step: usize| mean(&of.iter().map(|run| run.losses[step]).collect::<Vec<_>>());
        curves.line(format!("{model:?}, {name}"), (0..options.steps as usize).map(|step| (step + 1, at(step))));
    }
    Ok(match f16 <= APART || nudged <= APART {
        true => (f16, APART),
        false => (f16, other),
    })
}

/// `mean |a - b| / b` over the last steps, and `|mean a - mean b| / mean b`, in percent.
fn distance(a: &Run, b: &Run) -> [f64; 2] {
    let (a, b) = (last(a), last(b));
    let by_step: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs() / b).collect();
    [100.0 * mean(&by_step), 100.0 * (mean(a) - mean(b)).abs() / mean(b)]
}

/// The losses that are compared.
fn last(run: &Run) -> &[f64] {
    let n = (COMPARED * run.losses.len() as f64).ceil() as usize;
    &run.losses[run.losses.len() - n..]
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// A ResNet of 20 layers, with flips and crops, as in the example `cifar_resnet`.
fn residual(start: &Start, images: &InMemory) -> Result<Run> {
    let &Start { ref device, seed, steps, .. } = start;
    let is_photo = images.shape()[0] == 3;
    let net = cifar_resnet20().channels(images.shape()[0]).init(device, &mut Rng::seed(seed))?;
    let opt = Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4, ..Sgd::default() }.init(&net)?;
    let opt = opt.schedule(move |t| LR_IMAGES * one_cycle(t as usize, steps, WARM_UP));
    let changed = images.clone().augment(Seed(seed), move |(image, label), rng| match is_photo {
        true => (random_crop(random_flip(image, rng), SHIFT, rng), label),
        // A digit is another one in the mirror.
        false => (random_crop(image, 1, rng), label),
    });
    let batches = changed.loader(IMAGES, Shuffled(Seed(seed)), Stack)?.drop_tail()?;
    fit(start, &opt, &batches, |(images, labels)| net.forward(&images.to(device)).cross_entropy(&labels.to(device)))
}

#[derive(Module)]
struct Transformer {
    characters: Embedding,
    position: LearnedPosition,
    layers: TransformerEncoder,
    head: Linear,
}

impl Transformer {
    fn new(characters: usize, device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Transformer> {
        let layer = TransformerEncoderLayer::new(WIDTH, 4).feedforward(4 * WIDTH).dropout(0.0).activation(Tensor::gelu);
        let layer = layer.norm_first(true).causal(true);
        Ok(Transformer {
            characters: Embedding::new(characters, WIDTH).weights(Init::GPT2).init(device, rng)?,
            position: LearnedPosition::new(CONTEXT, WIDTH).init(device, rng)?,
            layers: TransformerEncoder::new(layer, 2).norm(true).init(device, rng)?,
            head: Linear::new(WIDTH, characters).init(device, rng)?,
        })
    }

    /// `[B, T]` → logits of what comes next, `[B T, characters]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.position.forward(&self.characters.forward(x), 0);
        self.head.forward(&self.layers.forward(&x, None).flatten(..2))
    }
}

/// A Transformer of two layers that says which character comes next.
fn transformer(start: &Start, text: &[i32], characters: usize) -> Result<Run> {
    let &Start { ref device, seed, steps, .. } = start;
    let net = Transformer::new(characters, device, &mut Rng::seed(seed))?;
    let opt = AdamW::default().init(&net)?;
    let opt = opt.schedule(move |t| LR_TEXT * one_cycle(t as usize, steps, WARM_UP));
    let windows = Windows::new(text, CONTEXT)?.stride(CONTEXT / 4)?;
    let batches = windows.loader(WINDOWS, Shuffled(Seed(seed)), Stack)?.drop_tail()?;
    fit(start, &opt, &batches, |(x, y): (Host<i32>, Host<i32>)| {
        net.forward(&x.to(device)).cross_entropy(&y.to(device).flatten(..))
    })
}

/// The loop, the same for both: it waits for every step, to time it.
fn fit<B: Send + 'static>(
    start: &Start,
    opt: &Optimizer,
    batches: &Loader<B>,
    loss: impl Fn(B) -> Tensor,
) -> Result<Run> {
    if start.nudged {
        nudge(opt, &start.device, &mut Rng::seed(start.seed))?;
    }
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    for batch in (0..).flat_map(|epoch| batches.epoch(epoch)).take(start.steps) {
        let batch = batch?;
        let clock = Instant::now();
        let loss = loss(batch);
        opt.step(&loss)?;
        losses.push(loss.item()?);
        times.push(1e3 * clock.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let plan = start.device.last_step().context("no step was taken")?;
    let report = opt.report()?;
    Ok(Run {
        losses,
        step_ms: times[times.len() / 2],
        planned_bytes: plan.planned_bytes,
        skipped: report.skipped,
        loss_scale: report.loss_scale,
    })
}

/// Moves every weight by a few units in the last place.
fn nudge(opt: &Optimizer, device: &Device, rng: &mut Rng) -> Result<()> {
    for (_, param) in opt.params() {
        let theta = param.tensor();
        let by: Vec<f32> = (0..theta.count()).map(|_| (1.0 + NUDGE * rng.normal()) as f32).collect();
        let by = Tensor::from_slice(device, &by, theta.shape());
        param.set(&(theta * by))?;
    }
    Ok(())
}

/// A text as numbers, and how many different characters it has.
fn read(path: Option<&Path>) -> Result<(Vec<i32>, usize)> {
    let text = match path {
        Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => PAGES.concat(),
    };
    let mut kinds: Vec<char> = text.chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let number = |c: char| kinds.binary_search(&c).map_or(0, |i| i as i32);
    Ok((text.chars().map(number).collect(), kinds.len()))
}
