//! Random inputs.

use thalweg_graph::{DType, Device, Rng, Tensor, shape::count};

/// What a test's inputs are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of a case, by its name: another case beside it changes nothing.
    ///
    /// # Source
    /// The FNV-1a hash.
    pub fn of(name: &str) -> Seed {
        Seed(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)))
    }
}

/// An input: what numbers, in what shape.
#[derive(Clone, Debug)]
pub enum Draw {
    /// Floats, uniform between the bounds. Gradients are taken with respect to them.
    Uniform(Vec<usize>, f64, f64),
    /// These floats, for what happens at a number rather than near it.
    Given(Vec<usize>, Vec<f64>),
    /// Positions `0..n`.
    Index(Vec<usize>, u32),
    /// Truth values.
    Bools(Vec<usize>),
}

impl Draw {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Draw::Uniform(shape, ..) | Draw::Given(shape, _) | Draw::Index(shape, _) | Draw::Bools(shape) => shape,
        }
    }

    /// Whether gradients can be taken with respect to it.
    pub fn is_float(&self) -> bool {
        matches!(self, Draw::Uniform(..) | Draw::Given(..))
    }

    /// The numbers, rounded to f32 so that every device can hold them.
    pub fn values(&self, rng: &mut Rng) -> Vec<f64> {
        let n = count(self.shape());
        match self {
            // One in the middle of each of n equal intervals, so that no two are close: an order of them means something.
            Draw::Uniform(_, low, high) => {
                let places = rng.permutation(n);
                let place = |i: usize| (places[i] as f64 + 0.25 + 0.5 * rng.uniform()) / n as f64;
                (0..n).map(place).map(|t| DType::F32.round(low + (high - low) * t)).collect()
            }
            Draw::Given(_, values) => values.iter().map(|v| DType::F32.round(*v)).collect(),
            Draw::Index(_, below) => (0..n).map(|_| f64::from(rng.below(*below))).collect(),
            Draw::Bools(_) => (0..n).map(|_| f64::from(rng.next_u32() & 1)).collect(),
        }
    }

    /// The numbers on a device, floats as `float`.
    pub fn tensor(&self, device: &Device, values: &[f64], float: DType) -> Tensor {
        let shape = self.shape();
        match self {
            Draw::Uniform(..) | Draw::Given(..) if float == DType::F64 => Tensor::from_slice(device, values, shape),
            Draw::Uniform(..) | Draw::Given(..) => {
                Tensor::from_slice(device, &values.iter().map(|v| *v as f32).collect::<Vec<_>>(), shape).cast(float)
            }
            Draw::Index(..) => Tensor::from_slice(device, &values.iter().map(|v| *v as i32).collect::<Vec<_>>(), shape),
            Draw::Bools(..) => Tensor::from_slice(device, &values.iter().map(|v| *v != 0.0).collect::<Vec<_>>(), shape),
        }
    }
}
