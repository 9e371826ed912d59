//! Trains a convolutional net to tell whether a sentence of a review is in favour of the film: filters that are three, four and five
//! words wide, of each the strongest answer (Kim 2014, arXiv:1408.5882, with words learned from nothing).
//!
//! `cargo run --release --example text_cnn -- --data FOLDER`; `--help` lists the options. Fails below 72 % on the held-out tenth.

mod common;
#[path = "common/text.rs"]
mod text;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    prelude::*,
    train::{self, correct, mean_over},
};

use self::{
    common::Common,
    text::{Opinions, PADDING, batches},
};

/// Sentences of a step.
const BATCH: usize = 50;
/// Passes over the training sentences.
const EPOCHS: u32 = 4;
const LR: f64 = 1e-3;
/// Numbers that stand for a word.
const WIDTH: usize = 128;
/// Words that a filter sees.
const WORDS: [usize; 3] = [3, 4, 5];
/// Filters of each kind.
const FILTERS: usize = 64;
/// What the command promises; half of the sentences are in favour.
const ACCURACY: f64 = 0.72;

/// Trains on sentences of reviews.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// A folder with rt-polarity.neg and rt-polarity.pos, a sentence a line.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Passes over the training sentences.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
    /// Steps of an epoch at most; then no accuracy is asked for.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    steps: usize,
}

#[derive(Module)]
struct Net {
    words: Embedding,
    filters: Vec<Conv1d>,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(words: usize, device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            words: Embedding::new(words, WIDTH)
                .padding(PADDING as usize)
                .weights(Init::Uniform(0.25))
                .init(device, rng)?,
            filters: WORDS
                .into_iter()
                .map(|words| Conv1d::new(WIDTH, FILTERS, words).init(device, rng))
                .collect::<thalweg::graph::Result<_>>()?,
            dropout: Dropout::new(0.5).init(device, rng)?,
            head: Linear::new(WORDS.len() * FILTERS, 2).init(device, rng)?,
        })
    }

    /// `[B, L] → [B, 2]`
    fn forward(&self, words: &Tensor) -> Tensor {
        // Convolutions slide over the last axis.
        let x = self.words.forward(words).transpose(1, 2);
        let strongest: Vec<Tensor> = self.filters.iter().map(|filter| filter.forward(&x).relu().amax(2)).collect();
        self.head.forward(&self.dropout.forward(&Tensor::concat(&strongest, 1)))
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
    let data = Opinions::load(&options.data)?;
    println!("{} sentences to train on, {} held out, {} words", data.train.len(), data.test.len(), data.words.len());
    let net = Net::new(data.words.len(), &device, &mut Rng::seed(options.common.seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    let train = batches(&data.train, BATCH, options.common.seed)?.drop_tail()?;
    let mut accuracy = 0.0;
    for epoch in 0..options.epochs {
        net.train();
        let mut sum = Tensor::zeros(&device, []);
        let steps = options.steps.min(train.len());
        for (step, batch) in train.epoch(epoch).take(steps).enumerate() {
            let (words, labels) = batch?;
            let loss = net.forward(&words.values.to(&device)).cross_entropy(&labels.to(&device));
            opt.step(&loss)?;
            sum += loss.detach();
            if epoch == 0 && step == 0 {
                println!("{}", train::plan(&device));
            }
        }
        net.eval();
        let test = batches(&data.test, BATCH, 0)?.pad_tail();
        [accuracy] = mean_over(test, &device, |(words, labels)| {
            [correct(&net.forward(&words.values.to(&device)), &labels.to(&device))]
        })?;
        let loss = sum.item()? / steps as f64;
        println!("epoch {}: loss {loss:.4}, test accuracy {:.2} %", epoch + 1, 100.0 * accuracy);
    }
    println!("test accuracy: {:.2} %", 100.0 * accuracy);
    let asked = options.epochs >= EPOCHS && options.steps == usize::MAX;
    ensure!(!asked || accuracy >= ACCURACY, "that is below {:.0} %", 100.0 * ACCURACY);
    Ok(())
}
