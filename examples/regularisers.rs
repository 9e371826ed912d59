//! Trains a net that is too large for 200 images of digits, a fifth of them with a wrong label: by itself, which learns the mistakes, and
//! with each of the usual means against overfitting. Says what each leaves of the gap between the loss on images that were learned and on
//! others.
//!
//! `cargo run --release --example regularisers`; `--help` lists the options. Fails if the one with the least loss on held-out digits leaves
//! more than half of the gap, or reads fewer of them than the net by itself.

mod common;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use thalweg::{
    data::{Host, random_crop},
    optim::Penalty,
    prelude::*,
    train::{bootstrap, mean_of},
};

use self::common::Common;

/// Images to learn from.
const IMAGES: usize = 200;
/// Share of them whose label is wrong.
const WRONG: f64 = 0.2;
const BATCH: usize = 40;
/// Passes over them.
const EPOCHS: u32 = 100;
const LR: f64 = 2e-3;
const WIDTH: usize = 256;
/// Members of an ensemble.
const MEMBERS: u64 = 5;
/// Share of the images that early stopping keeps for itself, and the reports without progress that it waits for.
const HELD_OUT: f64 = 0.2;
const PATIENCE: u64 = 10;
/// Share of the gap that the one with the least loss leaves at most.
const LEFT: f64 = 0.5;

/// Compares means against overfitting.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Passes over the training images; of fewer, nothing is asked for.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: u32,
}

/// What is done against overfitting.
#[derive(Clone, Copy, Debug, PartialEq)]
enum With {
    Nothing,
    Dropout,
    WeightDecay,
    ProximalL1,
    LabelSmoothing,
    GradientNoise,
    EarlyStopping,
    Augmentation,
    Mixup,
    WeightAverage,
    Ensemble,
    Bagging,
}

use With::*;

const ALL: [With; 12] = [
    Nothing,
    Dropout,
    WeightDecay,
    ProximalL1,
    LabelSmoothing,
    GradientNoise,
    EarlyStopping,
    Augmentation,
    Mixup,
    WeightAverage,
    Ensemble,
    Bagging,
];

#[derive(Clone, Module)]
struct Net {
    hidden1: Linear,
    hidden2: Linear,
    dropout: thalweg::nn::Dropout,
    head: Linear,
}

impl Net {
    fn new(dropout: f64, device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Net> {
        Ok(Net {
            hidden1: Linear::new(64, WIDTH).init(device, rng)?,
            hidden2: Linear::new(WIDTH, WIDTH).init(device, rng)?,
            dropout: thalweg::nn::Dropout::new(dropout).init(device, rng)?,
            head: Linear::new(WIDTH, 10).init(device, rng)?,
        })
    }

    /// `[B, 1, 8, 8] → [B, 10]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.dropout.forward(&self.hidden1.forward(&x.flatten(1..)).relu());
        self.head.forward(&self.dropout.forward(&self.hidden2.forward(&x).relu()))
    }
}

/// What came of it.
struct Row {
    with: With,
    learned: Score,
    test: Score,
}

impl Row {
    fn gap(&self) -> f64 {
        self.test.loss - self.learned.loss
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
    let images = mistaken(&digits.train.first(IMAGES), options.common.seed)?;
    println!("{:<16}{:>10}{:>10}{:>8}{:>10}", "with", "training", "test", "gap", "accuracy");
    let mut rows = Vec::new();
    for with in ALL {
        let members = train(with, &images, &device, options)?;
        // Of one member the probabilities are its own; the logarithm is there for the loss.
        let forward = |x: &Tensor| mean_of(&members, |net| net.forward(x).softmax(-1)).clamp_min(1e-30).log();
        let learned = evaluate(&images, BATCH, &device, forward)?;
        let test = evaluate(&digits.test, 199, &device, forward)?;
        let row = Row { with, learned, test };
        let (name, accuracy) = (format!("{with:?}"), 100.0 * test.accuracy);
        println!("{name:<16}{:>10.4}{:>10.4}{:>8.4}{accuracy:>8.1} %", learned.loss, test.loss, row.gap());
        rows.push(row);
    }
    let by_itself = &rows[0];
    let best = rows[1..].iter().min_by(|a, b| a.test.loss.total_cmp(&b.test.loss)).context("nothing to compare")?;
    let left = best.gap() / by_itself.gap();
    println!("least is lost with {:?}: a gap of {:.2}, and {:.2} without", best.with, best.gap(), by_itself.gap());
    if options.epochs >= EPOCHS {
        ensure!(left <= LEFT, "that is more than {:.0} % of it", 100.0 * LEFT);
        ensure!(
            best.test.accuracy >= by_itself.test.accuracy,
            "and it reads fewer of the digits than the net by itself"
        );
    }
    Ok(())
}

/// The images with some labels wrong.
fn mistaken(images: &InMemory, seed: u64) -> Result<InMemory> {
    let rng = &mut Rng::seed(seed);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for i in 0..images.len() {
        let (image, label) = images.item(i)?;
        let is_wrong = rng.uniform() < WRONG;
        pixels.extend(image.values);
        labels.push(if is_wrong { (label + 1 + rng.below(9) as i32) % 10 } else { label });
    }
    Ok(InMemory::new(pixels, images.shape(), labels)?)
}

/// The nets that answer together, ready to be asked: one, if it is no ensemble.
fn train(with: With, images: &InMemory, device: &Device, options: &Options) -> Result<Vec<Net>> {
    let seed = options.common.seed;
    let nets: Vec<Net> = match with {
        Ensemble => (0..MEMBERS).map(|i| fit(with, images, None, seed + i, device, options)).collect::<Result<_>>()?,
        Bagging => {
            let rng = &mut Rng::seed(seed);
            let mut member = |i| {
                let bag = images.clone().subset(bootstrap(IMAGES as u32, rng).drawn)?;
                fit(with, &bag, None, seed + i, device, options)
            };
            (0..MEMBERS).map(&mut member).collect::<Result<_>>()?
        }
        EarlyStopping => {
            let (learned, watched) = images.clone().hold_out(HELD_OUT, Seed(seed))?;
            let score = |net: &Net| Ok(evaluate(&watched, BATCH, device, |x| net.forward(x))?.loss);
            vec![fit(with, &learned, Some(&score), seed, device, options)?]
        }
        _ => vec![fit(with, images, None, seed, device, options)?],
    };
    nets.iter().for_each(Net::eval);
    Ok(nets)
}

/// One net. What is watched, if anything, ends its training.
fn fit<D>(
    with: With,
    images: &D,
    watched: Option<&dyn Fn(&Net) -> Result<f64>>,
    seed: u64,
    device: &Device,
    options: &Options,
) -> Result<Net>
where
    D: Dataset<Item = (Host<f32>, i32)> + Clone + 'static,
{
    let rng = &mut Rng::seed(seed);
    let net = Net::new(if with == Dropout { 0.5 } else { 0.0 }, device, rng)?;
    let adam = |weight_decay: f64| AdamW { lr: LR, weight_decay, ..AdamW::default() };
    let opt = match with {
        WeightDecay => adam(2.0).init_no_decay(&net)?,
        ProximalL1 => adam(0.0).penalized(Penalty::l1(0.05).proximal()).init(&net)?,
        GradientNoise => adam(0.0).init(&net)?.gradient_noise(0.001, 0.55, rng),
        _ => adam(0.0).init(&net)?,
    };
    let moves = with == Augmentation;
    let changed = images.clone().augment(Seed(seed), move |(image, label), rng| {
        (if moves { random_crop(image, 1, rng) } else { image }, label)
    });
    let batches = changed.loader(BATCH, Shuffled(Seed(seed)), Stack)?.drop_tail()?;
    let average = Average::exponential(&net, 0.99)?.warmup();
    let stop = thalweg::train::EarlyStopping { patience: PATIENCE, ..Default::default() }.watch(&net)?;
    for epoch in 0..options.epochs {
        net.train();
        for batch in batches.epoch(epoch) {
            let (x, labels) = batch?;
            let (x, labels) = (x.to(device), labels.to(device));
            let loss = match with {
                Mixup => mixup(&net, &x, &labels, rng),
                LabelSmoothing => {
                    CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() }.loss(&net.forward(&x), &labels)
                }
                _ => net.forward(&x).cross_entropy(&labels),
            };
            opt.step(&loss)?;
            if with == WeightAverage {
                average.update()?;
            }
        }
        net.eval();
        if let Some(score) = watched
            && stop.report(score(&net)?)?
        {
            break;
        }
    }
    if watched.is_some() {
        stop.restore()?;
    }
    if with == WeightAverage {
        average.write()?;
    }
    drop(stop);
    Ok(net)
}

/// The loss of images between two: `λ x_i + (1 - λ) x_j`, with λ uniform, against both labels. The batch is shuffled, so that j may be
/// the next of i.
///
/// # Source
/// Zhang et al. 2018, arXiv:1710.09412, with α = 1.
fn mixup(net: &Net, x: &Tensor, labels: &Tensor, rng: &mut Rng) -> Tensor {
    let lambda: Vec<f32> = (0..labels.count()).map(|_| rng.uniform() as f32).collect();
    let lambda = Tensor::from_slice(x.device(), &lambda, [lambda.len()]);
    let share = lambda.reshape([lambda.count(), 1, 1, 1]);
    let logits = net.forward(&(x * &share + x.roll(1, 0) * (1.0 - &share)));
    let each = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
    let (first, second) = (each.loss(&logits, labels), each.loss(&logits, &labels.roll(1, 0)));
    (&lambda * first + (1.0 - &lambda) * second).mean(..)
}
