//! Trains a recurrent net to write down the digits of a recording, of which nobody says when each is spoken: CTC.
//!
//! `cargo run --release --example speech_ctc`; `--help` lists the options. Fails above 3 % wrong characters.
//!
//! The recordings are made by the program: a digit is a voice that glides from one of four pitches to another, so no single moment tells
//! which digit it is; how high, how loud and how fast it speaks, pauses and noise differ each time.

mod common;

use std::f64::consts::TAU;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::Collate,
    nn::Ctc,
    prelude::*,
    train::{self, edit_distance, one_cycle},
};

use self::common::Common;

/// Recordings of a step.
const BATCH: usize = 32;
/// Training steps.
const STEPS: usize = 300;
const LR: f64 = 5e-3;
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Width of the recurrent layer, in each direction.
const WIDTH: usize = 64;
/// Recordings that it is tested on.
const TEST: usize = 256;
/// Share of wrong characters that the command promises to stay below.
const ERRORS: f64 = 0.03;

/// Samples a second.
const RATE: f64 = 8000.0;
/// Samples of a frame: 16 ms.
const FRAME: usize = 128;
/// Frequencies at which each frame is measured, a third of an octave apart from the first, in Hz.
const BANDS: usize = 12;
const LOWEST: f64 = 200.0;
/// Pitches between which a digit glides, in bands: ten of the twelve ways from one to another are digits.
const PITCHES: [f64; 4] = [1.5, 4.0, 6.5, 9.0];
/// Digits of a recording, and frames of a digit and of a pause: from, to.
const DIGITS: (u32, u32) = (3, 7);
const LENGTH: (u32, u32) = (5, 10);
const PAUSE: (u32, u32) = (1, 3);
/// Frames of every recording, silence at the end included.
const TIME: usize = 96;

/// Trains on recordings that it makes.
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
    conv: Conv1d,
    gru: Gru,
    head: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            // Every other frame: fewer steps, and fewer blanks to learn first.
            conv: Conv1d::new(BANDS, WIDTH, 5).stride(2).padding(2).init(device, rng)?,
            gru: Gru::new(WIDTH, WIDTH).bidirectional(true).init(device, rng)?,
            // The blank, and ten digits.
            head: Linear::new(2 * WIDTH, 11).init(device, rng)?,
        })
    }

    /// `[B, BANDS, TIME]` and lengths `[B]` to log-probabilities `[TIME / 2, B, 11]` and theirs.
    fn forward(&self, bands: &Tensor, lengths: &Tensor) -> (Tensor, Tensor) {
        let x = self.conv.forward(bands).relu().permute([2, 0, 1]);
        let lengths = (lengths + 1) / 2;
        let (states, _) = self.gru.forward_packed(&x, &lengths, None);
        (self.head.forward(&states).log_softmax(-1), lengths)
    }
}

/// Recordings of a batch and what is said in them.
struct Batch {
    /// `[B, BANDS, TIME]`, and how many frames of each count, `[B]`.
    bands: Tensor,
    lengths: Tensor,
    /// Digits from 1 on: 0 is the blank.
    labels: Vec<Vec<i32>>,
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let net = Net::new(&device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    let rng = &mut Rng::seed(options.common.seed);
    let ctc = Ctc::default();
    let mut sum = 0.0;
    for step in 1..=options.steps {
        let batch = Batch::new(BATCH, rng, &device);
        let labels = Pad::with(0).collate(batch.labels)?;
        opt.set_lr(LR * one_cycle(step - 1, options.steps, WARM_UP))?;
        let (log_p, lengths) = net.forward(&batch.bands, &batch.lengths);
        let loss = ctc.loss(&log_p, &labels.values.to(&device), &lengths, &labels.lengths.to(&device));
        opt.step(&loss)?;
        sum += loss.item()?;
        if step == 1 {
            println!("{}", train::plan(&device));
        }
        if step % 25 == 0 {
            println!("step {step}: loss {:.4}", sum / 25.0);
            sum = 0.0;
        }
    }

    net.eval();
    let rng = &mut Rng::seed(options.common.seed + 1_000_003);
    let (mut wrong, mut spoken) = (0, 0);
    for number in 0..TEST / BATCH {
        let batch = Batch::new(BATCH, rng, &device);
        let (log_p, lengths) = net.forward(&batch.bands, &batch.lengths);
        let heard = ctc.best_path(&log_p, &lengths)?;
        for (row, (heard, labels)) in heard.iter().zip(&batch.labels).enumerate() {
            wrong += edit_distance(heard, labels);
            spoken += labels.len();
            if number == 0 && row < 3 {
                println!("said {:8} heard {}", text(labels), text(heard));
            }
        }
    }
    let errors = wrong as f64 / spoken as f64;
    println!("character error rate: {:.2} % of {spoken}", 100.0 * errors);
    ensure!(options.steps < STEPS || errors <= ERRORS, "that is above {:.0} %", 100.0 * ERRORS);
    Ok(())
}

fn text(labels: &[i32]) -> String {
    labels.iter().map(|label| (label - 1).to_string()).collect()
}

impl Batch {
    fn new(size: usize, rng: &mut Rng, device: &Device) -> Batch {
        let mut bands = vec![0.0; size * BANDS * TIME];
        let (mut lengths, mut all) = (Vec::new(), Vec::new());
        for row in 0..size {
            let labels: Vec<i32> = (0..between(DIGITS, rng)).map(|_| 1 + rng.below(10) as i32).collect();
            let sound = record(&labels, rng);
            for (time, frame) in sound.chunks_exact(FRAME).enumerate() {
                for (band, value) in loudness(frame).into_iter().enumerate() {
                    bands[(row * BANDS + band) * TIME + time] = value;
                }
            }
            lengths.push((sound.len() / FRAME) as i32);
            all.push(labels);
        }
        let bands = Tensor::from_slice(device, &bands, [size, BANDS, TIME]);
        Batch { bands, lengths: Tensor::from_slice(device, &lengths, [size]), labels: all }
    }
}

/// Samples of these digits, spoken one after the other by one voice.
fn record(labels: &[i32], rng: &mut Rng) -> Vec<f64> {
    let (voice, speed) = (rng.uniform() - 0.5, 0.8 + 0.2 * rng.uniform());
    let (mut sound, mut phase) = (Vec::new(), 0.0);
    for label in labels {
        let way = (label - 1) as usize;
        let from = way / 3;
        let to = (from + 1 + way % 3) % 4;
        let samples = (f64::from(between(LENGTH, rng)) * speed) as usize * FRAME;
        let loud = 0.5 + rng.uniform();
        for i in 0..samples {
            let part = i as f64 / samples as f64;
            let band = PITCHES[from] + (PITCHES[to] - PITCHES[from]) * part + voice;
            phase += TAU * LOWEST * (band / 3.0).exp2() / RATE;
            // Rises and falls, so that there is no click at the ends.
            sound.push(loud * (part * std::f64::consts::PI).sin().sqrt() * phase.sin());
        }
        sound.resize(sound.len() + between(PAUSE, rng) as usize * FRAME, 0.0);
    }
    sound.iter_mut().for_each(|sample| *sample += 0.1 * rng.normal());
    sound
}

/// How loud a frame is at each frequency, as a logarithm.
fn loudness(frame: &[f64]) -> [f32; BANDS] {
    std::array::from_fn(|band| {
        let pace = TAU * LOWEST * (band as f64 / 3.0).exp2() / RATE;
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in frame.iter().enumerate() {
            let (sin, cos) = (pace * i as f64).sin_cos();
            re += sample * cos;
            im += sample * sin;
        }
        (((re * re + im * im).sqrt() / FRAME as f64 + 1e-3).ln() + 3.0) as f32
    })
}

fn between((from, to): (u32, u32), rng: &mut Rng) -> u32 {
    from + rng.below(to - from + 1)
}
