//! The block of MobileNetV2.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{ConvNorm, ConvNormConfig};
use crate::{Activation, BatchNorm2d, Conv2d, Init, Sequential, init::invalid};

/// An inverted residual with a linear bottleneck: channels are multiplied by `expand` at each place, filtered one by one over space,
/// and brought together without a nonlinearity. Where the shape stays, x is added.
///
/// # Shapes
/// `[B, in, H, W]` → `[B, out, ⌈H / stride⌉, ⌈W / stride⌉]`; parts as in torchvision: `conv.0.0` expands (unless `expand` is 1),
/// `conv.1.0` filters, `conv.2` and `conv.3` bring together
/// # Source
/// Sandler et al. 2018, arXiv:1801.04381.
#[derive(Clone, Debug, Module)]
pub struct InvertedResidual {
    /// The layers.
    pub conv: Sequential,
    residual: bool,
}

/// How to make an [`InvertedResidual`].
#[derive(Clone, Debug)]
pub struct InvertedResidualConfig {
    inputs: usize,
    outputs: usize,
    expand: usize,
    stride: usize,
    activation: Activation,
    weights: Init,
}

impl InvertedResidual {
    /// From `inputs` to `outputs` channels by way of `expand` times as many; stride 1, relu up to 6.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, expand: usize) -> InvertedResidualConfig {
        let activation = Activation::Relu6;
        InvertedResidualConfig { inputs, outputs, expand, stride: 1, activation, weights: Init::TORCH }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, in, H, W]` → `[B, out, H', W']`
    /// # Errors
    /// Another number of axes or channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.conv.forward(x);
        if self.residual { y + x } else { y }
    }
}

impl InvertedResidualConfig {
    setters! {
        /// Steps between windows.
        stride: usize;
        /// With this nonlinearity.
        activation: Activation;
        /// With filters drawn from this distribution.
        weights: Init;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels; an expansion of 0; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<InvertedResidual> {
        let InvertedResidualConfig { inputs, outputs, expand, stride, activation, weights } = self;
        let hidden = inputs.saturating_mul(expand);
        if hidden == 0 {
            return Err(invalid("inverted_residual", format!("{inputs} channels times {expand}")));
        }
        let of = |layer: ConvNormConfig| layer.activation(activation).weights(weights);
        let mut conv = Sequential::new();
        if expand > 1 {
            conv = conv.then(of(ConvNorm::new(inputs, hidden, 1)).init(device, rng)?);
        }
        let conv = conv
            .then(of(ConvNorm::new(hidden, hidden, 3)).stride(stride).groups(hidden).init(device, rng)?)
            .then(Conv2d::new(hidden, outputs, 1).bias(false).weights(weights).init(device, rng)?)
            .then(BatchNorm2d::new(outputs).init(device, rng)?);
        Ok(InvertedResidual { conv, residual: stride == 1 && inputs == outputs })
    }
}
