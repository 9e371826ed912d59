//! Trains a U-Net to find discs, squares and triangles: a class for every pixel of a noisy image.
//!
//! `cargo run --release --example segment_unet`; `--help` lists the options. The program draws the images itself. Fails below a mean
//! intersection over union of 0.75 on images that it has not seen.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::{Host, pictures},
    nn::models::unet,
    prelude::*,
    train::{self, Confusion, one_cycle},
};

use self::common::Common;

/// Pixels along each side.
const SIDE: usize = 32;
/// What a pixel may belong to.
const CLASSES: [&str; 4] = ["ground", "disc", "square", "triangle"];
/// Deviation of the noise; shapes are half a unit to a whole one brighter than the ground.
const NOISE: f64 = 0.2;
const BATCH: usize = 16;
const STEPS: usize = 350;
const LR: f64 = 8e-3;
/// What a pixel of a class counts: most are of the ground.
const WEIGHTS: [f32; 4] = [0.15, 1.0, 1.0, 1.0];
/// Images that are tested with.
const TEST: usize = 160;
/// What the command promises.
const MEAN_IOU: f64 = 0.75;

/// Trains on shapes.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Training steps; of fewer, nothing is asked for.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

/// Images of shapes, `[1, 32, 32]`, with the class of each pixel, `[32, 32]`: each drawn when it is asked for.
#[derive(Clone)]
struct Shapes {
    seed: u64,
    len: usize,
}

impl Dataset for Shapes {
    type Item = (Host<f32>, Host<i32>);

    fn len(&self) -> usize {
        self.len
    }

    fn item(&self, index: usize) -> thalweg::graph::Result<Self::Item> {
        let rng = &mut Rng::seed(self.seed << 32 | index as u64);
        let mut image = vec![0.0; SIDE * SIDE];
        let mut classes = vec![0; SIDE * SIDE];
        for _ in 0..=rng.below(3) {
            let (class, bright) = (1 + rng.below(3) as i32, 0.5 + 0.5 * rng.uniform());
            let [x, y] = [(); 2].map(|()| rng.uniform() * SIDE as f64);
            let r = 4.0 + 5.0 * rng.uniform();
            for (i, pixel) in image.iter_mut().enumerate() {
                let (dx, dy) = ((i % SIDE) as f64 - x, (i / SIDE) as f64 - y);
                let inside = match class {
                    1 => dx * dx + dy * dy <= r * r,
                    2 => dx.abs().max(dy.abs()) <= 0.9 * r,
                    _ => dy.abs() <= r && dx.abs() <= (dy + r) / 2.0,
                };
                if inside {
                    (*pixel, classes[i]) = (bright, class);
                }
            }
        }
        let values = image.into_iter().map(|pixel| (pixel + NOISE * rng.normal()) as f32).collect();
        Ok((Host { values, shape: vec![1, SIDE, SIDE] }, Host { values: classes, shape: vec![SIDE, SIDE] }))
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
    let seed = options.common.seed;
    let train = Shapes { seed: 2 * seed, len: BATCH * options.steps.max(1) };
    let test = Shapes { seed: 2 * seed + 1, len: TEST };

    let net = unet().channels(1).classes(CLASSES.len()).width(8).init(&device, &mut Rng::seed(seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    let weight = Some(Tensor::from_slice(&device, &WEIGHTS, [CLASSES.len()]));
    let weighted = CrossEntropy { weight, ..CrossEntropy::default() };
    // Every image is shown once.
    for (i, batch) in train.loader(BATCH, InOrder, Stack)?.epoch(0).take(options.steps).enumerate() {
        let (images, classes) = batch?;
        opt.set_lr(LR * one_cycle(i, STEPS, 0.1))?;
        let loss = weighted.loss(&net.forward(&images.to(&device)), &classes.to(&device));
        opt.step(&loss)?;
        if i == 0 {
            println!("{}", train::plan(&device));
        }
        if (i + 1) % 50 == 0 {
            println!("step {}: loss {:.4}", i + 1, loss.item()?);
        }
    }

    net.eval();
    let mut confusion = Confusion::new(CLASSES.len());
    for batch in test.clone().loader(BATCH, InOrder, Stack)?.epoch(0) {
        let (images, classes) = batch?;
        let guess = net.forward(&images.to(&device)).argmax(1);
        confusion.add(&guess.to_vec::<i32>()?, &classes.values)?;
    }
    let (image, classes) = test.loader(1, InOrder, Stack)?.next_batch()?;
    let guess = net.forward(&image.to(&device)).argmax(1).cast(DType::F32).to_vec::<f32>()?;
    let truth = classes.values.iter().map(|class| *class as f32).collect();
    println!("an image, its classes, and what the net says:");
    let side_by_side = [image.values, truth, guess].map(|pixels| pictures(&pixels, SIDE, SIDE));
    for row in 0..SIDE {
        let lines = side_by_side.each_ref().map(|lines| format!("{:64}", lines[row]));
        println!("{}", lines.join("  ").trim_end());
    }
    for (class, iou) in CLASSES.iter().zip(confusion.ious()) {
        println!("{class}: IoU {:.3}", iou.unwrap_or(f64::NAN));
    }
    let (mean, right) = (confusion.mean_iou(), 100.0 * confusion.accuracy());
    println!("mean IoU on {TEST} new images: {mean:.3}; {right:.2} % of the pixels");
    ensure!(options.steps < STEPS || mean >= MEAN_IOU, "that is below {MEAN_IOU}");
    Ok(())
}
