//! Tensors of one number.

use thalweg_graph::Tensor;

/// One number everywhere, shaped as another tensor, of which it is no function.
pub fn constant(like: &Tensor, value: f64) -> Tensor {
    like.detach().zeros_like() + value
}
