//! Values in buffers of their own.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{Op, Result};

use crate::tensor::Tensor;

/// The same value in a buffer of its own.
#[track_caller]
pub(crate) fn copy(tensor: &Tensor) -> Result<Tensor> {
    let (rank, shape, location) = (tensor.rank(), tensor.shape().to_vec(), Location::caller());
    // A slice of everything: unlike a reshape it is never taken for the buffer it copies.
    let op = Op::Slice { start: vec![0; rank], step: vec![1; rank] };
    let copy = Tensor::node(op, smallvec![tensor.detach()], shape, tensor.dtype(), tensor.device(), location);
    copy.eval()?;
    Ok(copy)
}
