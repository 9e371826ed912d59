//! Convolution, normalisation, nonlinearity.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{Activation, BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Init};

/// A convolution without a bias, batch normalisation, and a nonlinearity. Its parts are called `0` and `1`, as in torchvision's
/// `Conv2dNormActivation`.
///
/// # Shapes
/// Those of the convolution.
#[derive(Clone, Debug, Module)]
pub struct ConvNorm(
    /// The convolution.
    pub Conv2d,
    /// The normalisation.
    pub BatchNorm2d,
    #[module(skip)] Activation,
);

/// How to make a [`ConvNorm`].
#[derive(Clone, Debug)]
pub struct ConvNormConfig {
    conv: Conv2dConfig,
    norm: BatchNorm2dConfig,
    activation: Activation,
}

impl ConvNorm {
    /// With an odd kernel, zeros around that keep the extents, stride 1, and relu.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> ConvNormConfig {
        let conv = Conv2d::new(inputs, outputs, kernel).padding(kernel.saturating_sub(1) / 2).bias(false);
        ConvNormConfig { conv, norm: BatchNorm2d::new(outputs), activation: Activation::Relu }
    }

    /// Applies the three.
    ///
    /// # Shapes
    /// `[B, in, H, W]` → `[B, out, H', W']`
    /// # Errors
    /// Those of the convolution.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.2.forward(&self.1.forward(&self.0.forward(x)))
    }
}

impl ConvNormConfig {
    /// Steps between windows.
    pub fn stride(mut self, stride: usize) -> Self {
        self.conv = self.conv.stride(stride);
        self
    }

    /// Groups of channels that do not see each other.
    pub fn groups(mut self, groups: usize) -> Self {
        self.conv = self.conv.groups(groups);
        self
    }

    /// With filters drawn from this distribution.
    pub fn weights(mut self, weights: Init) -> Self {
        self.conv = self.conv.weights(weights);
        self
    }

    /// With this ε and momentum in the normalisation.
    pub fn norm(mut self, eps: f64, momentum: f64) -> Self {
        self.norm = self.norm.eps(eps).momentum(momentum);
        self
    }

    setters! {
        /// With this nonlinearity.
        activation: Activation;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// As for [`Conv2d`].
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ConvNorm> {
        let conv = self.conv.init(device, rng)?;
        Ok(ConvNorm(conv, self.norm.init(device, rng)?, self.activation))
    }
}
