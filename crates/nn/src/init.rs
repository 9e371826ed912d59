//! Initial weights, drawn on the host so that they are the same on every device.

use thalweg_graph::{
    DType, Device, Error, ErrorKind, IntoShape, Param, Result, Rng, Tensor,
    shape::{count, excess},
};

/// A distribution of initial weights. `fan_in` and `fan_out` are the numbers of inputs and outputs of one unit: for a weight
/// `[out, in, k..]` they are `in · Πk` and `out · Πk`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f64),
    /// Uniform in `[-a, a)`.
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform in `±gain · √(3 / fan_in)`.
    ///
    /// # Source
    /// He et al. 2015, arXiv:1502.01852; the gain of ReLU is √2.
    HeUniform {
        /// Factor for the nonlinearity.
        gain: f64,
    },
    /// Normal with standard deviation `gain / √fan_in`.
    HeNormal {
        /// Factor for the nonlinearity.
        gain: f64,
    },
    /// Uniform in `±gain · √(6 / (fan_in + fan_out))`.
    ///
    /// # Source
    /// Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    XavierUniform {
        /// Factor for the nonlinearity.
        gain: f64,
    },
    /// Normal with standard deviation `gain · √(2 / (fan_in + fan_out))`.
    XavierNormal {
        /// Factor for the nonlinearity.
        gain: f64,
    },
}

impl Init {
    /// He's uniform initialisation for ReLU.
    pub const HE: Init = Init::HeUniform { gain: std::f64::consts::SQRT_2 };
    /// Xavier's uniform initialisation.
    pub const XAVIER: Init = Init::XavierUniform { gain: 1.0 };
    /// What PyTorch gives linear and convolution layers: uniform in `±1 / √fan_in`.
    pub const TORCH: Init = Init::HeUniform { gain: 0.577_350_269_189_625_8 };

    /// Numbers for a weight of this shape, row-major. A vector's fans are both its length; a scalar's are 1.
    ///
    /// # Shapes
    /// `[out, in, k..]`, `[n]` or `[]`
    pub fn draw(self, shape: &[usize], rng: &mut Rng) -> Vec<f32> {
        let receptive = count(shape.get(2..).unwrap_or(&[]));
        let fan_in = shape.get(1).or(shape.first()).copied().unwrap_or(1).saturating_mul(receptive) as f64;
        let fan_out = shape.first().copied().unwrap_or(1).saturating_mul(receptive) as f64;
        let uniform =
            |a: f64, rng: &mut Rng| (0..count(shape)).map(|_| (a * (2.0 * rng.uniform() - 1.0)) as f32).collect();
        let normal = |s: f64, rng: &mut Rng| (0..count(shape)).map(|_| (s * rng.normal()) as f32).collect();
        match self {
            Init::Constant(c) => vec![c as f32; count(shape)],
            Init::Uniform(a) => uniform(a, rng),
            Init::Normal(s) => normal(s, rng),
            Init::HeUniform { gain } => uniform(gain * (3.0 / fan_in).sqrt(), rng),
            Init::HeNormal { gain } => normal(gain / fan_in.sqrt(), rng),
            Init::XavierUniform { gain } => uniform(gain * (6.0 / (fan_in + fan_out)).sqrt(), rng),
            Init::XavierNormal { gain } => normal(gain * (2.0 / (fan_in + fan_out)).sqrt(), rng),
        }
    }

    /// A parameter of this shape, F32.
    ///
    /// # Errors
    /// No memory.
    #[track_caller]
    pub fn param(self, device: &Device, shape: impl IntoShape, rng: &mut Rng) -> Result<Param> {
        let shape = shape.into_shape();
        if let Some(problem) = no_room(&shape) {
            return Err(Error::new("init", problem));
        }
        Param::new(Tensor::from_slice(device, &self.draw(&shape, rng), shape))
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

    #[test]
    fn draws_have_the_variance_they_promise() {
        let shape = [256, 64, 3, 3];
        let variance = |init: Init| {
            let draw = init.draw(&shape, &mut Rng::seed(7));
            draw.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / draw.len() as f64
        };
        let (fan_in, fan_out) = (64.0 * 9.0, 256.0 * 9.0);
        for (init, want) in [
            (Init::HE, 2.0 / fan_in),
            (Init::HeNormal { gain: 1.0 }, 1.0 / fan_in),
            (Init::XAVIER, 2.0 / (fan_in + fan_out)),
            (Init::XavierNormal { gain: 1.0 }, 2.0 / (fan_in + fan_out)),
            (Init::TORCH, 1.0 / (3.0 * fan_in)),
        ] {
            let got = variance(init);
            assert!((got / want - 1.0).abs() < 0.02, "{init:?}: {got} against {want}");
        }
    }
}
