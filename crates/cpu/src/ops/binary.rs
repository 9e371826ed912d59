//! Functions of two elements, and the choice between two.

use thalweg_ir::{DType, op::binary::BinaryOp};

/// `y_i = f(a_i, b_i)` on operands of dtype `dtype`.
pub fn binary(op: BinaryOp, dtype: DType, a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| op.reference_of(dtype, *a, *b)).collect()
}

/// `y_i = a_i` where `cond_i`, else `b_i`.
pub fn select(cond: &[f64], a: &[f64], b: &[f64]) -> Vec<f64> {
    (0..cond.len()).map(|i| if cond[i] != 0.0 { a[i] } else { b[i] }).collect()
}
