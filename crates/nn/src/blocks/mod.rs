//! Layers that several models are built of.

mod conv_norm;
mod graph_conv;
mod inverted;
mod residual;
mod shuffle;
mod squeeze;

pub use self::{
    conv_norm::{ConvNorm, ConvNormConfig},
    graph_conv::{GraphConv, GraphConvConfig},
    inverted::{InvertedResidual, InvertedResidualConfig},
    residual::Residual,
    shuffle::{ShuffleUnit, ShuffleUnitConfig},
    squeeze::{SqueezeExcite, SqueezeExciteConfig},
};
