//! Instance normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Tensor};

use super::param;
use crate::init::invalid;

/// Normalises each channel of each sample over space, as [`Tensor::instance_norm`]; it keeps no running statistics.
///
/// # Shapes
/// `[B, C, ..]` with one or more axes of space → the same; `weight` and `bias` `[C]`
/// # Source
/// Ulyanov et al. 2016, arXiv:1607.08022.
#[derive(Clone, Debug, Module)]
pub struct InstanceNorm {
    /// The gain of each channel.
    pub weight: Option<Param>,
    /// The offset of each channel.
    pub bias: Option<Param>,
    eps: f64,
}

/// How to make an [`InstanceNorm`].
#[derive(Clone, Debug)]
pub struct InstanceNormConfig {
    channels: usize,
    eps: f64,
    affine: bool,
}

impl InstanceNorm {
    /// For this many channels; ε 1e-5, without gain and offset.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(channels: usize) -> InstanceNormConfig {
        InstanceNormConfig { channels, eps: 1e-5, affine: false }
    }

    /// Applies it.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let [weight, bias] = [&self.weight, &self.bias].map(|p| p.as_ref().map(Param::tensor));
        x.instance_norm(weight.as_ref(), bias.as_ref(), self.eps)
    }
}

impl InstanceNormConfig {
    /// What is added to the variance.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// With or without gain and offset.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<InstanceNorm> {
        if self.channels == 0 {
            return Err(invalid("instance_norm", "0 channels".into()));
        }
        let weight = param(self.affine, device, 1.0, &[self.channels])?;
        let bias = param(self.affine, device, 0.0, &[self.channels])?;
        Ok(InstanceNorm { weight, bias, eps: self.eps })
    }
}
