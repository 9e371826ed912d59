//! Trains a ResNet on photographs and a small Transformer on a text in f32, mixed f16 and mixed bf16: from the same weights, with the same
//! batches. Says what a step takes in each, and how far the losses are apart.
//!
//! `cargo run --release --example mixed_precision -- --data DIR --text FILE`; `--help` lists the options. Without the two it trains on the
//! built-in digits and on pages of this repository. Fails if losses in mixed f16 are on average more than 2 % off those in f32, step by
//! step over the last fifth of the steps. `docs/mixed-precision.md` says what each precision is.

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

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::MixedF16, Precision::MixedBf16];
/// Share of the steps whose losses are compared: the last ones.
const COMPARED: f64 = 0.2;
/// What mixed f16 promises: `mean |loss - loss in f32| / loss in f32`.
const APART: f64 = 0.02;
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
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The first seed of weights and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
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
        let off = compare(options, &device, model, &mut curves, |device, seed| match model {
            Model::Cifar => residual(device, &images, seed, options.steps as usize),
            Model::Text => transformer(device, &text, characters, seed, options.steps as usize),
        })?;
        apart.push((model, off));
    }
    if let Some(path) = &options.curve {
        curves.save(path, "training losses by precision, means over seeds")?;
        println!("losses: {}", path.display());
    }
    for (model, off) in apart {
        ensure!(off <= APART, "{model:?}: mixed f16 is {:.2} % off, above {:.0} %", 100.0 * off, 100.0 * APART);
    }
    Ok(())
}

/// Trains a model in every precision from every seed. Gives how far mixed f16 is from f32, step by step.
fn compare(
    options: &Options,
    device: &Device,
    model: Model,
    curves: &mut Curves,
    train: impl Fn(&Device, u64) -> Result<Run>,
) -> Result<f64> {
    println!();
    println!(
        "{:<6}{:>5} {:<11}{:>9}{:>9}{:>9}{:>9}{:>9}{:>11}{:>10}",
        "model", "seed", "precision", "loss", "ms/step", "MiB", "skipped", "scale", "by step/%", "by mean/%"
    );
    let name = |precision: Precision| format!("{precision:?}");
    // The runs of each precision, by seed.
    let mut runs: [Vec<Run>; 3] = Default::default();
    let mut apart = [[0.0; 2]; 3];
    for i in 0..u64::from(options.seeds) {
        for (p, precision) in PRECISIONS.into_iter().enumerate() {
            let seed = options.seed + i;
            let run = train(&device.with_precision(precision), seed)?;
            let off = distance(&run, runs[0].get(i as usize).unwrap_or(&run));
            println!(
                "{:<6}{seed:>5} {:<11}{:>9.4}{:>9.1}{:>9.1}{:>9}{:>9}{:>11.2}{:>10.2}",
                format!("{model:?}").to_lowercase(),
                name(precision),
                mean(last(&run)),
                run.step_ms,
                run.planned_bytes as f64 / f64::from(1 << 20),
                run.skipped,
                run.loss_scale,
                100.0 * off[0],
                100.0 * off[1],
            );
            apart[p] = std::array::from_fn(|i| apart[p][i] + off[i] / f64::from(options.seeds));
            runs[p].push(run);
        }
    }
    for (precision, [by_step, by_mean]) in PRECISIONS.into_iter().zip(apart).skip(1) {
        let of = name(precision);
        println!("{of} is {:.2} % off by step and {:.2} % by mean", 100.0 * by_step, 100.0 * by_mean);
    }
    // What another seed does, as a yardstick: each run in f32 against that of the next seed.
    let others = runs[0].windows(2).map(|pair| distance(&pair[1], &pair[0])).collect::<Vec<_>>();
    if !others.is_empty() {
        let [by_step, by_mean] = [0, 1].map(|i| 100.0 * mean(&others.iter().map(|off| off[i]).collect::<Vec<_>>()));
        println!("F32 from another seed is {by_step:.2} % off by step and {by_mean:.2} % by mean");
    }
    for (precision, runs) in PRECISIONS.into_iter().zip(&runs) {
        let at = |step: usize| mean(&runs.iter().map(|run| run.losses[step]).collect::<Vec<_>>());
        curves.line(format!("{model:?} {precision:?}"), (0..options.steps as usize).map(|step| (step + 1, at(step))));
    }
    Ok(apart[1][0])
}

/// `mean |a - b| / b` over the last steps, and `|mean a - mean b| / mean b`.
fn distance(a: &Run, b: &Run) -> [f64; 2] {
    let (a, b) = (last(a), last(b));
    let by_step: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs() / b).collect();
    [mean(&by_step), (mean(a) - mean(b)).abs() / mean(b)]
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
fn residual(device: &Device, images: &InMemory, seed: u64, steps: usize) -> Result<Run> {
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
    fit(device, &opt, &batches, steps, |(images, labels)| {
        net.forward(&images.to(device)).cross_entropy(&labels.to(device))
    })
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

fn transformer(device: &Device, text: &[i32], characters: usize, seed: u64, steps: usize) -> Result<Run> {
    let net = Transformer::new(characters, device, &mut Rng::seed(seed))?;
    let opt = AdamW::default().init(&net)?;
    let opt = opt.schedule(move |t| LR_TEXT * one_cycle(t as usize, steps, WARM_UP));
    let windows = Windows::new(text, CONTEXT)?.stride(CONTEXT / 4)?;
    let batches = windows.loader(WINDOWS, Shuffled(Seed(seed)), Stack)?.drop_tail()?;
    fit(device, &opt, &batches, steps, |(x, y): (Host<i32>, Host<i32>)| {
        net.forward(&x.to(device)).cross_entropy(&y.to(device).flatten(..))
    })
}

/// The loop, the same for both: it waits for every step, to time it.
fn fit<B: Send + 'static>(
    device: &Device,
    opt: &Optimizer,
    batches: &Loader<B>,
    steps: usize,
    loss: impl Fn(B) -> Tensor,
) -> Result<Run> {
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    for batch in (0..).flat_map(|epoch| batches.epoch(epoch)).take(steps) {
        let batch = batch?;
        let start = Instant::now();
        let loss = loss(batch);
        opt.step(&loss)?;
        losses.push(loss.item()?);
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let plan = device.last_step().context("no step was taken")?;
    let report = opt.report()?;
    Ok(Run {
        losses,
        step_ms: times[times.len() / 2],
        planned_bytes: plan.planned_bytes,
        skipped: report.skipped,
        loss_scale: report.loss_scale,
    })
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
