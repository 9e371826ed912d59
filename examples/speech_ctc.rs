//! Trains a recurrent net to write down the digits of a recording, of which nobody says when each is spoken: CTC.
//!
//! `cargo run --release --example speech_ctc`; `--help` lists the options. Fails above 3 % wrong characters.
//!
//! The recordings are made by the program (`common/tones.rs`): a digit is a voice that glides from one of four pitches to another, so no
//! single moment tells which digit it is; how high, how loud and how fast it speaks, pauses and noise differ each time.

mod common;
#[path = "common/tones.rs"]
mod tones;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::Collate,
    nn::Ctc,
    prelude::*,
    train::{self, edit_distance, one_cycle},
};

use self::{
    common::Common,
    tones::{BANDS, Batch},
};

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

    /// `[B, BANDS, T]` and lengths `[B]` to log-probabilities `[T / 2, B, 11]` and theirs.
    fn forward(&self, bands: &Tensor, lengths: &Tensor) -> (Tensor, Tensor) {
        let x = self.conv.forward(bands).relu().permute([2, 0, 1]);
        let lengths = (lengths + 1) / 2;
        let (states, _) = self.gru.forward_packed(&x, &lengths, None);
        (self.head.forward(&states).log_softmax(-1), lengths)
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
