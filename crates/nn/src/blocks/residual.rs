//! A sum of two ways.

use thalweg_derive::Module;
use thalweg_graph::Tensor;

use crate::Layer;

/// `y = body(x) + shortcut(x)`; without a shortcut the sum with x itself.
///
/// # Shapes
/// Those of the body, whose result has the shape of the shortcut's
/// # Source
/// He et al. 2016, arXiv:1512.03385.
#[derive(Clone, Debug, Module)]
pub struct Residual<B, S = B> {
    /// What is learned beside the identity.
    pub body: B,
    /// What brings the input to the shape of the result, where that is another.
    pub shortcut: Option<S>,
}

impl<B: Layer> Residual<B> {
    /// Around a body that keeps the shape.
    pub fn new(body: B) -> Residual<B> {
        Residual { body, shortcut: None }
    }
}

impl<B: Layer, S: Layer> Residual<B, S> {
    /// With this way beside the body.
    pub fn with_shortcut(body: B, shortcut: S) -> Residual<B, S> {
        Residual { body, shortcut: Some(shortcut) }
    }

    /// Applies it.
    ///
    /// # Errors
    /// Those of the layers; results of shapes that do not broadcast.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.body.forward(x);
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(x),
            None => y + x,
        }
    }
}
