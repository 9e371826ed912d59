//! The affine map.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Tensor};

use crate::{
    Weighted,
    init::{Init, invalid},
};

/// `y = x Wᵀ + b`.
///
/// # Shapes
/// `[.., in] → [.., out]`; `weight [out, in]`, `bias [out]`
#[derive(Clone, Debug, Module)]
pub struct Linear {
    /// W.
    pub weight: Param,
    /// b.
    pub bias: Option<Param>,
}

/// How to make a [`Linear`].
#[derive(Clone, Debug)]
pub struct LinearConfig {
    inputs: usize,
    outputs: usize,
    bias: bool,
    weights: Init,
    biases: Option<Init>,
}

impl Linear {
    /// A map from `inputs` to `outputs` numbers, with a bias, drawn as PyTorch does.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize) -> LinearConfig {
        LinearConfig { inputs, outputs, bias: true, weights: Init::TORCH, biases: None }
    }

    /// Applies it: `x Wᵀ + b`.
    ///
    /// # Shapes
    /// `[.., in]` → `[.., out]`
    /// # Errors
    /// A last axis of another extent; scalars.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight.tensor())
    }
}

impl Weighted for Linear {
    fn weight(&self) -> &Param {
        &self.weight
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let y = x.matmul(&weight.t());
        match &self.bias {
            Some(bias) => y + bias.tensor(),
            None => y,
        }
    }
}

impl LinearConfig {
    setters! {
        /// With or without a bias.
        bias: bool;
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
    /// No inputs or outputs; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Linear> {
        if self.inputs == 0 || self.outputs == 0 {
            return Err(invalid("linear", format!("{} inputs and {} outputs", self.inputs, self.outputs)));
        }
        let weight = self.weights.param(device, [self.outputs, self.inputs], rng)?;
        let biases = self.biases.unwrap_or(Init::Uniform(1.0 / (self.inputs as f64).sqrt()));
        let bias = self.bias.then(|| biases.param(device, [self.outputs], rng)).transpose()?;
        Ok(Linear { weight, bias })
    }
}
