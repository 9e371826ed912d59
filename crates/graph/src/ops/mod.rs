//! The op families, one file each: methods with their docs, shape rules and gradients.

mod activation;
mod adaptive;
mod advanced;
pub mod binary;
mod concat;
pub mod contraction;
pub mod counted;
pub mod create;
mod diagonal;
mod distance;
mod division;
mod draws;
pub mod dynamic;
mod einsum;
mod elementwise;
pub mod embedding;
pub mod grid;
mod index;
mod index_write;
pub mod interpolate;
mod logic;
mod merge;
mod movement;
mod norm;
pub mod orthogonal;
mod pad;
pub mod pool;
mod product;
pub mod quantile;
pub mod random;
mod rearrange;
mod reduce;
mod scan;
pub mod scatter;
mod segments;
mod slice;
mod sort;
mod special;
pub mod subscript;
pub mod unary;
mod unfold;
mod unpool;
mod vector_norm;
mod wide;

use thalweg_ir::{ErrorKind, Op, Primitive, ReduceOp};

use crate::tensor::Tensor;

/// The gradients of a node's inputs from its output's gradient; `None` for an input through which none passes.
///
/// # Errors
/// An op that has no gradient rule.
pub(crate) fn vjp(node: &Tensor, inputs: &[Tensor], g: &Tensor) -> Result<Vec<Option<Tensor>>, ErrorKind> {
    if let Some(own) = node.0.rule.as_ref().and_then(|rule| rule.vjp(inputs, node, g)) {
        return own;
    }
    let x = &inputs[0];
    Ok(match &node.0.op {
        // Derivatives are composed: those of 16-bit floats are computed in F32 and rounded once.
        Op::Unary(op) => {
            vec![unary::vjp(*op, &x.widened(), &node.widened(), &g.widened()).map(|part| part.cast(x.dtype()))]
        }
        Op::Binary(op) => {
            let parts = binary::vjp(*op, &x.widened(), &inputs[1].widened(), &node.widened(), &g.widened());
            parts.map(|part| part.map(|part| part.cast(x.dtype()))).into()
        }
        Op::Select => vec![None, Some(x.where_(g, 0.0)), Some(x.where_(0.0, g))],
        Op::Cast => vec![x.dtype().is_float().then(|| g.cast(x.dtype()))],
        Op::Detach => vec![None],
        Op::Again(_) => vec![Some(g.clone())],
        Op::Reduce(op, axes) => vec![reduce::vjp(*op, axes, x, node, g)],
        Op::Reshape => vec![Some(g.reshape(x.shape()))],
        Op::Permute(perm) => {
            let mut inverse = vec![0; perm.len()];
            perm.iter().enumerate().for_each(|(d, p)| inverse[*p] = d);
            vec![Some(g.permute(inverse))]
        }
        Op::Expand => {
            let axes: Vec<isize> =
                (0..x.rank()).filter(|d| x.shape()[*d] != g.shape()[*d]).map(|d| d as isize).collect();
            vec![Some(g.sum_keepdim(axes))]
        }
        Op::Slice { start, step } => vec![Some(slice::slice_vjp(g, x.shape(), start, step))],
        Op::Pad { before, .. } => {
            vec![Some((0..x.rank()).fold(g.clone(), |g, d| g.strided(d, before[d], 1, x.shape()[d])))]
        }
        Op::Windows { window, aligned, .. } => {
            let n = window.kernel.len();
            let lead = x.rank() - if *aligned { 2 * n } else { n };
            let back = g.windows_adjoint(window, &x.shape()[lead..lead + n]);
            let axes: Vec<isize> = (lead + n..lead + 2 * n).map(|d| d as isize).collect();
            vec![Some(if *aligned { back } else { back.sum(axes) })]
        }
        Op::WindowsAdjoint(window) => {
            let n = window.kernel.len();
            let lead = x.rank() - 2 * n;
            vec![Some(g.windows(window, &x.shape()[lead..lead + n], 0.0, true))]
        }
        Op::Matmul => contraction::matmul_vjp(x, &inputs[1], g).into(),
        op @ (Op::Conv(_) | Op::ConvInput(_) | Op::ConvWeight(_)) => contraction::conv_vjp(op, x, &inputs[1], g).into(),
        Op::Gather(axis) => {
            let sum = g.combined("gather", ReduceOp::Sum, *axis, &inputs[1], x.shape()[*axis]).value;
            vec![Some(sum.cast(x.dtype())), None]
        }
        Op::Part(of, k) if let Primitive::Segments(of) = &**of => segments::vjp(of, *k, inputs, node, g),
        Op::Concat(axis) => {
            let mut start = 0;
            inputs
                .iter()
                .map(|t| {
                    start += t.shape()[*axis];
                    Some(g.strided(*axis, start - t.shape()[*axis], 1, t.shape()[*axis]))
                })
                .collect()
        }
        Op::Pack(offsets) => inputs
            .iter()
            .zip(offsets)
            .map(|(t, offset)| Some(g.strided(0, *offset, 1, t.count()).reshape(t.shape())))
            .collect(),
        op @ (Op::Leaf | Op::Scalar(_) | Op::Iota(_) | Op::Random | Op::Part(..)) => {
            return Err(ErrorKind::Gradient(format!("'{}' has no gradient", op.name())));
        }
    })
}
