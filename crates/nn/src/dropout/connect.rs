//! Dropout of weights.

use thalweg_derive::Module;
use thalweg_graph::{Device, Mode, Param, Result, Rng, Stream, Tensor};

use crate::{LayerConfig, Weighted, init::invalid};

/// A layer of whose weights, in training mode, each is 0 with probability `p`, else divided by `1 - p`: the same weights for the whole
/// batch. In evaluation mode it is the layer.
///
/// # Source
/// Wan et al. 2013, "Regularization of neural networks using DropConnect"; evaluation by the mean weight, as with dropout.
#[derive(Clone, Debug, Module)]
pub struct DropConnect<L> {
    /// The layer.
    pub layer: L,
    p: f64,
    stream: Stream,
    mode: Mode,
}

/// How to make a [`DropConnect`].
#[derive(Clone, Debug)]
pub struct DropConnectConfig<S> {
    layer: S,
    p: f64,
}

impl<L: Weighted> DropConnect<L> {
    /// Around a layer, or around the settings of one, with this probability.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a stream of draws")]
    pub fn new<S: LayerConfig<Layer = L>>(layer: S, p: f64) -> DropConnectConfig<S> {
        DropConnectConfig { layer, p }
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// Those of the layer.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.layer.weight().tensor())
    }
}

impl<L: Weighted> Weighted for DropConnect<L> {
    fn weight(&self) -> &Param {
        self.layer.weight()
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        if !self.mode.is_training() || self.p == 0.0 || weight.check().is_err() {
            return self.layer.forward_with(x, weight);
        }
        let keep = self.stream.bernoulli(weight.device(), 1.0 - self.p, weight.shape());
        self.layer.forward_with(x, &keep.where_(weight * (1.0 / (1.0 - self.p)), 0.0))
    }
}

impl<S: LayerConfig<Layer: Weighted>> DropConnectConfig<S> {
    /// Makes the layer inside, if it is not there yet, and takes a stream of draws from the generator.
    ///
    /// # Errors
    /// Those of the layer; a probability outside `[0, 1)`.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<DropConnect<S::Layer>> {
        let (layer, p) = (self.layer.init(device, rng)?, self.p);
        match (0.0..1.0).contains(&p) {
            true => Ok(DropConnect { layer, p, stream: rng.stream(), mode: Mode::default() }),
            false => Err(invalid("drop_connect", format!("p = {p} is not in [0, 1)"))),
        }
    }
}
