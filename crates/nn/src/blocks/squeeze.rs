//! Channels weighted by what all of space holds.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Scope, Tensor};

use crate::{
    Activation, AdaptiveAvgPool2d, Conv2d,
    init::{Init, invalid},
};

/// `y = x · gate(W_2 activation(W_1 mean(x) + b_1) + b_2)` with the mean over space, and a factor for each channel.
///
/// # Shapes
/// `[B, C, H, W]` → the same; `fc1.weight [squeezed, C, 1, 1]`, `fc2.weight [C, squeezed, 1, 1]`, as torchvision has them
/// # Source
/// Hu et al. 2018, arXiv:1709.01507.
#[derive(Clone, Debug, Module)]
pub struct SqueezeExcite {
    /// `W_1` and `b_1`.
    pub fc1: Conv2d,
    /// `W_2` and `b_2`.
    pub fc2: Conv2d,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    gate: Activation,
}

/// How to make a [`SqueezeExcite`].
#[derive(Clone, Debug)]
pub struct SqueezeExciteConfig {
    channels: usize,
    squeezed: usize,
    activation: Activation,
    gate: Activation,
    weights: Init,
    biases: Option<Init>,
}

impl SqueezeExcite {
    /// Of so many channels by way of so many; relu in between, the sigmoid as the gate.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(channels: usize, squeezed: usize) -> SqueezeExciteConfig {
        let (activation, gate) = (Activation::Relu, Activation::Sigmoid);
        SqueezeExciteConfig { channels, squeezed, activation, gate, weights: Init::TORCH, biases: None }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, C, H, W]` → the same, or both without B
    /// # Errors
    /// Another number of axes or channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("squeeze_excite");
        let mean = AdaptiveAvgPool2d::new(1).forward(x);
        let hidden = self.activation.forward(&self.fc1.forward(&mean));
        x * self.gate.forward(&self.fc2.forward(&hidden))
    }
}

impl SqueezeExciteConfig {
    setters! {
        /// With this nonlinearity in between.
        activation: Activation;
        /// With this one as the gate.
        gate: Activation;
        /// With weights drawn from this distribution.
        weights: Init;
    }

    /// With biases drawn from this distribution.
    pub fn biases(mut self, biases: Init) -> Self {
        self.biases = Some(biases);
        self
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<SqueezeExcite> {
        let SqueezeExciteConfig { channels, squeezed, activation, gate, weights, biases } = self;
        if channels == 0 || squeezed == 0 {
            return Err(invalid("squeeze_excite", format!("{channels} channels by way of {squeezed}")));
        }
        let mut layer = |inputs, outputs| {
            let conv = Conv2d::new(inputs, outputs, 1).weights(weights);
            match biases {
                Some(biases) => conv.biases(biases).init(device, rng),
                None => conv.init(device, rng),
            }
        };
        Ok(SqueezeExcite { fc1: layer(channels, squeezed)?, fc2: layer(squeezed, channels)?, activation, gate })
    }
}
