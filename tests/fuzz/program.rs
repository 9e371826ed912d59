//! Programs, and how they are drawn.

use thalweg_graph::{DType, Device, Rng, Tensor, shape::count};

use super::{
    draws::{floats, list, tensor},
    rows::ROWS,
};

/// A program, valid whatever its numbers are.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What it was drawn from.
    pub seed: u64,
    /// Its inputs.
    pub leaves: Vec<Leaf>,
    /// What it does to them.
    pub steps: Vec<Instruction>,
    /// How it is run.
    pub habits: Habits,
    /// Elements that no tensor may exceed: an instruction whose result would be larger does nothing.
    pub limit: usize,
}

/// An input.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// What instructions know it by.
    pub id: usize,
    /// Its extents.
    pub shape: Vec<usize>,
    /// What it holds.
    pub fill: Fill,
    /// Drawn from this.
    pub seed: u64,
    /// Whether gradients are taken with respect to it.
    pub tracked: bool,
}

/// What a leaf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Floats between -2 and 2, all different.
    Spread,
    /// Eighths, many equal, some 0.
    Grid,
    /// Different multiples of 1/16, in random order.
    Order,
    /// Ones.
    Ones,
    /// Integers between -9 and 9.
    Integers,
    /// Truth values.
    Bools,
    /// One number, which no upload made.
    Number,
    /// The row-major positions, counted on the device.
    Positions,
    /// Uniform between 0 and 1, drawn on the device.
    Draw,
}

/// A step: operands by the ids of what they were when it was drawn, or modulo what there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// What later ones know its result by.
    pub id: usize,
    /// Which row of the table.
    pub row: usize,
    /// Its operands.
    pub picks: Vec<usize>,
    /// Its attributes are drawn from this; 0 for the simplest.
    pub seed: u64,
}

/// How a program is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    /// The ids of what is read.
    pub outputs: Vec<usize>,
    /// Whether gradients are taken of a random sum of the outputs.
    pub gradient: bool,
    /// Whether gradients are taken of a random sum of the gradients.
    pub second: bool,
    /// Whether the outputs are read before the gradients are recorded.
    pub read_first: bool,
    /// The id of something in the middle that is evaluated as soon as it is recorded.
    pub peek: Option<usize>,
    /// Whether all intermediate tensors are held until the end.
    pub hold: bool,
    /// Whether everything is evaluated at once, instead of one by one.
    pub together: bool,
    /// The ids of leaves that are states, and of what is written over them in the end: all in one run, with what has not been read
    /// by then. A value that does not fit its state is exchanged for one that does.
    pub writes: Vec<(usize, usize)>,
}

impl Program {
    /// The program of a seed.
    pub fn draw(seed: u64) -> Program {
        let rng = &mut Rng::seed(seed);
        let chance = |rng: &mut Rng, one_in: u32| rng.below(one_in) == 0;
        let (limit, largest) = match rng.below(100) {
            0..=1 => (60_000, 4000),
            2..=9 => (6000, 300),
            _ => (700, 40),
        };
        // Few extents, so that shapes match.
        let extents: Vec<usize> = (0..2 + rng.below(3)).map(|_| extent(rng, largest)).collect();
        let mut leaves: Vec<Leaf> = Vec::new();
        for id in 0..2 + rng.below(4) as usize {
            let rank = [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 6][rng.below(16) as usize];
            let mut shape = vec![];
            for _ in 0..rank {
                let d = extents[rng.below(extents.len() as u32) as usize];
                // Too large together: 1 in place of what goes over.
                shape.push(if count(&shape).max(1) * d > limit.min(6000) || chance(rng, 8) { 1 } else { d });
            }
            let fill = match (id, rng.below(16)) {
                (0, _) | (_, 0..=5) => Fill::Spread,
                (_, 6) => Fill::Grid,
                (_, 7..=8) => Fill::Order,
                (_, 9) => Fill::Integers,
                (_, 10) => Fill::Bools,
                (_, 11) => Fill::Grid,
                (_, 12..=13) => Fill::Number,
                (_, 14) if count(&shape) <= 64 => Fill::Positions,
                _ => Fill::Draw,
            };
            leaves.push(Leaf {
                id,
                shape,
                fill,
                seed: u64::from(rng.next_u32()) + 1,
                tracked: !chance(rng, 5) && fill.is_uploaded(),
            });
        }
        let mut steps: Vec<Instruction> = Vec::new();
        for _ in 0..1 + rng.below(4) + rng.below(12) {
            let id = leaves.len() + steps.len();
            // Younger tensors are likelier, so that chains grow long.
            let picks = (0..4).map(|_| rng.below(id as u32).max(rng.below(id as u32)) as usize).collect();
            steps.push(Instruction {
                id,
                row: rng.below(ROWS.len() as u32) as usize,
                picks,
                seed: 1 + u64::from(rng.next_u32()),
            });
        }
        let all = (leaves.len() + steps.len()) as u32;
        let mut outputs = vec![all as usize - 1];
        outputs.extend((0..rng.below(3)).map(|_| rng.below(all) as usize));
        let gradient = rng.below(10) < 7;
        let writes = if chance(rng, 3) { 1 + rng.below(3) } else { 0 };
        let writes = (0..writes).map(|_| (rng.below(leaves.len() as u32) as usize, rng.below(all) as usize)).collect();
        let habits = Habits {
            outputs,
            gradient,
            second: gradient && chance(rng, 12),
            read_first: chance(rng, 3),
            peek: chance(rng, 5).then(|| rng.below(all) as usize),
            hold: chance(rng, 2),
            together: chance(rng, 2),
            writes,
        };
        Program { seed, leaves, steps, habits, limit }
    }
}

/// Extents at which things go wrong: nothing, one, primes, around the widths of vectors and tiles.
fn extent(rng: &mut Rng, largest: usize) -> usize {
    const SMALL: [usize; 12] = [1, 2, 3, 4, 5, 7, 8, 9, 3, 4, 6, 2];
    const LARGE: [usize; 16] = [11, 13, 15, 16, 17, 31, 32, 33, 37, 63, 64, 65, 127, 129, 256, 257];
    const HUGE: [usize; 4] = [1000, 1025, 2048, 4000];
    let d = match rng.below(40) {
        0 => 0,
        1..=26 => SMALL[rng.below(12) as usize],
        27..=37 => LARGE[rng.below(16) as usize],
        _ => HUGE[rng.below(4) as usize],
    };
    d.min(largest)
}

impl Fill {
    /// Whether the host knows every element: gradients are taken with respect to such leaves alone.
    pub fn is_uploaded(self) -> bool {
        !matches!(self, Fill::Number | Fill::Positions | Fill::Draw)
    }
}

impl Leaf {
    /// Its numbers.
    pub fn values(&self) -> Vec<f64> {
        let (rng, n) = (&mut Rng::seed(self.seed), count(&self.shape));
        match self.fill {
            Fill::Spread => {
                (0..n).map(|_| f64::from((rng.next_u32() >> 9) as i32 * 2 - 8_388_607) / 4_194_304.0).collect()
            }
            Fill::Grid => (0..n).map(|_| f64::from(rng.below(33) as i32 - 16) / 8.0).collect(),
            Fill::Order => rng.permutation(n).into_iter().map(|i| (i as f64 - (n / 2) as f64) / 16.0).collect(),
            Fill::Ones => vec![1.0; n],
            Fill::Integers => (0..n).map(|_| f64::from(rng.below(19) as i32 - 9)).collect(),
            Fill::Bools => (0..n).map(|_| f64::from(rng.below(2))).collect(),
            Fill::Number => vec![f64::from(rng.below(33) as i32 - 16) / 8.0; n],
            Fill::Positions => (0..n).map(|i| i as f64).collect(),
            Fill::Draw => self.draw(&crate::strict()).to_vec::<f64>().unwrap_or_default(),
        }
    }

    /// What a stream of its seed draws.
    fn draw(&self, device: &Device) -> Tensor {
        Rng::seed(self.seed).stream().uniform(device, &self.shape[..])
    }

    /// Its dtype in a world whose floats are these.
    pub fn dtype(&self, float: DType) -> DType {
        match self.fill {
            Fill::Integers => DType::I32,
            Fill::Bools => DType::Bool,
            _ => float,
        }
    }

    /// It on `device`, as Rust.
    pub fn code(&self) -> String {
        let shape = list(&self.shape, "usize");
        match self.fill {
            Fill::Number => {
                let number = self.values().first().copied().unwrap_or(0.5);
                format!("Tensor::full(device, {number:?}, {shape}, DType::F32)")
            }
            Fill::Positions => {
                format!("Tensor::arange(device, {}).cast(DType::F32).reshape({shape})", count(&self.shape))
            }
            Fill::Draw => format!("Rng::seed({}).stream().uniform(device, {shape})", self.seed),
            _ => tensor(&self.values(), &self.shape, self.dtype(DType::F32)),
        }
    }

    /// It on a device.
    pub fn tensor(&self, device: &Device, float: DType, track: bool) -> Tensor {
        match self.fill {
            Fill::Number => {
                let number = self.values().first().copied().unwrap_or(0.5);
                return Tensor::full(device, number, &self.shape[..], float);
            }
            Fill::Positions => {
                return Tensor::arange(device, count(&self.shape)).cast(float).reshape(&self.shape[..]);
            }
            Fill::Draw => return self.draw(device).cast(float),
            _ => {}
        }
        let values = self.values();
        match self.dtype(float) {
            DType::I32 => {
                Tensor::from_slice(device, &values.iter().map(|v| *v as i32).collect::<Vec<_>>(), &self.shape[..])
            }
            DType::Bool => {
                Tensor::from_slice(device, &values.iter().map(|v| *v != 0.0).collect::<Vec<_>>(), &self.shape[..])
            }
            float => {
                let x = floats(device, float, &values, &self.shape);
                if track && self.tracked { x.track() } else { x }
            }
        }
    }
}
