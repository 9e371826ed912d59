//! Trains a recurrent net to foretell the oil temperature of a transformer: two layers of an LSTM over 512 hours.
//!
//! `cargo run --release --example ett_lstm -- --data ETTh1.csv`; `--help` lists the options. Fails unless the error on held-out windows
//! is below 0.8 of that of saying that nothing changes.
//!
//! The step of an [`Lstm`] is recorded once and walked over the hours, so it is planned as fast for 512 of them as for one.

mod common;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use thalweg::{prelude::*, train};

use self::common::Common;

/// Columns of the file behind the date; the last is what is foretold.
const INPUTS: usize = 7;
/// Hours ahead: half a day, so that what it is now says little.
const AHEAD: usize = 12;
/// Hours that the net sees.
const HOURS: usize = 512;
/// Windows of a step.
const BATCH: usize = 32;
/// Training steps.
const STEPS: usize = 200;
/// What its error must be below, in errors of no change.
const BETTER: f64 = 0.8;
/// Hours from one held-out window to the next.
const APART: usize = 11;

/// Foretells a series.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// A table with a line of names, a date and seven numbers an hour.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Hours that the net sees.
    #[arg(long, default_value_t = HOURS)]
    hours: usize,
    /// Width of a layer.
    #[arg(long, default_value_t = 128)]
    width: usize,
    /// Training steps, of 32 windows each.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

#[derive(Module)]
struct Net {
    lstm: Lstm,
    head: Linear,
}

impl Net {
    fn new(width: usize, device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            lstm: Lstm::new(INPUTS, width).layers(2).init(device, rng)?,
            head: Linear::new(width, 1).init(device, rng)?,
        })
    }

    /// `[hours, B, 7] → [B]`: the change of the last column from the last hour on.
    fn forward(&self, hours: &Tensor) -> Tensor {
        let (_, end) = self.lstm.forward(hours, None);
        // Of both layers' last states, that of the upper one.
        self.head.forward(&end.h.select(0, -1)).squeeze(1)
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
    let series = Series::load(&options.data)?;
    let reach = options.hours + AHEAD;
    ensure!(
        series.train > reach && series.rows.len() - series.train > reach,
        "the table is too short for {reach} hours"
    );

    let net = Net::new(options.width, &device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: 2e-3, ..AdamW::default() }.init(&net)?;
    let mut rng = Rng::seed(options.common.seed);
    let mut sum = 0.0;
    for step in 1..=options.steps {
        let starts: Vec<usize> = (0..BATCH).map(|_| (rng.uniform() * (series.train - reach) as f64) as usize).collect();
        let (hours, change) = series.windows(&starts, options.hours, &device);
        let loss = (net.forward(&hours) - change).square().mean(..);
        opt.step(&loss)?;
        sum += loss.item()?;
        if step == 1 {
            println!("{}", train::plan(&device));
        }
        if step % 20 == 0 {
            println!("step {step}: loss {:.4}", sum / 20.0);
            sum = 0.0;
        }
    }

    net.eval();
    let held_out: Vec<usize> = (series.train..series.rows.len() - reach).step_by(APART).collect();
    // Of the net, of no change, and of the mean of what it was trained with, which is 0.
    let mut errors = [0.0; 3];
    for starts in held_out.chunks(BATCH) {
        let (hours, change) = series.windows(starts, options.hours, &device);
        let last = hours.narrow(0, options.hours - 1, 1).narrow(2, INPUTS - 1, 1).reshape([starts.len()]);
        let missed = [net.forward(&hours) - &change, change.clone(), last + &change];
        for (error, missed) in errors.iter_mut().zip(missed) {
            *error += missed.square().sum(..).item()? / held_out.len() as f64;
        }
    }
    let [error, still, mean] = errors;
    println!("held out, mean squared error in variances: {error:.4}; of no change {still:.4}, of the mean {mean:.4}");
    let asked = options.steps >= STEPS && options.hours >= HOURS;
    ensure!(!asked || error < BETTER * still, "that is above {BETTER} of no change");
    Ok(())
}

/// Standardised rows; the first four fifths are to train with.
struct Series {
    rows: Vec<[f32; INPUTS]>,
    train: usize,
}

impl Series {
    fn load(file: &PathBuf) -> Result<Series> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut rows = Vec::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let values: Vec<f32> = line
                .split(',')
                .skip(1)
                .map(|value| value.trim().parse().with_context(|| format!("line {}: '{value}'", number + 1)))
                .collect::<Result<_>>()?;
            let count = values.len();
            let row = values.try_into();
            rows.push(row.map_err(|_| anyhow::anyhow!("line {} has {count} numbers, not {INPUTS}", number + 1))?);
        }
        let train = rows.len() * 4 / 5;
        for column in 0..INPUTS {
            let of = |row: &[f32; INPUTS]| f64::from(row[column]);
            let mean = rows[..train].iter().map(of).sum::<f64>() / train.max(1) as f64;
            let variance = rows[..train].iter().map(|row| (of(row) - mean).powi(2)).sum::<f64>() / train.max(1) as f64;
            let scale = variance.sqrt().max(1e-6);
            rows.iter_mut().for_each(|row| row[column] = ((of(row) - mean) / scale) as f32);
        }
        Ok(Series { rows, train })
    }

    /// Windows from these hours on, `[hours, B, 7]`, and how the last column changes from their last hour to the one foretold, `[B]`.
    fn windows(&self, starts: &[usize], hours: usize, device: &Device) -> (Tensor, Tensor) {
        let rows = (0..hours).flat_map(|t| starts.iter().flat_map(move |start| self.rows[start + t]));
        let at = |hour: usize| self.rows[hour][INPUTS - 1];
        let change: Vec<f32> = starts.iter().map(|s| at(s + hours - 1 + AHEAD) - at(s + hours - 1)).collect();
        let values: Vec<f32> = rows.collect();
        let batch = starts.len();
        (Tensor::from_slice(device, &values, [hours, batch, INPUTS]), Tensor::from_slice(device, &change, [batch]))
    }
}
