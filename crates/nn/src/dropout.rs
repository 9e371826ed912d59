//! Dropout.

use thalweg_derive::Module;
use thalweg_graph::{Device, Mode, Result, Rng, Scope, Stream, Tensor};

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

/// How to make a [`Dropout`].
#[derive(Clone, Debug)]
pub struct DropoutConfig {
    p: f64,
}

impl Dropout {
    /// With this probability of 0.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a stream of draws")]
    pub fn new(p: f64) -> DropoutConfig {
        DropoutConfig { p }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("dropout");
        if !self.mode.is_training() || self.p == 0.0 || x.check().is_err() {
            return x.clone();
        }
        let keep = self.stream.bernoulli(x.device(), 1.0 - self.p, x.shape());
        keep.where_(x * (1.0 / (1.0 - self.p)), 0.0)
    }
}

impl DropoutConfig {
    /// Takes a stream of draws from the generator.
    ///
    /// # Errors
    /// A probability outside `[0, 1)`.
    #[track_caller]
    pub fn init(self, _device: &Device, rng: &mut Rng) -> Result<Dropout> {
        match (0.0..1.0).contains(&self.p) {
            true => Ok(Dropout { p: self.p, stream: rng.stream(), mode: Mode::default() }),
            false => Err(invalid("dropout", format!("p = {} is not in [0, 1)", self.p))),
        }
    }
}
