//! Reductions of truth values.

use crate::{dtype::DType, shape::Axes, tensor::Tensor};

impl Tensor {
    /// Whether it is not 0.
    #[track_caller]
    pub(crate) fn truth(&self) -> Tensor {
        if self.dtype() == DType::Bool { self.clone() } else { self.ne(0.0) }
    }

    /// How many elements over axes, which go away, are not 0, I32.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl Into<Axes>) -> Tensor {
        self.truth().cast(DType::I32).sum(axes)
    }

    /// Whether any element over axes, which go away, is not 0; of none, no.
    #[track_caller]
    pub fn any(&self, axes: impl Into<Axes>) -> Tensor {
        self.count_nonzero(axes).gt(0.0)
    }

    /// Whether any element over axes, which stay with extent 1, is not 0.
    #[track_caller]
    pub fn any_keepdim(&self, axes: impl Into<Axes>) -> Tensor {
        self.truth().cast(DType::I32).sum_keepdim(axes).gt(0.0)
    }

    /// Whether every element over axes, which go away, is not 0; of none, yes.
    #[track_caller]
    pub fn all(&self, axes: impl Into<Axes>) -> Tensor {
        self.truth().not().any(axes).not()
    }

    /// Whether every element over axes, which stay with extent 1, is not 0.
    #[track_caller]
    pub fn all_keepdim(&self, axes: impl Into<Axes>) -> Tensor {
        self.truth().not().any_keepdim(axes).not()
    }
}
