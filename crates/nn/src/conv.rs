//! Convolution over images.

use thalweg_derive::Module;
use thalweg_graph::{ConvConfig, Device, Param, Result, Rng, Tensor, shape::count};

use crate::{
    Weighted,
    init::{Init, invalid},
};

/// Cross-correlation over two spatial axes, and a bias for each output channel.
///
/// # Shapes
/// `[B, in, H, W] → [B, out, H', W']` with `H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1`;
/// `weight [out, in / groups, kernel, kernel]`, `bias [out]`
#[derive(Clone, Debug, Module)]
pub struct Conv2d {
    /// The filters.
    pub weight: Param,
    /// One number for each output channel.
    pub bias: Option<Param>,
    config: ConvConfig,
}

/// How to make a [`Conv2d`].
#[derive(Clone, Debug)]
pub struct Conv2dConfig {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    bias: bool,
    weights: Init,
    config: ConvConfig,
}

impl Conv2d {
    /// Square filters from `inputs` to `outputs` channels, stride 1, no padding, with a bias, drawn as PyTorch does.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Conv2dConfig {
        let config = ConvConfig::default();
        Conv2dConfig { inputs, outputs, kernel: [kernel; 2], bias: true, weights: Init::TORCH, config }
    }

    /// Applies it: [`Tensor::conv2d`], and the bias.
    ///
    /// # Shapes
    /// `[B, in, H, W]` → `[B, out, H', W']`
    /// # Errors
    /// Not four axes; another number of channels; a filter larger than the padded input.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight.tensor())
    }
}

impl Weighted for Conv2d {
    fn weight(&self) -> &Param {
        &self.weight
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let y = x.conv2d(weight, &self.config);
        match &self.bias {
            Some(bias) => y + bias.tensor().reshape([1, -1, 1, 1]),
            None => y,
        }
    }
}

impl Conv2dConfig {
    /// Steps between windows.
    pub fn stride(mut self, stride: usize) -> Self {
        self.config.stride = vec![stride];
        self
    }

    /// Zeros on every side.
    pub fn padding(mut self, padding: usize) -> Self {
        self.config.padding = vec![padding];
        self
    }

    /// Steps inside a window.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.config.dilation = vec![dilation];
        self
    }

    /// Groups of channels that do not see each other.
    pub fn groups(mut self, groups: usize) -> Self {
        self.config.groups = groups;
        self
    }

    setters! {
        /// Filters of this height and width.
        kernel: [usize; 2];
        /// With or without a bias.
        bias: bool;
        /// With weights drawn from this distribution.
        weights: Init;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// Channels that the groups do not divide; zeros; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Conv2d> {
        let groups = self.config.groups;
        let fits = groups > 0 && self.inputs.is_multiple_of(groups) && self.outputs.is_multiple_of(groups);
        if !fits || [self.inputs, self.outputs].contains(&0) || self.kernel.contains(&0) {
            let channels = format!("{} to {} channels in {groups} groups", self.inputs, self.outputs);
            return Err(invalid("conv2d", format!("{channels} with a kernel of {:?}", self.kernel)));
        }
        let shape = [self.outputs, self.inputs / groups, self.kernel[0], self.kernel[1]];
        let weight = self.weights.param(device, shape, rng)?;
        let bound = 1.0 / (count(&shape[1..]) as f64).sqrt();
        let bias = match self.bias {
            true => Some(Init::Uniform(bound).param(device, [self.outputs], rng)?),
            false => None,
        };
        Ok(Conv2d { weight, bias, config: self.config })
    }
}
