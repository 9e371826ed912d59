//! Measures of how well a classifier does, as tensors.

use thalweg_graph::{DType, Tensor};

/// For each row whether its largest logit is the label's: 1 or 0.
///
/// # Shapes
/// `logits [B, C]`, `labels [B]` (I32) → `[B]` (F32)
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1).eq(labels).cast(DType::F32)
}

/// The share of rows whose largest logit is the label's.
///
/// # Shapes
/// `logits [B, C]`, `labels [B]` (I32) → a scalar (F32)
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    correct(logits, labels).mean(..)
}
