//! Convolutions over one, two or three axes of space.

mod padding;
mod plain;
mod separable;
mod transpose;

use thalweg_graph::{Device, Param, Result, Rng, Tensor, shape::count};

use crate::init::{Init, invalid};

pub use self::{
    padding::{Padding, PaddingMode},
    plain::{Conv, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvSettings},
    separable::{DepthwiseSeparable, DepthwiseSeparableConfig},
    transpose::{
        ConvTranspose, ConvTranspose1d, ConvTranspose1dConfig, ConvTranspose2d, ConvTranspose2dConfig, ConvTranspose3d,
        ConvTranspose3dConfig, ConvTransposeSettings,
    },
};

/// What all convolutions are made of.
#[derive(Clone, Debug)]
struct Filters<const N: usize> {
    inputs: usize,
    outputs: usize,
    kernel: [usize; N],
    groups: usize,
    bias: bool,
    weights: Init,
    /// Of biases, if not as PyTorch has them.
    biases: Option<Init>,
}

impl<const N: usize> Filters<N> {
    fn new(inputs: usize, outputs: usize, kernel: [usize; N]) -> Filters<N> {
        Filters { inputs, outputs, kernel, groups: 1, bias: true, weights: Init::TORCH, biases: None }
    }

    /// Refuses channels that the groups do not divide, and zeros.
    #[track_caller]
    fn check(&self, op: &'static str) -> Result<()> {
        let Filters { inputs, outputs, kernel, groups, .. } = *self;
        let fits = groups > 0 && inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups);
        if !fits || [inputs, outputs].contains(&0) || kernel.contains(&0) {
            let channels = format!("{inputs} to {outputs} channels in {groups} groups");
            return Err(invalid(op, format!("{channels} with a kernel of {kernel:?}")));
        }
        Ok(())
    }

    /// Filters `[first, second, kernel..]`, and the bias, of which PyTorch's bound is the same as that of the weights.
    #[track_caller]
    fn draw(&self, first: usize, second: usize, device: &Device, rng: &mut Rng) -> Result<(Param, Option<Param>)> {
        let shape = [&[first, second], &self.kernel[..]].concat();
        let weight = self.weights.param(device, &shape, rng)?;
        let biases = self.biases.unwrap_or(Init::Uniform(1.0 / (count(&shape[1..]) as f64).sqrt()));
        let bias = self.bias.then(|| biases.param(device, [self.outputs], rng)).transpose()?;
        Ok((weight, bias))
    }
}

/// A number added to each channel of a batch, if there is one.
#[track_caller]
fn biased<const N: usize>(y: Tensor, bias: Option<&Param>) -> Tensor {
    match bias {
        Some(bias) => y + bias.tensor().reshape([&[-1], &[1; N][..]].concat()),
        None => y,
    }
}
