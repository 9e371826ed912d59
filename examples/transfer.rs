//! Learns the digits 5 to 9, which lie anywhere in a noisy image, from ten images of each, by way of the digits 0 to 4.
//!
//! `cargo run --release --example transfer`; `--help` lists the options. A net is trained on half of the classes and saved. Its body is
//! loaded by name into a net for the other half, and frozen; the new head is trained, and the blocks of the body are thawed one after the
//! other, the last first. A net of the same kind is trained from scratch on the same images. Fails unless the first is 8 points ahead.

mod common;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::Host,
    nn::ConvNorm,
    prelude::*,
    train::{self, Load},
};

use self::common::Common;

/// Pixels along each side of a digit.
const DIGIT: usize = 8;
/// Pixels along each side of the image that it lies in.
const SIDE: usize = 12;
/// Deviation of the noise; digits are as bright as 1.
const NOISE: f64 = 0.2;
/// Classes of each half.
const CLASSES: usize = 5;
/// Images of each class that the second half is learned from.
const SHOTS: usize = 10;
/// Times that they are chosen; what is told is the mean.
const DRAWS: u64 = 4;
const BATCH: usize = 50;
/// Passes over the images of the first half.
const EPOCHS: u32 = 30;
/// Steps on the images of the second half.
const STEPS: usize = 100;
/// When a block of the body is thawed: at this step, this block.
const THAW: [(usize, usize); 3] = [(30, 2), (50, 1), (70, 0)];
/// Of everything that is new.
const LR: f64 = 3e-3;
/// Of the body, once it is thawed.
const BODY_LR: f64 = 1e-3;
/// What the gain must be, as a share of the test images.
const GAIN: f64 = 0.08;

/// Trains on one half of the classes, and then on the other.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the images of the first half; of fewer, no gain is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
    /// Times that images of the second half are chosen and learned from; of fewer, no gain is asked for.
    #[arg(long, default_value_t = DRAWS)]
    draws: u64,
    /// Where the net of the first half is written.
    #[arg(long, default_value = "out/transfer")]
    out: PathBuf,
}

#[derive(Module)]
struct Net {
    body: [ConvNorm; 3],
    head: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        let body = [
            ConvNorm::new(1, 16, 3).init(device, rng)?,
            ConvNorm::new(16, 32, 3).stride(2).init(device, rng)?,
            ConvNorm::new(32, 64, 3).stride(2).init(device, rng)?,
        ];
        Ok(Net { body, head: Linear::new(64, CLASSES).init(device, rng)? })
    }

    /// `[B, 1, 12, 12] → [B, 5]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.body.iter().fold(x.clone(), |x, block| block.forward(&x));
        self.head.forward(&x.amax([2, 3]))
    }

    /// Whether a block learns. One that does not keeps its statistics as well.
    fn thaw(&self, block: usize, thawed: bool) {
        self.body[block].freeze(!thawed);
        if thawed { self.body[block].train() } else { self.body[block].eval() }
    }
}

/// A digit somewhere in a larger, noisy image: `[1, 8, 8] → [1, 12, 12]`.
fn lost(digit: &Host<f32>, rng: &mut Rng) -> Host<f32> {
    let mut values: Vec<f32> = (0..SIDE * SIDE).map(|_| (NOISE * rng.normal()) as f32).collect();
    let [left, top] = [(); 2].map(|()| rng.below((SIDE - DIGIT + 1) as u32) as usize);
    for (i, pixel) in digit.values.iter().enumerate() {
        values[(top + i / DIGIT) * SIDE + left + i % DIGIT] += pixel;
    }
    Host { values, shape: vec![1, SIDE, SIDE] }
}

/// Batches of the classes from `first` on, which are numbered from 0; of each at most so many digits, chosen at random.
fn half(data: &InMemory, first: usize, most: usize, batch: usize, seed: u64) -> Result<Loader<(Host<f32>, Host<i32>)>> {
    let mut left = [most; CLASSES];
    let mut chosen = Rng::seed(seed).permutation(data.len());
    chosen.retain(|i| {
        let class = (data.labels()[*i] as usize).wrapping_sub(first);
        let taken = class < CLASSES && left[class] > 0;
        if taken {
            left[class] -= 1;
        }
        taken
    });
    let digits = data.clone().subset(chosen)?;
    let images = digits.augment(Seed(seed), move |(digit, label), rng| (lost(&digit, rng), label - first as i32));
    Ok(images.loader(batch, Shuffled(Seed(seed)), Stack)?)
}

/// The accuracy on all held-out digits of one half.
fn test(net: &Net, data: &Digits, first: usize, device: &Device) -> Result<f64> {
    net.eval();
    let (images, labels) = half(&data.test, first, usize::MAX, data.test.len(), 0)?.next_batch()?;
    Ok(accuracy(&net.forward(&images.to(device)), &labels.to(device)).item()?)
}

/// Trains on the digits 0 to 4, and saves the net.
fn pretrain(data: &Digits, file: &Path, device: &Device, options: &Options) -> Result<()> {
    let net = Net::new(device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    let batches = half(&data.train, 0, usize::MAX, BATCH, options.common.seed)?.drop_tail()?;
    for epoch in 0..options.epochs {
        for batch in batches.epoch(epoch) {
            let (images, labels) = batch?;
            opt.step(&net.forward(&images.to(device)).cross_entropy(&labels.to(device)))?;
        }
        if epoch == 0 {
            println!("{}", train::plan(device));
        }
    }
    println!("digits 0 to 4: {:.2} %", 100.0 * test(&net, data, 0, device)?);
    Ok(train::save(file, &net)?)
}

/// Trains on a few images of the digits 5 to 9, from the body in a file if there is one. Gives the accuracy on held-out ones.
fn learn(data: &Digits, draw: u64, body: Option<&Path>, device: &Device) -> Result<f64> {
    let net = Net::new(device, &mut Rng::seed(draw))?;
    let (images, labels) = half(&data.train, CLASSES, SHOTS, SHOTS * CLASSES, draw)?.next_batch()?;
    let (images, labels) = (images.to(device), labels.to(device));
    let adam = AdamW { lr: LR, ..AdamW::default() };
    let opt = match body {
        Some(file) => {
            let loaded = Load::new().only(|name| name.starts_with("body.")).load(file, &net)?;
            if draw == 0 {
                println!("{loaded}");
            }
            (0..net.body.len()).for_each(|block| net.thaw(block, false));
            adam.clone().init(&net)?.group("body.*", AdamW { lr: BODY_LR, ..adam })?
        }
        None => adam.init(&net)?,
    };
    for step in 0..STEPS {
        for (_, block) in THAW.iter().filter(|(at, _)| *at == step && body.is_some()) {
            net.thaw(*block, true);
        }
        opt.step(&net.forward(&images).cross_entropy(&labels))?;
    }
    test(&net, data, CLASSES, device)
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let (data, file) = (Digits::embedded()?, options.out.join("half.safetensors"));
    pretrain(&data, &file, &device, options)?;
    let (mut scratch, mut transferred) = (0.0, 0.0);
    for draw in (0..options.draws).map(|draw| options.common.seed * DRAWS + draw) {
        let (without, with) = (learn(&data, draw, None, &device)?, learn(&data, draw, Some(&file), &device)?);
        println!("{SHOTS} images a digit: {:.2} % from scratch, {:.2} % with the body", 100.0 * without, 100.0 * with);
        scratch += without / options.draws as f64;
        transferred += with / options.draws as f64;
    }
    let gain = transferred - scratch;
    println!(
        "digits 5 to 9: {:.2} % from scratch, {:.2} % with the body, a gain of {:.2} points",
        100.0 * scratch,
        100.0 * transferred,
        100.0 * gain
    );
    let asked = options.epochs >= EPOCHS && options.draws >= DRAWS;
    ensure!(!asked || gain >= GAIN, "that is below {:.0} points", 100.0 * GAIN);
    Ok(())
}
