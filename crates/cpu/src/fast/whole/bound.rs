//! The buffers of a run.

use thalweg_ir::{
    DType,
    schedule::ir::{Array, BufId},
    shape::count,
};

use crate::gemm::View;

/// The buffers, the dtype of each, and who may work on them.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    pub views: &'a [View<'a>],
    pub dtype: &'a (dyn Fn(BufId) -> DType + Sync),
    /// Whether other threads may take a part.
    pub shared: bool,
}

impl<'a> Bound<'a> {
    /// The elements of an array.
    pub fn read<T: bytemuck::Pod>(&self, array: &Array) -> &'a [T] {
        self.views[array.buf].slice(0, count(&array.shape))
    }
}
