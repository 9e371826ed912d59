//! The perceptron of several layers.

use thalweg_graph::{Device, Module, Path, Result, Rng, Tensor, Visitor, VisitorMut};

use crate::{Activation, Dropout, Linear, Sequential, init::invalid};

/// Linear maps with a nonlinearity, and perhaps dropout, between them.
///
/// # Shapes
/// `[.., in]` → `[.., out]`; parts as in torchvision's `MLP`: `0.weight`, `3.weight`, ..
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Sequential,
}

/// How to make an [`Mlp`].
#[derive(Clone, Debug)]
pub struct MlpConfig {
    widths: Vec<usize>,
    activation: Activation,
    dropout: f64,
}

/// A perceptron from the first of these widths, by way of the others, to the last: `mlp(&[784, 256, 10])`. Relu in between, no dropout.
pub fn mlp(widths: &[usize]) -> MlpConfig {
    MlpConfig { widths: widths.to_vec(), activation: Activation::Relu, dropout: 0.0 }
}

impl Mlp {
    /// Applies it.
    ///
    /// # Shapes
    /// `[.., in]` → `[.., out]`
    /// # Errors
    /// A last axis of another extent.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.layers.forward(x)
    }
}

/// Its layers have no name of their own.
impl Module for Mlp {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.layers.visit(path, visitor);
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        self.layers.visit_mut(path, visitor);
    }
}

impl MlpConfig {
    setters! {
        /// With this nonlinearity.
        activation: Activation;
        /// With this probability that what stands between two layers is 0 in training.
        dropout: f64;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// Fewer than two widths, or 0 among them; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Mlp> {
        let widths = &self.widths;
        if widths.len() < 2 || widths.contains(&0) {
            return Err(invalid("mlp", format!("widths of {widths:?}")));
        }
        let mut layers = Sequential::new();
        for (i, pair) in widths.windows(2).enumerate() {
            layers = layers.then(Linear::new(pair[0], pair[1]).init(device, rng)?);
            if i + 2 < widths.len() {
                layers = layers.then(self.activation).then(Dropout::new(self.dropout).init(device, rng)?);
            }
        }
        Ok(Mlp { layers })
    }
}
