//! Layer normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, IntoShape, Param, Result, Rng, Tensor};

use super::{check_shape, param};

/// Normalises over the last axes: `y = (x - μ) / √(σ² + ε) · weight + bias`, as [`Tensor::layer_norm`].
///
/// # Shapes
/// `[.., shape..]` → the same; `weight` and `bias` `[shape..]`
/// # Source
/// Ba et al. 2016, arXiv:1607.06450.
#[derive(Clone, Debug, Module)]
pub struct LayerNorm {
    /// The gain of each element.
    pub weight: Option<Param>,
    /// The offset of each element.
    pub bias: Option<Param>,
    shape: Vec<usize>,
    eps: f64,
}

/// How to make a [`LayerNorm`].
#[derive(Clone, Debug)]
pub struct LayerNormConfig {
    shape: Vec<usize>,
    eps: f64,
    affine: bool,
    bias: bool,
}

impl LayerNorm {
    /// Over last axes of this shape; ε 1e-5, with gain and offset.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(shape: impl IntoShape) -> LayerNormConfig {
        LayerNormConfig { shape: shape.into_shape(), eps: 1e-5, affine: true, bias: true }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[.., shape..]` → the same
    /// # Errors
    /// Last axes of another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let [weight, bias] = [&self.weight, &self.bias].map(|p| p.as_ref().map(Param::tensor));
        x.layer_norm(&self.shape, weight.as_ref(), bias.as_ref(), self.eps)
    }
}

impl LayerNormConfig {
    setters! {
        /// What is added to the variance.
        eps: f64;
        /// With or without gain and offset.
        affine: bool;
        /// With or without the offset beside the gain.
        bias: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No axes or empty ones; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<LayerNorm> {
        check_shape("layer_norm", &self.shape)?;
        let weight = param(self.affine, device, 1.0, &self.shape)?;
        let bias = param(self.affine && self.bias, device, 0.0, &self.shape)?;
        Ok(LayerNorm { weight, bias, shape: self.shape, eps: self.eps })
    }
}
