//! The bilinear map.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Tensor};

use crate::init::{Init, invalid};

/// `y_k = aᵀ W_k b + c_k` of two vectors.
///
/// # Shapes
/// `a [.., m]`, `b [.., n]` → `[.., out]`; `weight [out, m, n]`, `bias [out]`
#[derive(Clone, Debug, Module)]
pub struct Bilinear {
    /// W.
    pub weight: Param,
    /// c.
    pub bias: Option<Param>,
}

/// How to make a [`Bilinear`].
#[derive(Clone, Debug)]
pub struct BilinearConfig {
    inputs: [usize; 2],
    outputs: usize,
    bias: bool,
}

impl Bilinear {
    /// Of vectors of `first` and `second` numbers, to `outputs`, with a bias, drawn as PyTorch does.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(first: usize, second: usize, outputs: usize) -> BilinearConfig {
        BilinearConfig { inputs: [first, second], outputs, bias: true }
    }

    /// Applies it: [`Tensor::bilinear`].
    ///
    /// # Shapes
    /// `[.., m]`, `[.., n]` → `[.., out]`; leading axes broadcast
    /// # Errors
    /// Last axes of other extents; leading axes that do not broadcast; scalars.
    #[track_caller]
    pub fn forward(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let bias = self.bias.as_ref().map(Param::tensor);
        a.bilinear(b, &self.weight.tensor(), bias.as_ref())
    }
}

impl BilinearConfig {
    setters! {
        /// With or without a bias.
        bias: bool;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No inputs or outputs; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Bilinear> {
        let ([first, second], outputs) = (self.inputs, self.outputs);
        if [first, second, outputs].contains(&0) {
            return Err(invalid("bilinear", format!("{first} and {second} inputs and {outputs} outputs")));
        }
        let draw = Init::Uniform(1.0 / (first as f64).sqrt());
        let weight = draw.param(device, [outputs, first, second], rng)?;
        let bias = self.bias.then(|| draw.param(device, [outputs], rng)).transpose()?;
        Ok(Bilinear { weight, bias })
    }
}
