//! Primitives on whole buffers, a file each.

mod custom;
mod segments;

use thalweg_ir::{
    DType, Primitive,
    schedule::ir::{BufId, Whole},
    shape::count,
};

use crate::gemm::View;

/// The buffers of a run.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    pub views: &'a [View<'a>],
    pub dtype: &'a (dyn Fn(BufId) -> DType + Sync),
}

/// Computes a primitive.
pub fn execute(whole: &Whole, bound: Bound<'_>) {
    match &whole.op {
        Primitive::Segments(of) => segments::execute(of, whole, bound),
        Primitive::Custom(op) => custom::execute(op, whole, bound),
        Primitive::Scan(_) => unreachable!("a schedule has its steps"),
    }
}

impl<'a> Bound<'a> {
    /// The elements of an array.
    fn read<T: bytemuck::Pod>(&self, array: &thalweg_ir::schedule::ir::Array) -> &'a [T] {
        self.views[array.buf].slice(0, count(&array.shape))
    }
}
