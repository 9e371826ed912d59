//! Where in a sequence something stands, told to a model that would not know.

mod alibi;
mod learned;
mod rotary;
mod sinusoidal;

use thalweg_graph::{DType, Device, Tensor};

pub use self::{
    alibi::{Alibi, AlibiConfig},
    learned::{LearnedPosition, LearnedPositionConfig},
    rotary::{RotaryEmbedding, RotaryEmbeddingConfig},
    sinusoidal::{SinusoidalPosition, SinusoidalPositionConfig},
};

/// `base^(-2 i / width)` for each pair of columns: from 1 towards `1 / base`. Computed on the host, because far positions multiply
/// whatever is wrong with them.
#[track_caller]
fn frequencies(device: &Device, dtype: DType, base: f64, width: usize) -> Tensor {
    let all: Vec<f64> = (0..width.div_ceil(2)).map(|i| base.powf(-2.0 * i as f64 / width as f64)).collect();
    numbers(device, dtype, &all)
}

/// Numbers in F64 or in F32.
#[track_caller]
fn numbers(device: &Device, dtype: DType, numbers: &[f64]) -> Tensor {
    match dtype {
        DType::F64 => Tensor::from_slice(device, numbers, [numbers.len()]),
        _ => Tensor::from_slice(device, &numbers.iter().map(|n| *n as f32).collect::<Vec<_>>(), [numbers.len()]),
    }
}

/// The positions `first`, `first + 1` and so on.
#[track_caller]
fn positions(device: &Device, len: usize, first: usize) -> Tensor {
    Tensor::arange(device, len) + first as f64
}
