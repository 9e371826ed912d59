//! Convolution.

use thalweg_derive::Module;
use thalweg_graph::{ConvConfig, Device, ErrorKind, Param, Result, Rng, Tensor};

use super::{Filters, Padding, PaddingMode, biased};
use crate::{
    PerAxis, Weighted,
    init::{Init, invalid},
    per_axis::{batched, by_rank},
};

/// Cross-correlation over N axes of space, and a bias for each output channel.
///
/// # Shapes
/// `[B, in, L..] → [B, out, L'..]`, or both without B, with
/// `L' = ⌊(L + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1`; `weight [out, in / groups, kernel..]`, `bias [out]`
#[derive(Clone, Debug, Module)]
#[module(name = by_rank::<N>(["Conv1d", "Conv2d", "Conv3d"]))]
pub struct Conv<const N: usize> {
    /// The filters.
    pub weight: Param,
    /// One number for each output channel.
    pub bias: Option<Param>,
    config: ConvConfig,
    #[module(skip)]
    pads: [(usize, usize); N],
    #[module(skip)]
    mode: PaddingMode,
}

/// Convolution over series.
pub type Conv1d = Conv<1>;
/// Convolution over images.
pub type Conv2d = Conv<2>;
/// Convolution over volumes.
pub type Conv3d = Conv<3>;

/// How to make a [`Conv`].
#[derive(Clone, Debug)]
pub struct ConvSettings<const N: usize> {
    filters: Filters<N>,
    stride: [usize; N],
    padding: Padding<N>,
    mode: PaddingMode,
    dilation: [usize; N],
}

/// How to make a [`Conv1d`].
pub type Conv1dConfig = ConvSettings<1>;
/// How to make a [`Conv2d`].
pub type Conv2dConfig = ConvSettings<2>;
/// How to make a [`Conv3d`].
pub type Conv3dConfig = ConvSettings<3>;

impl<const N: usize> Conv<N> {
    const NAME: &'static str = by_rank::<N>(["conv1d", "conv2d", "conv3d"]);

    /// Filters from `inputs` to `outputs` channels, stride 1, no padding, with a bias, drawn as PyTorch does. A kernel of `3` has
    /// that extent along each axis; settings of each axis are written `[3, 5]`.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<PerAxis<N>>) -> ConvSettings<N> {
        let filters = Filters::new(inputs, outputs, kernel.into().0);
        ConvSettings {
            filters,
            stride: [1; N],
            padding: Padding::Each([0; N]),
            mode: PaddingMode::Zeros,
            dilation: [1; N],
        }
    }

    /// Applies it: [`Tensor::conv`], and the bias.
    ///
    /// # Shapes
    /// `[B, in, L..]` → `[B, out, L'..]`, or both without B
    /// # Errors
    /// Another number of axes or channels; a filter larger than the padded input; less input than it is to be mirrored or
    /// repeated.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight.tensor())
    }
}

impl<const N: usize> Weighted for Conv<N> {
    fn weight(&self) -> &Param {
        &self.weight
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let (x, single) = match batched::<N>(Self::NAME, x) {
            Ok(batch) => batch,
            Err(failed) => return failed,
        };
        // The weight is the caller's to replace, also by one of other axes.
        let channels = self.weight.shape().get(1).map_or(0, |inputs| inputs * self.config.groups);
        if x.shape()[1] != channels {
            let problem = format!("has {} channels, not {channels}", x.shape()[1]);
            return x.fail(Self::NAME, ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let (x, zeros) = self.mode.apply(&x, &self.pads);
        let y = biased::<N>(x.conv_padded(weight, &self.config, &zeros), self.bias.as_ref());
        if single && y.check().is_ok() { y.squeeze(0) } else { y }
    }
}

impl<const N: usize> ConvSettings<N> {
    /// Steps between windows.
    pub fn stride(mut self, stride: impl Into<PerAxis<N>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Elements on both sides: a number, an array of one for each axis, or [`Padding::Same`].
    pub fn padding(mut self, padding: impl Into<Padding<N>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// What these elements are.
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.mode = mode;
        self
    }

    /// Steps inside a window.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<N>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Groups of channels that do not see each other; as many as there are channels make it depthwise.
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
    /// Channels that the groups do not divide; zeros; [`Padding::Same`] with a stride; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Conv<N>> {
        let (name, filters) = (Conv::<N>::NAME, self.filters);
        filters.check(name)?;
        if self.stride.contains(&0) || self.dilation.contains(&0) {
            return Err(invalid(name, format!("a stride of {:?} and a dilation of {:?}", self.stride, self.dilation)));
        }
        let pads = match self.padding {
            Padding::Each(pads) => pads.map(|pad| (pad, pad)),
            Padding::Same if self.stride != [1; N] => {
                return Err(invalid(name, format!("padding to the same extents with a stride of {:?}", self.stride)));
            }
            Padding::Same => std::array::from_fn(|d| {
                let total = self.dilation[d].saturating_mul(filters.kernel[d] - 1);
                (total / 2, total - total / 2)
            }),
        };
        let (weight, bias) = filters.draw(filters.outputs, filters.inputs / filters.groups, device, rng)?;
        let config = ConvConfig {
            stride: self.stride.to_vec(),
            dilation: self.dilation.to_vec(),
            groups: filters.groups,
            ..ConvConfig::default()
        };
        Ok(Conv { weight, bias, config, pads, mode: self.mode })
    }
}
