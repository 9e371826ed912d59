//! The block of ShuffleNetV2.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Result, Rng, Tensor};

use crate::{Activation, BatchNorm2d, Conv2d, Sequential, init::invalid};

/// Half of the channels goes through, the other half is filtered, and both are shuffled; with stride 2 all of them go both ways.
///
/// # Shapes
/// `[B, in, H, W]` → `[B, out, ⌈H / stride⌉, ⌈W / stride⌉]`, with in = out for stride 1; parts as in torchvision: `branch1` (stride 2
/// alone) and `branch2`
/// # Source
/// Ma et al. 2018, arXiv:1807.11164, figure 3 (c) and (d).
#[derive(Clone, Debug, Module)]
pub struct ShuffleUnit {
    /// The way of the half that is not mixed.
    pub branch1: Sequential,
    /// The other.
    pub branch2: Sequential,
    stride: usize,
}

/// How to make a [`ShuffleUnit`].
#[derive(Clone, Debug)]
pub struct ShuffleUnitConfig {
    inputs: usize,
    outputs: usize,
    stride: usize,
}

impl ShuffleUnit {
    /// From `inputs` to `outputs` channels.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize) -> ShuffleUnitConfig {
        ShuffleUnitConfig { inputs, outputs, stride: 1 }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, in, H, W]` → `[B, out, H', W']`
    /// # Errors
    /// Another number of axes or channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.check().is_err() {
            return x.clone();
        }
        if self.stride > 1 {
            return Tensor::concat([self.branch1.forward(x), self.branch2.forward(x)], 1).channel_shuffle(2);
        }
        match x.chunk(2, 1).as_slice() {
            [through, other] => Tensor::concat([through, &self.branch2.forward(other)], 1).channel_shuffle(2),
            _ => {
                let problem = "has no two halves of channels".to_string();
                x.fail("shuffle_unit", ErrorKind::Shape { shape: x.shape().to_vec(), problem })
            }
        }
    }
}

impl ShuffleUnitConfig {
    setters! {
        /// Steps between windows.
        stride: usize;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// An odd number of channels, or another than comes in with stride 1; a stride of 0; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ShuffleUnit> {
        let ShuffleUnitConfig { inputs, outputs, stride } = self;
        if inputs == 0
            || outputs == 0
            || !outputs.is_multiple_of(2)
            || stride == 0
            || (stride == 1 && inputs != outputs)
        {
            let problem = format!("{inputs} to {outputs} channels with a stride of {stride}");
            return Err(invalid("shuffle_unit", problem));
        }
        let half = outputs / 2;
        let mixed = if stride > 1 { inputs } else { half };
        let mut branch1 = Sequential::new();
        if stride > 1 {
            branch1 = branch1
                .then(over_space(inputs, stride).init(device, rng)?)
                .then(BatchNorm2d::new(inputs).init(device, rng)?)
                .then(Conv2d::new(inputs, half, 1).bias(false).init(device, rng)?)
                .then(BatchNorm2d::new(half).init(device, rng)?)
                .then(Activation::Relu);
        }
        let branch2 = Sequential::new()
            .then(Conv2d::new(mixed, half, 1).bias(false).init(device, rng)?)
            .then(BatchNorm2d::new(half).init(device, rng)?)
            .then(Activation::Relu)
            .then(over_space(half, stride).init(device, rng)?)
            .then(BatchNorm2d::new(half).init(device, rng)?)
            .then(Conv2d::new(half, half, 1).bias(false).init(device, rng)?)
            .then(BatchNorm2d::new(half).init(device, rng)?)
            .then(Activation::Relu);
        Ok(ShuffleUnit { branch1, branch2, stride })
    }
}

/// A filter of 3 × 3 for each channel.
fn over_space(channels: usize, stride: usize) -> crate::Conv2dConfig {
    Conv2d::new(channels, channels, 3).padding(1).stride(stride).groups(channels).bias(false)
}
