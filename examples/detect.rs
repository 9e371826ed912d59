//! Trains a one-stage detector to find digits that lie about in an image: where they are, and which.
//!
//! `cargo run --release --example detect`; `--help` lists the options. The image is cut into cells; for each the net says whether the middle
//! of a digit lies in it, and if so the box around it and its class. Fails below a mean average precision of 0.7 (at an overlap of one
//! half) on scenes of digits that it has not seen.

mod common;

use anyhow::{Result, ensure};
use clap::Parser;
use thalweg::{
    data::{Host, pictures},
    nn::{ConvNorm, SmoothL1},
    prelude::*,
    train::{self, Bounds, Detection, average_precision, one_cycle, suppress},
};

use self::common::Common;

/// Pixels along each side of an image.
const SIDE: usize = 48;
/// Pixels along each side of a cell: what the net makes one place of.
const CELL: usize = 8;
/// Cells along each side.
const GRID: usize = SIDE / CELL;
const CLASSES: usize = 10;
/// Pixels along each side of a digit in the data set; here it is up to twice as wide and as high.
const DIGIT: usize = 8;
/// What a cell without a digit has as its class.
const NONE: i32 = -100;
/// Deviation of the noise; digits are as bright as 1.
const NOISE: f64 = 0.1;
const BATCH: usize = 32;
const STEPS: usize = 700;
const LR: f64 = 4e-3;
/// Scenes that are tested with.
const TEST: usize = 320;
/// The least overlap at which a digit is found, and the largest at which two boxes are not taken for one.
const OVERLAP: f64 = 0.5;
/// What the command promises.
const PRECISION: f64 = 0.7;

/// Trains on scattered digits.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Training steps; of fewer, nothing is asked for.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

/// Images of one to four digits, each made when it is asked for.
#[derive(Clone)]
struct Scenes {
    digits: InMemory,
    seed: u64,
    len: usize,
}

impl Scenes {
    /// An image, and its digits.
    fn scene(&self, index: usize) -> (Vec<f32>, Vec<(i32, Bounds)>) {
        let rng = &mut Rng::seed(self.seed << 32 | index as u64);
        let mut image: Vec<f32> = (0..SIDE * SIDE).map(|_| (NOISE * rng.normal()) as f32).collect();
        let (mut taken, mut objects) = (Vec::<Bounds>::new(), Vec::new());
        for _ in 0..=rng.below(4) {
            let [width, height] = [(); 2].map(|()| DIGIT + rng.below(DIGIT as u32 + 1) as usize);
            let [left, top] = [width, height].map(|extent| rng.below((SIDE - extent + 1) as u32) as usize);
            let middle = (left as f64 + width as f64 / 2.0, top as f64 + height as f64 / 2.0);
            let whole = Bounds::around(middle.0, middle.1, width as f64, height as f64);
            let chosen = self.digits.get(rng.below(self.digits.len() as u32) as usize);
            let Some((digit, class)) = chosen.filter(|_| taken.iter().all(|other| other.iou(&whole) == 0.0)) else {
                continue;
            };
            taken.push(whole);
            let mut ink = Bounds { left: f64::MAX, top: f64::MAX, right: 0.0, bottom: 0.0 };
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let pixel = digit[y * DIGIT / height * DIGIT + x * DIGIT / width];
                image[(top + y) * SIDE + left + x] += pixel;
                if pixel > 0.25 {
                    let (x, y) = ((left + x) as f64, (top + y) as f64);
                    ink = Bounds {
                        left: ink.left.min(x),
                        top: ink.top.min(y),
                        right: ink.right.max(x + 1.0),
                        bottom: ink.bottom.max(y + 1.0),
                    };
                }
            }
            objects.push((class, ink));
        }
        (image, objects)
    }
}

/// An image `[1, 48, 48]`, and what the net is to say of it: whether there is a digit `[6, 6]`, its class `[6, 6]`, and its box
/// `[4, 6, 6]`: the middle, from the corner of the cell, and the size, all in cells.
impl Dataset for Scenes {
    type Item = (Host<f32>, (Host<f32>, Host<i32>, Host<f32>));

    fn len(&self) -> usize {
        self.len
    }

    fn item(&self, index: usize) -> thalweg::graph::Result<Self::Item> {
        let (image, objects) = self.scene(index);
        let cells = GRID * GRID;
        let (mut there, mut classes, mut boxes) = (vec![0.0; cells], vec![NONE; cells], vec![0.0; 4 * cells]);
        for (class, b) in objects {
            let [x, y, w, h] = [(b.left + b.right) / 2.0, (b.top + b.bottom) / 2.0, b.right - b.left, b.bottom - b.top]
                .map(|length| length / CELL as f64);
            let cell = y as usize * GRID + x as usize;
            (there[cell], classes[cell]) = (1.0, class);
            for (plane, value) in [x.fract(), y.fract(), w, h].into_iter().enumerate() {
                boxes[plane * cells + cell] = value as f32;
            }
        }
        let grid = |values| Host { values, shape: vec![GRID, GRID] };
        let classes = Host { values: classes, shape: vec![GRID, GRID] };
        let boxes = Host { values: boxes, shape: vec![4, GRID, GRID] };
        Ok((Host { values: image, shape: vec![1, SIDE, SIDE] }, (grid(there), classes, boxes)))
    }
}

#[derive(Module)]
struct Detector {
    body: Vec<ConvNorm>,
    head: Conv2d,
}

/// What is said of each cell: logits of a digit `[B, 6, 6]` and of its class `[B, 10, 6, 6]`, and its box `[B, 4, 6, 6]`.
struct Said {
    there: Tensor,
    class: Tensor,
    bounds: Tensor,
}

impl Detector {
    fn new(device: &Device, rng: &mut Rng) -> thalweg::graph::Result<Detector> {
        let settings = [(1, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)];
        let block = |(inputs, outputs, stride)| ConvNorm::new(inputs, outputs, 3).stride(stride).init(device, rng);
        let body = settings.map(block).into_iter().collect::<Result<_, _>>()?;
        Ok(Detector { body, head: Conv2d::new(64, 1 + CLASSES + 4, 1).init(device, rng)? })
    }

    fn forward(&self, x: &Tensor) -> Said {
        let y = self.head.forward(&self.body.forward(x));
        let (there, class) = (y.select(1, 0), y.narrow(1, 1, CLASSES));
        Said { there, class, bounds: y.narrow(1, 1 + CLASSES, 4) }
    }
}

impl Said {
    /// Cross-entropy of whether there is a digit, and where there is one, of its class, and how far its box is off.
    fn loss(&self, there: &Tensor, class: &Tensor, bounds: &Tensor) -> Tensor {
        let of_class = CrossEntropy { ignore_index: Some(NONE), ..CrossEntropy::default() };
        let off = SmoothL1 { beta: 0.1, reduction: Reduction::None }.loss(&self.bounds, bounds);
        let off = (off.sum(1) * there).sum(..) / there.sum(..);
        self.there.bce_with_logits(there) * 4.0 + of_class.loss(&self.class, class) + off
    }

    /// The digits of each class that are seen in images, the first of which has this number.
    fn detections(&self, first: usize, found: &mut [Vec<Detection>]) -> Result<()> {
        let (p, class) = (self.class.softmax(1).max(1).0 * self.there.sigmoid(), self.class.argmax(1));
        let (scores, classes, bounds) = (p.to_vec::<f32>()?, class.to_vec::<i32>()?, self.bounds.to_vec::<f32>()?);
        let cells = GRID * GRID;
        for (i, (score, class)) in scores.iter().zip(classes).enumerate().filter(|(_, (score, _))| **score > 0.01) {
            let (image, cell) = (i / cells, i % cells);
            let [x, y, w, h] = std::array::from_fn(|plane| f64::from(bounds[(image * 4 + plane) * cells + cell]));
            let [x, y, w, h] = [(cell % GRID) as f64 + x, (cell / GRID) as f64 + y, w, h].map(|x| x * CELL as f64);
            let bounds = Bounds::around(x, y, w, h);
            found[class as usize].push(Detection { image: first + image, score: f64::from(*score), bounds });
        }
        Ok(())
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
    let train = Scenes { digits: digits.train, seed: 2 * seed, len: BATCH * options.steps.max(1) };
    let test = Scenes { digits: digits.test, seed: 2 * seed + 1, len: TEST };

    let net = Detector::new(&device, &mut Rng::seed(seed))?;
    let opt = AdamW { lr: LR, ..AdamW::default() }.init(&net)?;
    // Every scene is shown once.
    for (i, batch) in train.loader(BATCH, InOrder, Stack)?.epoch(0).take(options.steps).enumerate() {
        let (images, (there, class, bounds)) = batch?;
        opt.set_lr(LR * one_cycle(i, STEPS, 0.1))?;
        let said = net.forward(&images.to(&device));
        let loss = said.loss(&there.to(&device), &class.to(&device), &bounds.to(&device));
        opt.step(&loss)?;
        if i == 0 {
            println!("{}", train::plan(&device));
        }
        if (i + 1) % 100 == 0 {
            println!("step {}: loss {:.4}", i + 1, loss.item()?);
        }
    }

    net.eval();
    let mut found = vec![Vec::new(); CLASSES];
    for (i, batch) in test.clone().loader(BATCH, InOrder, Stack)?.epoch(0).enumerate() {
        net.forward(&batch?.0.to(&device)).detections(i * BATCH, &mut found)?;
    }
    let scenes: Vec<_> = (0..TEST).map(|index| test.scene(index).1).collect();
    let of_class = |class: usize| {
        let all = scenes.iter().enumerate().flat_map(|(i, objects)| objects.iter().map(move |object| (i, object)));
        all.filter(|(_, (c, _))| *c == class as i32).map(|(i, (_, bounds))| (i, *bounds)).collect::<Vec<_>>()
    };
    let mut mean = 0.0;
    for (class, found) in found.iter().enumerate() {
        let precision = average_precision(&suppress(found, OVERLAP), &of_class(class), OVERLAP);
        println!("digit {class}: average precision {precision:.3}");
        mean += precision / CLASSES as f64;
    }
    println!("a scene:");
    pictures(&test.scene(0).0, SIDE, SIDE).iter().for_each(|line| println!("{line}"));
    let digits: usize = scenes.iter().map(Vec::len).sum();
    println!("mean average precision of {digits} digits in {TEST} new scenes: {mean:.3}");
    ensure!(options.steps < STEPS || mean >= PRECISION, "that is below {PRECISION}");
    Ok(())
}
