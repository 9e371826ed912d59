//! Layers that compute in f32 in a model that does not.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Scope, Tensor};

use crate::{LayerConfig, Weighted};

/// A layer whose contractions compute in f32, and so do their gradients, whatever the precision of its device: one whose results need
/// their digits in a model in mixed precision. For what is not one layer there is [`keep_f32`](thalweg_graph::keep_f32).
///
/// # Shapes
/// Those of the layer.
#[derive(Clone, Debug, Module)]
pub struct KeepF32<L> {
    /// The layer.
    pub layer: L,
}

/// How to make a [`KeepF32`].
#[derive(Clone, Debug)]
pub struct KeepF32Config<S> {
    layer: S,
}

impl<L: Weighted> KeepF32<L> {
    /// Around a layer, or around the settings of one.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new<S: LayerConfig<Layer = L>>(layer: S) -> KeepF32Config<S> {
        KeepF32Config { layer }
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

impl<L: Weighted> Weighted for KeepF32<L> {
    fn weight(&self) -> &Param {
        self.layer.weight()
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let _scope = Scope::keep_f32();
        self.layer.forward_with(x, weight)
    }
}

impl<S: LayerConfig<Layer: Weighted>> KeepF32Config<S> {
    /// Makes the layer inside, if it is not there yet.
    ///
    /// # Errors
    /// Those of the layer.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<KeepF32<S::Layer>> {
        self.layer.init(device, rng).map(|layer| KeepF32 { layer })
    }
}
