//! Trains a net on clips: a convolutional net looks at each frame, a recurrent one remembers what it saw. The frames are handwritten
//! digits in any order, and the net is to name the largest that the clip showed.
//!
//! `cargo run --release --example cnn_rnn`; `--help` lists the options. Fails below 85 % on clips of held-out digits. What one could
//! tell by the last frame alone is printed beside it: less than half.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    prelude::*,
    train::{self, accuracy, one_cycle},
};

use self::common::Common;

/// Clips of a step, and frames of a clip.
const BATCH: usize = 32;
const FRAMES: usize = 6;
/// Training steps.
const STEPS: usize = 400;
const LR: f64 = 4e-3;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Numbers that the convolutional net makes of a frame, and of the recurrent one's state.
const WIDTH: usize = 64;
/// Clips that it is tested on.
const TEST: usize = 1024;
/// What the command promises.
const ACCURACY: f64 = 0.85;

/// Trains on clips of the built-in digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Training steps.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

#[derive(Module)]
struct Net {
    conv1: Conv2d,
    norm1: BatchNorm2d,
    conv2: Conv2d,
    norm2: BatchNorm2d,
    frame: Linear,
    gru: Gru,
    head: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            conv1: Conv2d::new(1, 16, 3).padding(1).bias(false).init(device, rng)?,
            norm1: BatchNorm2d::new(16).init(device, rng)?,
            conv2: Conv2d::new(16, 32, 3).padding(1).bias(false).init(device, rng)?,
            norm2: BatchNorm2d::new(32).init(device, rng)?,
            frame: Linear::new(32 * 2 * 2, WIDTH).init(device, rng)?,
            gru: Gru::new(WIDTH, WIDTH).init(device, rng)?,
            head: Linear::new(WIDTH, 10).init(device, rng)?,
        })
    }

    /// `[T, B, 1, 8, 8] → [B, 10]`
    fn forward(&self, clips: &Tensor) -> Tensor {
        let &[time, batch, ..] = clips.shape() else { return clips.clone() };
        // To the convolutions all frames of all clips are one batch.
        let x = clips.flatten(..2);
        let x = self.norm1.forward(&self.conv1.forward(&x)).relu().max_pool2d(2);
        let x = self.norm2.forward(&self.conv2.forward(&x)).relu().max_pool2d(2);
        let frames = self.frame.forward(&x.flatten(1..)).relu().reshape([time, batch, WIDTH]);
        let (_, end) = self.gru.forward(&frames, None);
        self.head.forward(&end.select(0, 0))
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
    let digits = Digits::embedded()?;
    let (train, test) = (Clips::of(&digits.train), Clips::of(&digits.test));
    let net = Net::new(&device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: LR, weight_decay: 1e-2, ..AdamW::default() }.init(&net)?;
    let rng = &mut Rng::seed(options.common.seed);
    let mut sum = 0.0;
    for step in 1..=options.steps {
        let (clips, shown) = train.draw(BATCH, rng);
        let largest = Tensor::from_slice(&device, &largest(&shown), [BATCH]);
        opt.set_lr(LR * one_cycle(step - 1, options.steps, WARM_UP))?;
        let loss = net.forward(&Clips::tensor(&clips, BATCH, &device)).cross_entropy(&largest);
        opt.step(&loss)?;
        sum += loss.item()?;
        if step == 1 {
            println!("{}", train::plan(&device));
        }
        if step % 50 == 0 {
            println!("step {step}: loss {:.4}", sum / 50.0);
            sum = 0.0;
        }
    }

    net.eval();
    let (clips, shown) = test.draw(TEST, &mut Rng::seed(options.common.seed + 1));
    let largest = largest(&shown);
    let logits = net.forward(&Clips::tensor(&clips, TEST, &device));
    let right = accuracy(&logits, &Tensor::from_slice(&device, &largest, [TEST])).item()?;
    // How often the label that is most frequent behind this last digit is the right one.
    let mut counts = [[0; 10]; 10];
    shown.iter().zip(&largest).for_each(|(shown, largest)| counts[shown[FRAMES - 1] as usize][*largest as usize] += 1);
    let by_last: i32 = counts.iter().filter_map(|of_last| of_last.iter().max()).sum();
    let by_last = 100.0 * f64::from(by_last) / TEST as f64;
    println!("test accuracy: {:.2} %, by the last frame alone at best {by_last:.2} %", 100.0 * right);
    ensure!(options.steps < STEPS || right >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    Ok(())
}

/// Pictures by what they show.
struct Clips<'a> {
    digits: &'a InMemory,
    by_class: [Vec<usize>; 10],
}

impl Clips<'_> {
    fn of(digits: &InMemory) -> Clips<'_> {
        let of_class = |class: usize| (0..digits.len()).filter(|i| digits.labels()[*i] as usize == class).collect();
        Clips { digits, by_class: std::array::from_fn(of_class) }
    }

    /// Pixels of so many clips, frame by frame, and what each clip shows. Every digit is as often the largest.
    fn draw(&self, clips: usize, rng: &mut Rng) -> (Vec<Vec<f32>>, Vec<[u32; FRAMES]>) {
        let shown: Vec<[u32; FRAMES]> = (0..clips)
            .map(|_| {
                let largest = rng.below(10);
                let mut shown: [u32; FRAMES] = std::array::from_fn(|_| rng.below(largest + 1));
                shown[rng.below(FRAMES as u32) as usize] = largest;
                shown
            })
            .collect();
        let frames = (0..FRAMES).map(|t| {
            let of_frame = shown.iter().flat_map(|shown| {
                let pictures = &self.by_class[shown[t] as usize];
                let picture = pictures[rng.below(pictures.len() as u32) as usize];
                self.digits.get(picture).map_or(&[][..], |(pixels, _)| pixels)
            });
            of_frame.copied().collect()
        });
        (frames.collect(), shown)
    }

    /// `[T, B, 1, 8, 8]`
    fn tensor(frames: &[Vec<f32>], clips: usize, device: &Device) -> Tensor {
        Tensor::from_slice(device, &frames.concat(), [FRAMES, clips, 1, 8, 8])
    }
}

fn largest(shown: &[[u32; FRAMES]]) -> Vec<i32> {
    shown.iter().map(|shown| shown.iter().copied().max().unwrap_or(0) as i32).collect()
}
