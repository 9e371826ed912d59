//! Initial weights, drawn on the host so that they are the same on every device.
//!
//! [`Init`] is what can be drawn. The names of the literature are in reach from it: [`Init::he_uniform`], [`Init::XAVIER`],
//! [`Init::truncated_normal`], [`Init::residual`] and so on.
//!
//! ```
//! use std::sync::Arc;
//!
//! use thalweg_cpu::FastCpu;
//! use thalweg_graph::{Device, Rng};
//! use thalweg_nn::{Fan, Init, Linear, Nonlinearity};
//!
//! let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
//! let leaky = Init::he_normal(Fan::Out, Nonlinearity::LeakyRelu(0.2));
//! let linear = Linear::new(64, 32).weights(leaky).init(&device, rng)?;
//! let recurrent = Init::Orthogonal { gain: 1.0 }.param(&device, [128, 32], rng)?;
//! # assert_eq!(linear.weight.tensor().shape(), [32, 64]);
//! # assert_eq!(recurrent.tensor().shape(), [128, 32]);
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

mod distribution;
mod fan;
mod named;
mod structured;

use thalweg_graph::{
    DType, Device, Error, ErrorKind, IntoShape, Param, Result, Rng, Tensor,
    shape::{count, excess},
};

use fan::checked;
pub use fan::{Fan, Nonlinearity};

/// What initial weights are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f64),
    /// Uniform in `[-a, a)`; `a` is not negative.
    Uniform(f64),
    /// Uniform in `[low, high)`. Where rounding meets `high`, that is among them.
    UniformIn {
        /// The lower bound.
        low: f64,
        /// The upper one, above it.
        high: f64,
    },
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal with this mean and standard deviation.
    NormalOf {
        /// The mean.
        mean: f64,
        /// The standard deviation, not negative.
        std: f64,
    },
    /// Normal, given that it is in `[low, high]`. Mean and deviation are those of the normal distribution that is cut, the bounds
    /// are values of their own and not multiples of the deviation; either may be infinite.
    TruncatedNormal {
        /// The mean before the cut.
        mean: f64,
        /// The standard deviation before the cut, positive.
        std: f64,
        /// The lower bound.
        low: f64,
        /// The upper one, above it.
        high: f64,
    },
    /// Uniform in `±gain · √(3 / fan)`, whose variance is `gain² / fan`.
    ///
    /// # Shapes
    /// `[out, in, k..]`
    ScaledUniform {
        /// What the variance is divided by.
        fan: Fan,
        /// Factor for the nonlinearity, see [`Nonlinearity::gain`]; not negative.
        gain: f64,
    },
    /// Normal with variance `gain² / fan`.
    ///
    /// # Shapes
    /// `[out, in, k..]`
    ScaledNormal {
        /// What the variance is divided by.
        fan: Fan,
        /// Factor for the nonlinearity, see [`Nonlinearity::gain`]; not negative.
        gain: f64,
    },
    /// A random matrix W of `out` rows with `W Wᵀ = gain² I`, or with `Wᵀ W = gain² I` where it has more rows than columns:
    /// gain times Q of the decomposition `A = Q R` of a matrix of normal numbers, with a positive diagonal in R, which makes all
    /// such matrices equally likely. Takes time in proportion to the number of weights and the shorter side.
    ///
    /// # Shapes
    /// `[out, ..]`: the columns are all other axes
    /// # Source
    /// Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", arXiv:1312.6120;
    /// Mezzadri 2006, "How to generate random matrices from the classical compact groups", arXiv:math-ph/0609050, for the sign.
    Orthogonal {
        /// The length of rows or columns, not negative.
        gain: f64,
    },
    /// The filters of a convolution that hands its channels on: in each group filter `i` is 1 at the middle of channel `i`, as far
    /// as there are both, and 0 elsewhere. With an even kernel the middle is the later of two.
    ///
    /// # Shapes
    /// `[out, in / groups, k..]` with `k..` one axis or more
    Dirac {
        /// Groups of channels, which divide `out`.
        groups: usize,
    },
    /// 1 on the diagonal, 0 elsewhere.
    ///
    /// # Shapes
    /// `[n, m]`
    Eye,
    /// Normal with this standard deviation, but in each column `⌈sparsity · rows⌉` elements at random are 0.
    ///
    /// # Shapes
    /// `[rows, columns]`
    /// # Source
    /// Martens 2010, "Deep learning via Hessian-free optimization".
    Sparse {
        /// The share of zeros, in `[0, 1]`.
        sparsity: f64,
        /// The standard deviation of the rest, not negative.
        std: f64,
    },
}

impl Init {
    /// Numbers for a weight of this shape, row-major. Equal streams give equal numbers.
    ///
    /// # Shapes
    /// Any, but for variants that say what they need
    /// # Errors
    /// A shape of too few axes; groups that do not divide; bounds in the wrong order or out of the mean's reach; a deviation, gain
    /// or share that is none; numbers beyond F32; no memory.
    #[track_caller]
    pub fn draw(self, shape: &[usize], rng: &mut Rng) -> Result<Vec<f32>> {
        if let Some(problem) = no_room(shape) {
            return Err(Error::new("init", problem));
        }
        match self.numbers(shape, rng) {
            Ok(numbers) => Ok(numbers),
            Err(ErrorKind::Invalid(what)) => {
                Err(invalid(self.name(), format!("{what}, for weights of shape {shape:?}")))
            }
            Err(problem) => Err(Error::new(self.name(), problem)),
        }
    }

    /// A parameter of this shape, F32. On [`Device::meta`] nothing is drawn.
    ///
    /// # Errors
    /// As for [`Init::draw`].
    #[track_caller]
    pub fn param(self, device: &Device, shape: impl IntoShape, rng: &mut Rng) -> Result<Param> {
        let shape = shape.into_shape();
        if device.is_meta() {
            return Param::new(Tensor::zeros(device, shape));
        }
        Param::new(Tensor::from_slice(device, &self.draw(&shape, rng)?, shape))
    }

    fn numbers(self, shape: &[usize], rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
        match self {
            Init::Constant(c) => distribution::constant(shape, c),
            Init::Uniform(a) => distribution::uniform(shape, a, rng),
            Init::UniformIn { low, high } => distribution::uniform_in(shape, low, high, rng),
            Init::Normal(std) => distribution::normal(shape, 0.0, std, rng),
            Init::NormalOf { mean, std } => distribution::normal(shape, mean, std, rng),
            Init::TruncatedNormal { mean, std, low, high } => {
                distribution::truncated_normal(shape, (mean, std), (low, high), rng)
            }
            Init::ScaledUniform { fan, gain } => {
                distribution::uniform(shape, checked(gain)? * (3.0 / fan.of(shape)?).sqrt(), rng)
            }
            Init::ScaledNormal { fan, gain } => {
                distribution::normal(shape, 0.0, checked(gain)? / fan.of(shape)?.sqrt(), rng)
            }
            Init::Orthogonal { gain } => structured::orthogonal(shape, checked(gain)?, rng),
            Init::Dirac { groups } => structured::dirac(shape, groups),
            Init::Eye => structured::eye(shape),
            Init::Sparse { sparsity, std } => structured::sparse(shape, sparsity, std, rng),
        }
    }

    /// What an error calls it.
    fn name(self) -> &'static str {
        match self {
            Init::Constant(_) => "constant",
            Init::Uniform(_) => "uniform",
            Init::UniformIn { .. } => "uniform_in",
            Init::Normal(_) => "normal",
            Init::NormalOf { .. } => "normal_of",
            Init::TruncatedNormal { .. } => "truncated_normal",
            Init::ScaledUniform { .. } => "scaled_uniform",
            Init::ScaledNormal { .. } => "scaled_normal",
            Init::Orthogonal { .. } => "orthogonal",
            Init::Dirac { .. } => "dirac",
            Init::Eye => "eye",
            Init::Sparse { .. } => "sparse",
        }
    }
}

/// An error of a layer's configuration.
#[track_caller]
pub(crate) fn invalid(op: &'static str, problem: String) -> Error {
    Error::new(op, ErrorKind::Invalid(problem))
}

/// One number everywhere, as a leaf, F32.
#[track_caller]
pub(crate) fn filled(device: &Device, value: f32, shape: &[usize]) -> Tensor {
    match no_room(shape) {
        Some(problem) => Tensor::scalar(device, 0.0, DType::F32).fail("init", problem),
        None => Tensor::from_slice(device, &vec![value; count(shape)], shape),
    }
}

/// Why as many numbers as a shape has cannot be drawn on the host, if so.
fn no_room(shape: &[usize]) -> Option<ErrorKind> {
    if let Some(problem) = excess(shape) {
        return Some(ErrorKind::Shape { shape: shape.to_vec(), problem });
    }
    let room = Vec::<f32>::new().try_reserve_exact(count(shape));
    room.is_err().then(|| ErrorKind::Memory(format!("no memory for weights of shape {shape:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Init; 12] = [
        Init::Constant(0.5),
        Init::Uniform(0.1),
        Init::UniformIn { low: -1.0, high: 2.0 },
        Init::Normal(0.1),
        Init::NormalOf { mean: 1.0, std: 0.1 },
        Init::TruncatedNormal { mean: 0.0, std: 1.0, low: -2.0, high: 2.0 },
        Init::TORCH,
        Init::LECUN,
        Init::Orthogonal { gain: 1.0 },
        Init::Dirac { groups: 2 },
        Init::Eye,
        Init::Sparse { sparsity: 0.5, std: 1.0 },
    ];

    fn shape(init: Init) -> &'static [usize] {
        if let Init::Dirac { .. } = init { &[4, 3, 5] } else { &[4, 7] }
    }

    #[test]
    fn equal_seeds_give_equal_bits() {
        for init in EVERY {
            let draw = |seed| init.draw(shape(init), &mut Rng::seed(seed)).unwrap();
            let bits = |draw: Vec<f32>| draw.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(draw(3)), bits(draw(3)), "{init:?}");
            let fixed = matches!(init, Init::Constant(_) | Init::Dirac { .. } | Init::Eye);
            assert_eq!(draw(3) == draw(4), fixed, "{init:?}");
        }
    }

    #[test]
    fn axes_of_extent_0_have_no_weights() {
        for init in EVERY {
            for empty in 0..shape(init).len() {
                let mut shape = shape(init).to_vec();
                shape[empty] = 0;
                assert_eq!(init.draw(&shape, &mut Rng::seed(0)).unwrap(), [], "{init:?} of {shape:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error_with_its_name() {
        let truncated = |mean, std, low, high| Init::TruncatedNormal { mean, std, low, high };
        for (init, shape, parts) in [
            (Init::Constant(1e300), &[2][..], ["constant", "beyond f32"]),
            (Init::Uniform(-1.0), &[2], ["uniform", "bound of -1"]),
            (Init::Uniform(1e39), &[2], ["uniform", "beyond f32"]),
            (Init::UniformIn { low: 1.0, high: 1.0 }, &[2], ["uniform_in", "from 1 to 1"]),
            (Init::UniformIn { low: 2.0, high: 1.0 }, &[2], ["uniform_in", "from 2 to 1"]),
            (Init::UniformIn { low: 0.0, high: f64::INFINITY }, &[2], ["uniform_in", "from 0 to inf"]),
            (Init::Normal(-0.1), &[2], ["normal", "standard deviation -0.1"]),
            (Init::Normal(1e300), &[2], ["normal", "beyond f32"]),
            (Init::residual(0.02, 0), &[2], ["normal", "standard deviation inf"]),
            (Init::NormalOf { mean: f64::NAN, std: 1.0 }, &[2], ["normal_of", "mean NaN"]),
            (truncated(0.0, 1.0, 2.0, -2.0), &[2], ["truncated_normal", "between 2 and -2"]),
            (truncated(0.0, 1.0, 2.0, 2.0), &[2], ["truncated_normal", "between 2 and 2"]),
            (truncated(0.0, 0.0, -1.0, 1.0), &[2], ["truncated_normal", "standard deviation 0"]),
            (truncated(1e17, 1.0, 0.1, 0.2), &[2], ["truncated_normal", "too far from the mean"]),
            (truncated(0.0, 1e-300, 1e10, 1e11), &[2], ["truncated_normal", "too far from the mean"]),
            (Init::HE, &[2], ["scaled_uniform", "shape [2]"]),
            (Init::LECUN, &[], ["scaled_normal", "shape []"]),
            (Init::xavier_uniform(-1.0), &[2, 2], ["scaled_uniform", "gain of -1, for weights of shape [2, 2]"]),
            (Init::xavier_normal(-1.0), &[2, 2], ["scaled_normal", "gain of -1"]),
            (Init::Orthogonal { gain: 1.0 }, &[3], ["orthogonal", "shape [3]"]),
            (Init::Orthogonal { gain: 1e300 }, &[3, 3], ["orthogonal", "beyond f32"]),
            (Init::Orthogonal { gain: f64::NAN }, &[3, 3], ["orthogonal", "gain of NaN"]),
            (Init::Dirac { groups: 1 }, &[3, 3], ["dirac", "shape [3, 3]"]),
            (Init::Dirac { groups: 2 }, &[3, 3, 3], ["dirac", "shape [3, 3, 3]"]),
            (Init::Dirac { groups: 0 }, &[3, 3, 3], ["dirac", "0 groups"]),
            (Init::Eye, &[3, 3, 3], ["eye", "shape [3, 3, 3]"]),
            (Init::Sparse { sparsity: 0.1, std: 1.0 }, &[3], ["sparse", "shape [3]"]),
            (Init::Sparse { sparsity: 1.1, std: 1.0 }, &[3, 3], ["sparse", "share of 1.1"]),
            (Init::Sparse { sparsity: 0.1, std: -1.0 }, &[3, 3], ["sparse", "standard deviation -1"]),
            (Init::Normal(1.0), &[usize::MAX, 2], ["init", "too large"]),
        ] {
            let text = init.draw(shape, &mut Rng::seed(0)).unwrap_err().to_string();
            assert!(text.starts_with(parts[0]) && text.contains(parts[1]), "{init:?}: {text}");
        }
    }
}
