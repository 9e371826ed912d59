//! A convolution in two: over space for each channel by itself, then over channels at each place.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{Conv, ConvSettings, Padding};
use crate::PerAxis;

/// A depthwise convolution, one filter for each channel, and a pointwise one, of kernel 1, that mixes the channels: in place of
/// `out · in · k` weights `in · k + out · in`.
///
/// # Shapes
/// As [`Conv`]; `depthwise.weight [in, 1, kernel..]`, `pointwise.weight [out, in, 1..]`, `pointwise.bias [out]`
/// # Source
/// Chollet 2017, arXiv:1610.02357; Howard et al. 2017, arXiv:1704.04861.
#[derive(Clone, Debug, Module)]
pub struct DepthwiseSeparable<const N: usize> {
    /// Over space.
    pub depthwise: Conv<N>,
    /// Over channels.
    pub pointwise: Conv<N>,
}

/// How to make a [`DepthwiseSeparable`].
#[derive(Clone, Debug)]
pub struct DepthwiseSeparableConfig<const N: usize> {
    depthwise: ConvSettings<N>,
    pointwise: ConvSettings<N>,
}

impl<const N: usize> DepthwiseSeparable<N> {
    /// From `inputs` to `outputs` channels, stride 1, no padding, with a bias behind both, drawn as PyTorch does.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<PerAxis<N>>) -> DepthwiseSeparableConfig<N> {
        let depthwise = Conv::new(inputs, inputs, kernel).groups(inputs).bias(false);
        DepthwiseSeparableConfig { depthwise, pointwise: Conv::new(inputs, outputs, 1) }
    }

    /// Applies both.
    ///
    /// # Shapes
    /// `[B, in, L..]` → `[B, out, L'..]`, or both without B
    /// # Errors
    /// As [`Conv::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.pointwise.forward(&self.depthwise.forward(x))
    }
}

impl<const N: usize> DepthwiseSeparableConfig<N> {
    /// Steps between windows.
    pub fn stride(mut self, stride: impl Into<PerAxis<N>>) -> Self {
        self.depthwise = self.depthwise.stride(stride);
        self
    }

    /// Zeros on both sides.
    pub fn padding(mut self, padding: impl Into<Padding<N>>) -> Self {
        self.depthwise = self.depthwise.padding(padding);
        self
    }

    /// Steps inside a window.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<N>>) -> Self {
        self.depthwise = self.depthwise.dilation(dilation);
        self
    }

    /// With or without the bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.pointwise = self.pointwise.bias(bias);
        self
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// As for [`Conv`].
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<DepthwiseSeparable<N>> {
        let depthwise = self.depthwise.init(device, rng)?;
        Ok(DepthwiseSeparable { depthwise, pointwise: self.pointwise.init(device, rng)? })
    }
}
