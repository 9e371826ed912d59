//! Root-mean-square normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, IntoShape, Param, Result, Rng, Tensor};

use super::{check_shape, param};

/// Divides by the root mean square over the last axes: `y = x / √(mean x² + ε) · weight`, as [`Tensor::rms_norm`].
///
/// # Shapes
/// `[.., shape..]` → the same; `weight` `[shape..]`
/// # Source
/// Zhang & Sennrich 2019, arXiv:1910.07467.
#[derive(Clone, Debug, Module)]
pub struct RmsNorm {
    /// The gain of each element.
    pub weight: Option<Param>,
    shape: Vec<usize>,
    eps: f64,
}

/// How to make an [`RmsNorm`].
#[derive(Clone, Debug)]
pub struct RmsNormConfig {
    shape: Vec<usize>,
    eps: f64,
    affine: bool,
}

impl RmsNorm {
    /// Over last axes of this shape; ε is the distance from 1 to the next f32, as in PyTorch; with a gain.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(shape: impl IntoShape) -> RmsNormConfig {
        RmsNormConfig { shape: shape.into_shape(), eps: f64::from(f32::EPSILON), affine: true }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[.., shape..]` → the same
    /// # Errors
    /// Last axes of another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let weight = self.weight.as_ref().map(Param::tensor);
        x.rms_norm(&self.shape, weight.as_ref(), self.eps)
    }
}

impl RmsNormConfig {
    setters! {
        /// What is added to the mean of squares.
        eps: f64;
        /// With or without the gain.
        affine: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No axes or empty ones; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<RmsNorm> {
        check_shape("rms_norm", &self.shape)?;
        let weight = param(self.affine, device, 1.0, &self.shape)?;
        Ok(RmsNorm { weight, shape: self.shape, eps: self.eps })
    }
}
