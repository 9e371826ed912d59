//! A user's op, by its reference.

use thalweg_ir::{
    Custom, Operand,
    bytes::{decode, encode},
    schedule::ir::Whole,
    shape::count,
};

use super::Bound;

/// Decodes the inputs, and encodes those results that somebody asks for.
pub fn execute(op: &Custom, whole: &Whole, bound: Bound<'_>) {
    let decoded = |array: &thalweg_ir::schedule::ir::Array| {
        let dtype = (bound.dtype)(array.buf);
        decode(dtype, bound.views[array.buf].slice::<u8>(0, count(&array.shape) * dtype.size_bytes()))
    };
    let data: Vec<Vec<f64>> = whole.inputs.iter().map(decoded).collect();
    let operands: Vec<Operand<'_>> =
        data.iter().zip(&whole.inputs).map(|(data, array)| Operand { data, shape: &array.shape }).collect();
    for (result, array) in op.results(&operands).iter().zip(&whole.outputs) {
        if let Some(array) = array {
            let bytes = encode((bound.dtype)(array.buf), result);
            bound.views[array.buf].slice_mut::<u8>(0, bytes.len()).copy_from_slice(&bytes);
        }
    }
}
