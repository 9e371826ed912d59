//! Transposed convolution.

use thalweg_derive::Module;
use thalweg_graph::{ConvConfig, Device, ErrorKind, Param, Result, Rng, Tensor};

use super::{Filters, biased};
use crate::{
    PerAxis, Weighted,
    init::{Init, invalid},
    per_axis::{batched, by_rank},
};

/// The adjoint of a convolution over N axes of space, and a bias for each output channel: each element of the input adds the filter
/// to the output, `stride` apart.
///
/// # Shapes
/// `[B, in, L..] → [B, out, L'..]`, or both without B, with
/// `L' = (L - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1`; `weight [in, out / groups, kernel..]`,
/// `bias [out]`
#[derive(Clone, Debug, Module)]
#[module(name = by_rank::<N>(["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]))]
pub struct ConvTranspose<const N: usize> {
    /// The filters.
    pub weight: Param,
    /// One number for each output channel.
    pub bias: Option<Param>,
    config: ConvConfig,
    output_padding: [usize; N],
}

/// Transposed convolution over series.
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution over images.
pub type ConvTranspose2d = ConvTranspose<2>;
/// Transposed convolution over volumes.
pub type ConvTranspose3d = ConvTranspose<3>;

/// How to make a [`ConvTranspose`].
#[derive(Clone, Debug)]
pub struct ConvTransposeSettings<const N: usize> {
    filters: Filters<N>,
    stride: [usize; N],
    padding: [usize; N],
    output_padding: [usize; N],
    dilation: [usize; N],
}

/// How to make a [`ConvTranspose1d`].
pub type ConvTranspose1dConfig = ConvTransposeSettings<1>;
/// How to make a [`ConvTranspose2d`].
pub type ConvTranspose2dConfig = ConvTransposeSettings<2>;
/// How to make a [`ConvTranspose3d`].
pub type ConvTranspose3dConfig = ConvTransposeSettings<3>;

impl<const N: usize> ConvTranspose<N> {
    const NAME: &'static str = by_rank::<N>(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]);

    /// Filters from `inputs` to `outputs` channels, stride 1, no padding, with a bias, drawn as PyTorch does.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<PerAxis<N>>) -> ConvTransposeSettings<N> {
        let filters = Filters::new(inputs, outputs, kernel.into().0);
        ConvTransposeSettings { filters, stride: [1; N], padding: [0; N], output_padding: [0; N], dilation: [1; N] }
    }

    /// Applies it: [`Tensor::conv_transpose`], and the bias.
    ///
    /// # Shapes
    /// `[B, in, L..]` → `[B, out, L'..]`, or both without B
    /// # Errors
    /// Another number of axes or channels; padding that leaves nothing.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight.tensor())
    }

    /// Applies it to give an output of these extents (PyTorch's `output_size`), whatever the output padding: those of what a
    /// convolution with these settings took to the extents of the input.
    ///
    /// # Shapes
    /// `[B, in, L..]` → `[B, out, size..]`, or both without B
    /// # Errors
    /// As [`ConvTranspose::forward`]; extents that no convolution takes to those of the input.
    #[track_caller]
    pub fn forward_to(&self, x: &Tensor, size: impl Into<PerAxis<N>>) -> Tensor {
        let (x, single) = match self.batch(x) {
            Ok(batch) => batch,
            Err(failed) => return failed,
        };
        let (size, weight) = (size.into().0, self.weight.tensor());
        let mut more = [0; N];
        for d in 0..N {
            let stride = self.config.stride[d];
            let span = self.config.dilation[d] * (weight.shape()[2 + d] - 1) + 1;
            let full = (x.shape()[2 + d].max(1) - 1) * stride + span;
            // With the padding that is taken off again.
            match (size[d] + 2 * self.config.padding[d]).checked_sub(full).filter(|more| *more < stride) {
                Some(rest) => more[d] = rest,
                None => {
                    let problem = format!("does not come of {size:?} by a convolution");
                    return x.fail(Self::NAME, ErrorKind::Shape { shape: x.shape().to_vec(), problem });
                }
            }
        }
        self.apply(&x, single, &weight, &more)
    }

    #[track_caller]
    fn batch(&self, x: &Tensor) -> std::result::Result<(Tensor, bool), Tensor> {
        let (x, single) = batched::<N>(Self::NAME, x)?;
        // The weight is the caller's to replace, also by one without axes.
        let channels = self.weight.shape().first().copied().unwrap_or_default();
        if x.shape()[1] == channels {
            return Ok((x, single));
        }
        let problem = format!("has {} channels, not {channels}", x.shape()[1]);
        Err(x.fail(Self::NAME, ErrorKind::Shape { shape: x.shape().to_vec(), problem }))
    }

    #[track_caller]
    fn apply(&self, x: &Tensor, single: bool, weight: &Tensor, more: &[usize; N]) -> Tensor {
        let y = biased::<N>(x.conv_transpose(weight, &self.config, more), self.bias.as_ref());
        if single && y.check().is_ok() { y.squeeze(0) } else { y }
    }
}

impl<const N: usize> Weighted for ConvTranspose<N> {
    fn weight(&self) -> &Param {
        &self.weight
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        match self.batch(x) {
            Ok((x, single)) => self.apply(&x, single, weight, &self.output_padding),
            Err(failed) => failed,
        }
    }
}

impl<const N: usize> ConvTransposeSettings<N> {
    /// Steps between the places of two elements.
    pub fn stride(mut self, stride: impl Into<PerAxis<N>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Elements taken off both sides of the output: the padding of the convolution that this is the adjoint of.
    pub fn padding(mut self, padding: impl Into<PerAxis<N>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// Elements more at the end of each axis of the output: which of the extents is meant that a convolution takes to one.
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis<N>>) -> Self {
        self.output_padding = output_padding.into().0;
        self
    }

    /// Steps inside a window.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<N>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Groups of channels that do not see each other.
    pub fn groups(mut self, groups: usize) -> Self {
        self.filters.groups = groups;
        self
    }

    /// With or without a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.filters.bias = bias;
        self
    }

    /// With weights drawn from this distribution.
    pub fn weights(mut self, weights: Init) -> Self {
        self.filters.weights = weights;
        self
    }

    /// With biases drawn from this distribution.
    pub fn biases(mut self, biases: Init) -> Self {
        self.filters.biases = Some(biases);
        self
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// Channels that the groups do not divide; zeros; an output padding that reaches neither below stride nor dilation; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ConvTranspose<N>> {
        let (name, filters) = (ConvTranspose::<N>::NAME, self.filters);
        filters.check(name)?;
        if self.stride.contains(&0) || self.dilation.contains(&0) {
            return Err(invalid(name, format!("a stride of {:?} and a dilation of {:?}", self.stride, self.dilation)));
        }
        if (0..N).any(|d| self.output_padding[d] >= self.stride[d].max(self.dilation[d])) {
            let (more, stride, dilation) = (self.output_padding, self.stride, self.dilation);
            let problem =
                format!("an output padding of {more:?}, not below the stride {stride:?} or dilation {dilation:?}");
            return Err(invalid(name, problem));
        }
        let (weight, bias) = filters.draw(filters.inputs, filters.outputs / filters.groups, device, rng)?;
        let config = ConvConfig {
            stride: self.stride.to_vec(),
            padding: self.padding.to_vec(),
            dilation: self.dilation.to_vec(),
            groups: filters.groups,
        };
        Ok(ConvTranspose { weight, bias, config, output_padding: self.output_padding })
    }
}
