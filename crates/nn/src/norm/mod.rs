//! Normalisations with parameters.

mod batch;
mod group;
mod instance;
mod layer;
mod moments;
mod response;
mod rms;

use thalweg_graph::{Device, ErrorKind, Param, Result, Tensor};

use crate::init::{filled, invalid};

pub use self::{
    batch::{
        BatchNorm, BatchNorm1d, BatchNorm1dConfig, BatchNorm2d, BatchNorm2dConfig, BatchNorm3d, BatchNorm3dConfig,
        BatchNormConfig,
    },
    group::{GroupNorm, GroupNormConfig},
    instance::{InstanceNorm, InstanceNormConfig},
    layer::{LayerNorm, LayerNormConfig},
    moments::Moments,
    response::LocalResponseNorm,
    rms::{RmsNorm, RmsNormConfig},
};

/// Refuses a shape with no elements to normalise over.
#[track_caller]
fn check_shape(op: &'static str, shape: &[usize]) -> Result<()> {
    match shape.is_empty() || shape.contains(&0) {
        true => Err(invalid(op, format!("shape {shape:?} has nothing to normalise"))),
        false => Ok(()),
    }
}

/// Refuses a single value to normalise over, which would come to 0 whatever it is; or gives the tensor that carries why.
#[track_caller]
fn check_values(op: &'static str, x: &Tensor, values: usize, of: &str) -> std::result::Result<(), Tensor> {
    if values != 1 {
        return Ok(());
    }
    let problem = format!("has one value for each {of}: more are needed to normalise by their own mean and variance");
    Err(x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }))
}

/// A parameter of equal numbers, if it is wanted.
#[track_caller]
fn param(wanted: bool, device: &Device, value: f32, shape: &[usize]) -> Result<Option<Param>> {
    match wanted {
        true => Param::new(filled(device, value, shape)).map(Some),
        false => Ok(None),
    }
}
