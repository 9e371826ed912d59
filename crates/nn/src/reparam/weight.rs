//! Weight normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Axis, Device, Error, Param, Result, Rng, Tensor};

use super::Weighted;
use crate::{LayerConfig, wide};

/// A layer whose weight is `g · v / ‖v‖`: its own weight parameter gives the direction v, and lengths are learned apart.
///
/// # Shapes
/// Those of the layer; `g` has the weight's extent at one axis and 1 elsewhere.
/// # Source
/// Salimans & Kingma 2016, arXiv:1602.07868; [`Tensor::weight_norm`].
#[derive(Clone, Debug, Module)]
pub struct WeightNorm<L> {
    /// The layer; its weight is v.
    pub layer: L,
    /// The length of each slice of the weight.
    pub g: Param,
    #[module(skip)]
    axis: Option<isize>,
}

/// How to make a [`WeightNorm`].
#[derive(Clone, Debug)]
pub struct WeightNormConfig<S> {
    layer: S,
    axis: Option<isize>,
}

impl<L: Weighted> WeightNorm<L> {
    /// Around a layer, or around the settings of one; one length for each output.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new<S: LayerConfig<Layer = L>>(layer: S) -> WeightNormConfig<S> {
        WeightNormConfig { layer, axis: Some(0) }
    }

    /// The weight in effect, `g · v / ‖v‖`, shaped as the layer's own.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        self.layer.weight().tensor().weight_norm(&self.g.tensor(), self.axis)
    }

    /// Applies the layer, with the weight in effect.
    ///
    /// # Errors
    /// Those of the layer.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.layer.forward_with(x, &self.weight())
    }
}

impl<S: LayerConfig<Layer: Weighted>> WeightNormConfig<S> {
    setters! {
        /// With one length for each slice along this axis of the weight (PyTorch's `dim`), or one for all of it.
        axis: Option<isize>;
    }

    /// Makes the layer inside, if it is not there yet. The lengths are at first those that the weight has, so that it does what
    /// it did.
    ///
    /// # Errors
    /// Those of the layer; an axis that the weight has not.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<WeightNorm<S::Layer>> {
        let layer = self.layer.init(device, rng)?;
        let v = layer.weight().tensor().detach();
        let kept = match self.axis.map(|axis| Axis(axis).of(v.shape())).transpose() {
            Ok(kept) => kept,
            Err(kind) => return Err(Error::new("weight_norm", kind)),
        };
        let axes: Vec<isize> = (0..v.rank()).filter(|d| Some(*d) != kept).map(|d| d as isize).collect();
        let g = Param::new(wide(&v).square().sum_keepdim(axes).sqrt().cast(v.dtype()))?;
        Ok(WeightNorm { layer, g, axis: self.axis })
    }
}
