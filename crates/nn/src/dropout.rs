//! Dropout.

use thalweg_derive::Module;
use thalweg_graph::{Mode, Result, Rng, Stream, Tensor};

use crate::init::invalid;

/// In training mode each element is 0 with probability `p`, else divided by `1 - p`. In evaluation mode it does nothing.
///
/// The draw is made again in the backward pass instead of being stored.
///
/// # Source
/// Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
#[derive(Clone, Debug, Module)]
pub struct Dropout {
    p: f64,
    stream: Stream,
    mode: Mode,
}

impl Dropout {
    /// With this probability of 0.
    ///
    /// # Errors
    /// A probability outside `[0, 1)`.
    #[track_caller]
    pub fn new(p: f64, rng: &mut Rng) -> Result<Dropout> {
        match (0.0..1.0).contains(&p) {
            true => Ok(Dropout { p, stream: rng.stream(), mode: Mode::default() }),
            false => Err(invalid("dropout", format!("p = {p} is not in [0, 1)"))),
        }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if !self.mode.is_training() || self.p == 0.0 || x.check().is_err() {
            return x.clone();
        }
        let keep = self.stream.bernoulli(x.device(), 1.0 - self.p, x.shape());
        keep.where_(x * (1.0 / (1.0 - self.p)), 0.0)
    }
}
