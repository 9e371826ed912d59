//! Nonlinearities as layers.

use thalweg_derive::Module;
use thalweg_graph::{Axis, Device, ErrorKind, Param, Result, Rng, Tensor};

use crate::init::{filled, invalid};

/// A nonlinearity: a layer that is chosen by a value.
///
/// ```
/// use thalweg_graph::Tensor;
/// use thalweg_nn::{Activation, Linear};
///
/// fn hidden(linear: &Linear, activation: Activation, x: &Tensor) -> Tensor {
///     activation.forward(&linear.forward(x))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Module)]
pub enum Activation {
    /// x.
    Identity,
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// x where positive, else x times this slope (PyTorch's default is 0.01).
    LeakyRelu(f64),
    /// x where positive, else `α (eˣ - 1)` (PyTorch's α is 1).
    Elu(f64),
    /// x where positive, else `α (e^(x / α) - 1)` (PyTorch's α is 1).
    Celu(f64),
    /// [`Tensor::selu`].
    Selu,
    /// `x Φ(x)`.
    Gelu,
    /// [`Activation::Gelu`] by a hyperbolic tangent.
    GeluTanh,
    /// `x σ(x)`, also called swish.
    Silu,
    /// `x tanh(softplus(x))`.
    Mish,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// Its logarithm.
    LogSigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `x - tanh x`.
    Tanhshrink,
    /// `ln(1 + e^(β x)) / β`, and x where `β x` is above the threshold (PyTorch's are 1 and 20).
    Softplus {
        /// β.
        beta: f64,
        /// Above it the function is linear.
        threshold: f64,
    },
    /// `x / (1 + |x|)`.
    Softsign,
    /// x between these bounds (PyTorch's are -1 and 1).
    Hardtanh {
        /// The lower one.
        min: f64,
        /// The upper one.
        max: f64,
    },
    /// `min(max(x / 6 + 1/2, 0), 1)`.
    Hardsigmoid,
    /// `x` times that.
    Hardswish,
    /// x where `|x|` is above this, else 0 (PyTorch's default is 0.5).
    Hardshrink(f64),
    /// x moved towards 0 by this much, and 0 in between (PyTorch's default is 0.5).
    Softshrink(f64),
    /// x where it is above the threshold, else a value.
    Threshold {
        /// The threshold.
        threshold: f64,
        /// What stands for the rest.
        value: f64,
    },
    /// The first half along an axis times the sigmoid of the second.
    Glu(isize),
    /// [`Tensor::softmax`] along an axis.
    Softmax(isize),
    /// [`Tensor::log_softmax`] along an axis.
    LogSoftmax(isize),
    /// [`Tensor::softmin`] along an axis.
    Softmin(isize),
}

impl Activation {
    /// Applies it.
    ///
    /// # Shapes
    /// `[..]` → the same; half of an axis with [`Activation::Glu`]
    /// # Errors
    /// An axis that there is not; integers where the function has no integers.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match *self {
            Activation::Identity => x.clone(),
            Activation::Relu => x.relu(),
            Activation::Relu6 => x.relu6(),
            Activation::LeakyRelu(slope) => x.leaky_relu(slope),
            Activation::Elu(alpha) => x.elu(alpha),
            Activation::Celu(alpha) => x.celu(alpha),
            Activation::Selu => x.selu(),
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
            Activation::Silu => x.silu(),
            Activation::Mish => x.mish(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::LogSigmoid => x.log_sigmoid(),
            Activation::Tanh => x.tanh(),
            Activation::Tanhshrink => x.tanhshrink(),
            Activation::Softplus { beta, threshold } => {
                let scaled = x * beta;
                scaled.gt(threshold).where_(x, scaled.softplus() / beta)
            }
            Activation::Softsign => x.softsign(),
            Activation::Hardtanh { min, max } => x.hardtanh(min, max),
            Activation::Hardsigmoid => x.hardsigmoid(),
            Activation::Hardswish => x.hardswish(),
            Activation::Hardshrink(lambda) => x.hardshrink(lambda),
            Activation::Softshrink(lambda) => x.softshrink(lambda),
            Activation::Threshold { threshold, value } => x.threshold(threshold, value),
            Activation::Glu(axis) => x.glu(axis),
            Activation::Softmax(axis) => x.softmax(axis),
            Activation::LogSoftmax(axis) => x.log_softmax(axis),
            Activation::Softmin(axis) => x.softmin(axis),
        }
    }
}

/// x where positive, else x times a slope that is learned, one for all channels or one for each.
///
/// # Shapes
/// `[B, C, ..]` → the same; `weight [1]` or `[C]`
/// # Source
/// He et al. 2015, arXiv:1502.01852.
#[derive(Clone, Debug, Module)]
pub struct Prelu {
    /// The slope.
    pub weight: Param,
}

/// How to make a [`Prelu`].
#[derive(Clone, Debug)]
pub struct PreluConfig {
    channels: usize,
    slope: f64,
}

impl Prelu {
    /// With one slope for all, 0.25 at first.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new() -> PreluConfig {
        PreluConfig { channels: 1, slope: 0.25 }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[..]` → the same; `[B, C, ..]` with a slope for each channel
    /// # Errors
    /// Another number of channels than of slopes, if there are several.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let weight = self.weight.tensor();
        let slopes = weight.count();
        if slopes == 1 || x.check().is_err() {
            return x.prelu(weight.reshape(()));
        }
        if let Err(kind) = Axis(1).of(x.shape()) {
            return x.fail("prelu", kind);
        }
        if x.shape()[1] != slopes {
            let problem = format!("has {} channels, not {slopes}", x.shape()[1]);
            return x.fail("prelu", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let mut shape = vec![1; x.rank() - 1];
        shape[0] = slopes;
        x.prelu(weight.reshape(shape))
    }
}

impl PreluConfig {
    setters! {
        /// With a slope for each of so many channels, along axis 1 (PyTorch's `num_parameters`).
        channels: usize;
        /// With this slope at first (PyTorch's `init`).
        slope: f64;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<Prelu> {
        match self.channels {
            0 => Err(invalid("prelu", "0 channels".into())),
            channels => Ok(Prelu { weight: Param::new(filled(device, self.slope as f32, &[channels]))? }),
        }
    }
}
