//! Weight normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Axis, Error, Param, Result, Tensor};

use super::Weighted;
use crate::wide;

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

impl<L: Weighted> WeightNorm<L> {
    /// One length for each slice along the axis (0 for one for each output), or one for the whole weight; at first those that
    /// the weight has, so that the layer does what it did.
    ///
    /// # Errors
    /// An axis that the weight has not.
    #[track_caller]
    pub fn new(layer: L, axis: Option<isize>) -> Result<WeightNorm<L>> {
        let v = layer.weight().tensor().detach();
        let kept = match axis.map(|axis| Axis(axis).of(v.shape())).transpose() {
            Ok(kept) => kept,
            Err(kind) => return Err(Error::new("weight_norm", kind)),
        };
        let axes: Vec<isize> = (0..v.rank()).filter(|d| Some(*d) != kept).map(|d| d as isize).collect();
        let g = Param::new(wide(&v).square().sum_keepdim(axes).sqrt().cast(v.dtype()))?;
        Ok(WeightNorm { layer, g, axis })
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
