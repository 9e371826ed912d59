//! Local response normalisation.

use thalweg_derive::Module;
use thalweg_graph::Tensor;

/// Divides each element by how large those of the channels around it are, as [`Tensor::local_response_norm`].
///
/// # Shapes
/// `[B, C, ..]` → the same
/// # Source
/// Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", §3.3.
#[derive(Clone, Debug, Module)]
pub struct LocalResponseNorm {
    channels: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNorm {
    /// Over a window of this many channels; α 1e-4, β 0.75, k 1.
    pub fn new(channels: usize) -> LocalResponseNorm {
        LocalResponseNorm { channels, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    setters! {
        /// α, the weight of the mean of squares.
        alpha: f64;
        /// β, the power.
        beta: f64;
        /// k, what is added.
        k: f64;
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, C, ..]` → the same
    /// # Errors
    /// No axis of channels; a window of 0.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.local_response_norm(self.channels, self.alpha, self.beta, self.k)
    }
}
