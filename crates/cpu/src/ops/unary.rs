//! Functions of one element.

use thalweg_ir::op::unary::UnaryOp;

/// `y_i = f(x_i)`.
pub fn unary(op: UnaryOp, x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| op.reference(*x)).collect()
}
