//! The buffers of a run.

use thalweg_ir::{
    DType,
    schedule::ir::{Array, BufId},
    shape::count,
};

use crate::gemm::View;

/// The buffers, and the dtype of each.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    pub views: &'a [View<'a>],
    pub dtype: &'a (dyn Fn(BufId) -> DType + Sync),
}

impl<'a> Bound<'a> {
    /// The elements of an array.
    pub fn read<T: bytemuck::Pod>(&self, array: &Array) -> &'a [T] {
        self.views[array.buf].slice(0, count(&array.shape))
    }
}
