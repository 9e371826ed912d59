//! Trains a small perceptron to tell three kinds of iris apart by four measures of a flower.
//!
//! `cargo run --release --example iris_mlp -- --data iris.csv`; `--help` lists the options. Fails below 85 % on the held-out third; the
//! nearest mean of a class is printed beside it.

mod common;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use thalweg::{nn::models::mlp, prelude::*, train};

use self::common::Common;

/// Measures of a flower.
const MEASURES: usize = 4;
const BATCH: usize = 20;
const EPOCHS: u32 = 40;
/// Share of each kind that is held out.
const HELD_OUT: f64 = 1.0 / 3.0;
/// What the command promises.
const ACCURACY: f64 = 0.85;

/// Tells irises apart.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// A table with a line of names, then four numbers and a kind in each line.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Passes over the training flowers; of fewer, no accuracy is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
}

/// A flower, and the number of its kind.
type Flower = ([f32; MEASURES], i32);

/// The table, and the names of the kinds in the order of their numbers.
fn read(path: &PathBuf) -> Result<(Vec<Flower>, Vec<String>)> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut kinds: Vec<String> = Vec::new();
    let mut flowers = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let (numbers, kind) = line.rsplit_once(',').with_context(|| format!("line {} has no commas", number + 1))?;
        let numbers = numbers.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>();
        let numbers = numbers.with_context(|| format!("line {}: '{line}'", number + 1))?;
        let measures = numbers.try_into();
        let measures = measures.map_err(|_| anyhow::anyhow!("line {} has not {MEASURES} numbers", number + 1))?;
        let label = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
            kinds.push(kind.into());
            kinds.len() - 1
        });
        flowers.push((measures, label as i32));
    }
    Ok((flowers, kinds))
}

/// Mean and deviation of each measure, by which all of them count alike.
fn moments(flowers: &impl Dataset<Item = Flower>) -> Result<[(f32, f32); MEASURES]> {
    let rows = (0..flowers.len()).map(|i| Ok(flowers.item(i)?.0)).collect::<Result<Vec<_>>>()?;
    let mean = |of: &dyn Fn(f32) -> f32, m: usize| rows.iter().map(|row| of(row[m])).sum::<f32>() / rows.len() as f32;
    Ok(std::array::from_fn(|m| {
        let centre = mean(&|x| x, m);
        (centre, mean(&|x| (x - centre).powi(2), m).sqrt().max(1e-6))
    }))
}

/// The share of the held-out flowers that are nearest to the mean of their own kind.
fn nearest_mean(train: &impl Dataset<Item = Flower>, test: &impl Dataset<Item = Flower>, kinds: usize) -> Result<f64> {
    let mut sums = vec![([0.0; MEASURES], 0.0); kinds];
    for i in 0..train.len() {
        let (x, label) = train.item(i)?;
        let (sum, count) = &mut sums[label as usize];
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        *count += 1.0;
    }
    let mut right = 0;
    for i in 0..test.len() {
        let (x, label) = test.item(i)?;
        let distance = |(sum, count): &([f32; MEASURES], f32)| {
            sum.iter().zip(x).map(|(sum, x)| (sum / count - x).powi(2)).sum::<f32>()
        };
        let nearest = (0..kinds).min_by(|a, b| distance(&sums[*a]).total_cmp(&distance(&sums[*b])));
        right += usize::from(nearest == Some(label as usize));
    }
    Ok(right as f64 / test.len() as f64)
}

/// From the command line.
pub fn main() -> Result<()> {
    env_logger::init();
    run(&Options::parse())
}

/// With these options.
pub fn run(options: &Options) -> Result<()> {
    let device = options.common.device()?;
    let (flowers, kinds) = read(&options.data)?;
    println!("{} flowers of {} kinds: {}", flowers.len(), kinds.len(), kinds.join(", "));
    let seed = Seed(options.common.seed);
    let (train, test) = flowers.hold_out_of_each(HELD_OUT, seed, |(_, kind)| *kind)?;
    let moments = moments(&train)?;
    let scaled = move |(x, kind): Flower| (std::array::from_fn(|m| (x[m] - moments[m].0) / moments[m].1), kind);
    let (train, test) = (train.map(scaled), test.map(scaled));
    let by_means = nearest_mean(&train, &test, kinds.len())?;

    let net = mlp(&[MEASURES, 16, 16, kinds.len()]).init(&device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&net)?;
    let batches = train.loader(BATCH, Shuffled(seed), Stack)?.drop_tail()?;
    for epoch in 0..options.epochs {
        let mut last = None;
        for batch in batches.epoch(epoch) {
            let (x, kind) = batch?;
            let loss = net.forward(&x.to(&device)).cross_entropy(&kind.to(&device));
            opt.step(&loss)?;
            last = Some(loss);
        }
        if epoch == 0 {
            println!("{}", train::plan(&device));
        }
        if let Some(loss) = last.filter(|_| (epoch + 1) % 10 == 0) {
            println!("epoch {}: loss {:.4}", epoch + 1, loss.item()?);
        }
    }

    net.eval();
    let (x, kind) = test.clone().loader(test.len(), InOrder, Stack)?.next_batch()?;
    let right = accuracy(&net.forward(&x.to(&device)), &kind.to(&device)).item()?;
    println!(
        "accuracy on {} held-out flowers: {:.1} %; by the nearest mean {:.1} %",
        kind.values.len(),
        100.0 * right,
        100.0 * by_means
    );
    ensure!(options.epochs < EPOCHS || right >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    Ok(())
}
