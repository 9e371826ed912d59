//! Primitives on whole buffers, a file each.

mod bound;
mod by_definition;
mod segments;

use thalweg_ir::{Primitive, schedule::ir::Whole};

pub use bound::Bound;

/// Computes a primitive.
pub fn execute(whole: &Whole, bound: Bound<'_>) {
    match &whole.op {
        Primitive::Segments(of) => segments::execute(of, whole, bound),
        Primitive::Custom(_) => by_definition::execute(whole, bound),
        Primitive::Scan(_) => unreachable!("a schedule has its steps"),
    }
}
