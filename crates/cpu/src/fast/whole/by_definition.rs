//! A primitive that has no kernel here, say a user's op, by its definition.

use thalweg_ir::{
    Operand,
    bytes::{decode, encode},
    schedule::ir::{Array, Whole},
    shape::{Type, count},
};

use super::Bound;

/// Decodes the inputs, and encodes those results that somebody asks for.
pub fn execute(whole: &Whole, bound: Bound<'_>) {
    let type_of = |array: &Array| Type { shape: array.shape.clone(), dtype: (bound.dtype)(array.buf) };
    let decoded = |array: &Array| {
        let dtype = (bound.dtype)(array.buf);
        decode(dtype, bound.views[array.buf].slice::<u8>(0, count(&array.shape) * dtype.size_bytes()))
    };
    let data: Vec<Vec<f64>> = whole.inputs.iter().map(decoded).collect();
    let types: Vec<Type> = whole.inputs.iter().map(type_of).collect();
    let operands: Vec<Operand<'_>> =
        data.iter().zip(&whole.inputs).map(|(data, array)| Operand { data, shape: &array.shape }).collect();
    let results = whole.op.reference(&operands, &types).unwrap_or_default();
    for (result, array) in results.iter().zip(&whole.outputs) {
        if let Some(array) = array {
            let bytes = encode((bound.dtype)(array.buf), result);
            bound.views[array.buf].slice_mut::<u8>(0, bytes.len()).copy_from_slice(&bytes);
        }
    }
}
