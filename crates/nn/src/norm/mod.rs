//! Normalisations with parameters.

mod batch;
mod group;
mod instance;
mod layer;
mod rms;

use thalweg_graph::{Device, Param, Result};

use crate::init::{filled, invalid};

pub use self::{
    batch::{BatchNorm2d, BatchNorm2dConfig},
    group::{GroupNorm, GroupNormConfig},
    instance::{InstanceNorm, InstanceNormConfig},
    layer::{LayerNorm, LayerNormConfig},
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

/// A parameter of equal numbers, if it is wanted.
#[track_caller]
fn param(wanted: bool, device: &Device, value: f32, shape: &[usize]) -> Result<Option<Param>> {
    match wanted {
        true => Param::new(filled(device, value, shape)).map(Some),
        false => Ok(None),
    }
}
