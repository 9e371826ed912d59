//! Reductions of truth values.

use thalweg_ir::DType;

use crate::{shape::IntoAxes, tensor::Tensor};

/// # Truth values
impl Tensor {
    /// Whether it is not 0.
    #[track_caller]
    pub(crate) fn truth(&self) -> Tensor {
        if self.dtype() == DType::Bool { self.clone() } else { self.ne(0.0) }
    }

    /// How many elements over axes, which go away, are not 0, I32. NaN is not 0, but see `docs/limits.md` for
    /// GPUs.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl IntoAxes) -> Tensor {
        self.truth().cast(DType::I32).sum(axes)
    }

    /// Whether any element over axes, which go away, is not 0; of none, no.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`, Bool
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn any(&self, axes: impl IntoAxes) -> Tensor {
        self.count_nonzero(axes).gt(0.0)
    }

    /// As [`Tensor::any`] over axes that stay with extent 1.
    #[track_caller]
    pub fn any_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.truth().cast(DType::I32).sum_keepdim(axes).gt(0.0)
    }

    /// Whether every element over axes, which go away, is not 0; of none, yes.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`, Bool
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn all(&self, axes: impl IntoAxes) -> Tensor {
        self.truth().not().any(axes).not()
    }

    /// As [`Tensor::all`] over axes that stay with extent 1.
    #[track_caller]
    pub fn all_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.truth().not().any_keepdim(axes).not()
    }
}
