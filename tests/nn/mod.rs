//! Layers.

mod attention;
mod blocks;
mod classes;
mod containers;
mod convolutions;
mod dropouts;
mod embeddings;
mod layers;
mod losses;
mod margins;
mod messages;
mod models;
mod norms;
mod pools;
mod positions;
mod recurrent;
mod reference;
mod reparam;
mod summary;
mod transformer;
mod verify;

use thalweg::prelude::*;

/// `sin(0.7 i + 0.3)`: numbers that are written down as easily in Python.
fn wave(device: &Device, shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (0.7 * i as f64 + 0.3).sin() as f32).collect();
    Tensor::from_slice(device, &values, shape)
}

/// Holds numbers against others, up to a share of the larger of 1 and what they are.
#[track_caller]
fn close(got: &[f64], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tol * want.abs().max(1.0), "{i}: {got} is not {want}");
    }
}

/// What a module calls its parameters.
fn names(module: &dyn Module) -> Vec<String> {
    module.params().into_iter().map(|(name, _)| name).collect()
}
