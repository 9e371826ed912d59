//! Feed-forward nets with a gate.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{Linear, init::invalid};

/// A feed-forward net one of whose two inner products gates the other: `W_2 (f(W_1 x) · W_3 x)`, with `f = silu` SwiGLU, with
/// `f = gelu` GEGLU.
///
/// # Shapes
/// `[.., E] → [.., E]`; `w1.weight` and `w3.weight [F, E]`, `w2.weight [E, F]`, as Llama calls them
/// # Source
/// Shazeer 2020, arXiv:2002.05202; Touvron et al. 2023, arXiv:2302.13971.
#[derive(Clone, Debug, Module)]
pub struct GatedFeedForward {
    /// What the gate is made of.
    pub w1: Linear,
    /// Back to the width of x.
    pub w2: Linear,
    /// What is gated.
    pub w3: Linear,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
}

/// How to make a [`GatedFeedForward`].
#[derive(Clone, Debug)]
pub struct GatedFeedForwardConfig {
    width: usize,
    hidden: Option<usize>,
    multiple_of: usize,
    bias: bool,
    activation: fn(&Tensor) -> Tensor,
}

impl GatedFeedForward {
    /// SwiGLU of vectors of this width, without biases.
    pub fn swiglu(width: usize) -> GatedFeedForwardConfig {
        GatedFeedForward::of(width, Tensor::silu)
    }

    /// GEGLU of vectors of this width, without biases.
    pub fn geglu(width: usize) -> GatedFeedForwardConfig {
        GatedFeedForward::of(width, Tensor::gelu)
    }

    fn of(width: usize, activation: fn(&Tensor) -> Tensor) -> GatedFeedForwardConfig {
        GatedFeedForwardConfig { width, hidden: None, multiple_of: 256, bias: false, activation }
    }

    /// The inner width that has as many parameters as a net of inner width `4 · width` without a gate: `2/3 · 4 · width`, rounded up to
    /// a multiple.
    pub fn inner_width(width: usize, multiple_of: usize) -> usize {
        let multiple_of = multiple_of.max(1);
        (width.saturating_mul(8) / 3).div_ceil(multiple_of).saturating_mul(multiple_of)
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[.., E]` → the same
    /// # Errors
    /// Vectors of another width.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.w2.forward(&((self.activation)(&self.w1.forward(x)) * self.w3.forward(x)))
    }
}

impl GatedFeedForwardConfig {
    /// With this inner width, and not that of [`GatedFeedForward::inner_width`].
    pub fn hidden(mut self, hidden: usize) -> Self {
        self.hidden = Some(hidden);
        self
    }

    setters! {
        /// With an inner width that is a multiple of this; 256 if nothing is said.
        multiple_of: usize;
        /// With or without biases.
        bias: bool;
        /// With this function of the gate.
        activation: fn(&Tensor) -> Tensor;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No width, no inner width; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<GatedFeedForward> {
        let width = self.width;
        let hidden = self.hidden.unwrap_or_else(|| GatedFeedForward::inner_width(width, self.multiple_of));
        if [width, hidden].contains(&0) {
            return Err(invalid("gated_feed_forward", format!("vectors of {width}, inside of {hidden}")));
        }
        Ok(GatedFeedForward {
            w1: Linear::new(width, hidden).bias(self.bias).init(device, rng)?,
            w2: Linear::new(hidden, width).bias(self.bias).init(device, rng)?,
            w3: Linear::new(width, hidden).bias(self.bias).init(device, rng)?,
            activation: self.activation,
        })
    }
}
