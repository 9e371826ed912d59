//! Trains a net of 3-D convolutions to see in which of eight directions a digit moves.
//!
//! `cargo run --release --example video_cnn`; `--help` lists the options. The program makes the clips: a digit begins anywhere and comes in
//! again on the other side, so that no frame alone says anything. Fails below 90 % on digits that it has not seen; the accuracy on the same
//! clips with their frames in random order, which should be poor, is printed beside it.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::Host,
    nn::models::video_cnn,
    prelude::*,
    train::{self, one_cycle},
};

use self::common::Common;

/// Pixels along each side of a digit.
const DIGIT: usize = 8;
/// Pixels along each side of a frame.
const SIDE: usize = 16;
const FRAMES: usize = 8;
/// Pixels a frame to the right and down, for each class.
const DIRECTIONS: [(isize, isize); 8] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];
/// Deviation of the noise; digits are as bright as 1.
const NOISE: f64 = 0.2;
const BATCH: usize = 32;
const STEPS: usize = 160;
const LR: f64 = 4e-3;
/// Clips that are tested with.
const TEST: usize = 640;
/// What the command promises.
const ACCURACY: f64 = 0.9;

/// Trains on moving digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Training steps; of fewer, nothing is asked for.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

/// Clips `[1, 8, 16, 16]` with the number of their direction, each made when it is asked for.
#[derive(Clone)]
struct Clips {
    digits: InMemory,
    seed: u64,
    len: usize,
    /// Whether the frames are in order.
    ordered: bool,
}

impl Dataset for Clips {
    type Item = (Host<f32>, i32);

    fn len(&self) -> usize {
        self.len
    }

    fn item(&self, index: usize) -> thalweg::graph::Result<Self::Item> {
        let rng = &mut Rng::seed(self.seed << 32 | index as u64);
        let (digit, _) = self.digits.item(rng.below(self.digits.len() as u32) as usize)?;
        let direction = rng.below(DIRECTIONS.len() as u32) as usize;
        let [left, top] = [(); 2].map(|()| rng.below(SIDE as u32) as isize);
        let mut clip: Vec<f32> = (0..FRAMES * SIDE * SIDE).map(|_| (NOISE * rng.normal()) as f32).collect();
        let order = if self.ordered { (0..FRAMES).collect() } else { rng.permutation(FRAMES) };
        let (right, down) = DIRECTIONS[direction];
        for (frame, time) in clip.chunks_mut(SIDE * SIDE).zip(order) {
            let place = |begin: isize, speed: isize, i: usize| {
                (begin + speed * time as isize + i as isize).rem_euclid(SIDE as isize) as usize
            };
            for (i, pixel) in digit.values.iter().enumerate() {
                frame[place(top, down, i / DIGIT) * SIDE + place(left, right, i % DIGIT)] += pixel;
            }
        }
        Ok((Host { values: clip, shape: vec![1, FRAMES, SIDE, SIDE] }, direction as i32))
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
    let (digits, seed) = (Digits::embedded()?, options.common.seed);
    let clips = |digits: &InMemory, seed, len| Clips { digits: digits.clone(), seed, len, ordered: true };
    let train = clips(&digits.train, 2 * seed, BATCH * options.steps.max(1));
    let test = clips(&digits.test, 2 * seed + 1, TEST);

    let net = video_cnn().classes(DIRECTIONS.len()).width(8).init(&device, &mut Rng::seed(seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    // Every clip is shown once.
    for (i, batch) in train.loader(BATCH, InOrder, Stack)?.epoch(0).take(options.steps).enumerate() {
        let (clips, directions) = batch?;
        opt.set_lr(LR * one_cycle(i, STEPS, 0.1))?;
        let loss = net.forward(&clips.to(&device)).cross_entropy(&directions.to(&device));
        opt.step(&loss)?;
        if i == 0 {
            println!("{}", train::plan(&device));
        }
        if (i + 1) % 50 == 0 {
            println!("step {}: loss {:.4}", i + 1, loss.item()?);
        }
    }

    net.eval();
    let accuracy = |clips: &Clips| Ok::<_, Error>(evaluate(clips, BATCH, &device, |x| net.forward(x))?.accuracy);
    let (ordered, mixed_up) = (accuracy(&test)?, accuracy(&Clips { ordered: false, ..test })?);
    println!(
        "accuracy on {TEST} new clips: {:.2} %; with their frames mixed up {:.2} %",
        100.0 * ordered,
        100.0 * mixed_up
    );
    ensure!(options.steps < STEPS || ordered >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    Ok(())
}
