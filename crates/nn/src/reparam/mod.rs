//! Layers whose weight is computed from other parameters.

mod lora;
mod spectral;
mod weight;

use thalweg_graph::{Module, Param, Tensor};

pub use self::{
    lora::{Lora, LoraConfig},
    spectral::{SpectralNorm, SpectralNormConfig},
    weight::{WeightNorm, WeightNormConfig},
};

/// A layer that can be applied with another weight than its own.
pub trait Weighted: Module {
    /// The parameter that another weight is computed from.
    fn weight(&self) -> &Param;

    /// The layer's `forward` with this weight in place of its own, of the same shape.
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor;
}
