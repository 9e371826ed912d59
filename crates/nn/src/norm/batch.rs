//! Batch normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Mode, Param, Result, Rng, Scope, State, Tensor};

use super::{check_values, param};
use crate::{
    init::{filled, invalid},
    wide,
};

/// Normalises each channel over batch and space: `y = (x - μ) / √(σ² + ε) · weight + bias`.
///
/// In training mode μ and σ² (biased) are the batch's, and the running statistics move:
/// `r ← (1 - momentum) r + momentum · batch`, the variance with the unbiased estimate. In evaluation mode μ and σ² are the
/// running ones.
///
/// # Shapes
/// `[B, C, H, W]` → the same
/// # Source
/// Ioffe & Szegedy 2015, arXiv:1502.03167.
#[derive(Clone, Debug, Module)]
pub struct BatchNorm2d {
    /// The gain of each channel.
    pub weight: Option<Param>,
    /// The offset of each channel.
    pub bias: Option<Param>,
    /// μ for evaluation.
    pub running_mean: State,
    /// σ² for evaluation, unbiased.
    pub running_var: State,
    mode: Mode,
    channels: usize,
    momentum: f64,
    eps: f64,
}

/// How to make a [`BatchNorm2d`].
#[derive(Clone, Debug)]
pub struct BatchNorm2dConfig {
    channels: usize,
    momentum: f64,
    eps: f64,
    affine: bool,
}

impl BatchNorm2d {
    /// For this many channels; momentum 0.1, ε 1e-5, with gain and offset.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(channels: usize) -> BatchNorm2dConfig {
        BatchNorm2dConfig { channels, momentum: 0.1, eps: 1e-5, affine: true }
    }

    /// Applies it, in f32 if the input is narrower; in training mode the running statistics move, once the step or a reader
    /// evaluates them. Nothing moves them for a batch of nothing.
    ///
    /// # Shapes
    /// `[B, C, H, W]` → the same
    /// # Errors
    /// Not four axes; another number of channels; not floats; one value for each channel in training mode.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("batch_norm2d");
        let Ok([batch, channels, height, width]) = x.dims::<4>() else {
            let problem = "is not [batch, channels, height, width]".to_string();
            return x.fail("batch_norm2d", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        };
        if channels != self.channels {
            let problem = format!("has {channels} channels, not {}", self.channels);
            return x.fail("batch_norm2d", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let dtype = x.dtype();
        if !dtype.is_float() {
            let problem = "is not normalised; cast to a float first".to_string();
            return x.fail("batch_norm2d", ErrorKind::DType { got: dtype, problem });
        }
        let per_channel = |t: Tensor| t.reshape([1, channels, 1, 1]);
        let x = &wide(x);
        let (mean, var) = match self.mode.is_training() {
            true => {
                let values = batch * height * width;
                if let Err(failed) = check_values("batch_norm2d", x, values, "channel") {
                    return failed;
                }
                let axes = [0, 2, 3];
                let (mean, var) = (x.mean_keepdim(axes), x.var_keepdim(axes, 0));
                if values > 0 {
                    let n = values as f64;
                    let (new_mean, new_var) = (mean.detach().reshape([channels]), var.detach().reshape([channels]));
                    let (m, unbiased) = (self.momentum, n / (n - 1.0));
                    for (state, new) in [(&self.running_mean, new_mean), (&self.running_var, new_var * unbiased)] {
                        let old = state.tensor();
                        state.set(&(&old * (1.0 - m) + new.cast(old.dtype()) * m));
                    }
                }
                (mean, var)
            }
            false => (per_channel(self.running_mean.tensor()), per_channel(self.running_var.tensor())),
        };
        let y = (x - mean) * (var + self.eps).rsqrt();
        let y = match &self.weight {
            Some(weight) => y * per_channel(weight.tensor()),
            None => y,
        };
        let y = match &self.bias {
            Some(bias) => y + per_channel(bias.tensor()),
            None => y,
        };
        y.cast(dtype)
    }
}

impl BatchNorm2dConfig {
    setters! {
        /// How far the running statistics move to the batch's.
        momentum: f64;
        /// What is added to the variance.
        eps: f64;
        /// With or without gain and offset.
        affine: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<BatchNorm2d> {
        if self.channels == 0 {
            return Err(invalid("batch_norm2d", "0 channels".into()));
        }
        let shape = [self.channels];
        Ok(BatchNorm2d {
            weight: param(self.affine, device, 1.0, &shape)?,
            bias: param(self.affine, device, 0.0, &shape)?,
            running_mean: State::new(filled(device, 0.0, &shape))?,
            running_var: State::new(filled(device, 1.0, &shape))?,
            mode: Mode::default(),
            channels: self.channels,
            momentum: self.momentum,
            eps: self.eps,
        })
    }
}
