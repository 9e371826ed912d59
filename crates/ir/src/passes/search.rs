//! Long searches for the place of an extreme in two stages: in each chunk, then among the chunks.

use crate::{
    dtype::DType,
    op::binary::BinaryOp,
    op::{Op, ReduceOp},
    schedule::graph::{Builder, Node, NodeId},
};

use super::chunks::{Chunks, chunks};

/// Elements along an axis that one workgroup searches at once.
pub const LONG: usize = 1 << 18;

/// `argmax` or `argmin` along one axis: with `[.., parts, chunk, ..]` for the axis, `m` the extreme of each chunk and `a` its place
/// there, the chunk is `c = arg m`, and the place `c · chunk + a[c]`. The first of equal elements, and of what is not a number,
/// wins in both stages.
pub fn two_stages(builder: &mut Builder, node: &Node, op: ReduceOp, axis: usize, x: NodeId, shape: &[usize]) -> NodeId {
    let dtype = builder.graph.nodes[x].dtype;
    let extreme = if op == ReduceOp::ArgMax { ReduceOp::Max } else { ReduceOp::Min };
    // About as many chunks as elements of one.
    let target = (shape[axis] as f64).sqrt() as usize;
    let Chunks { node: parts, shape: chunked, len } = chunks(builder, node, extreme, x, shape, axis, target);
    let mut of_chunk = chunked.clone();
    of_chunk[axis + 1] = 1;
    let mut of_all = of_chunk.clone();
    of_all[axis] = 1;
    let reduce = |b: &mut Builder, op, axis, x, shape: &[usize], dtype| {
        b.make(Op::Reduce(op, vec![axis]), &[x], shape, dtype, node)
    };
    let best = reduce(builder, extreme, axis + 1, parts, &of_chunk, dtype);
    let place = reduce(builder, op, axis + 1, parts, &of_chunk, DType::I32);
    let chosen = reduce(builder, op, axis, best, &of_all, DType::I32);
    let spread = builder.make(Op::Expand, &[chosen], &of_chunk, DType::I32, node);
    let numbers = builder.make(Op::Iota(axis), &[], &of_chunk, DType::I32, node);
    let hit = builder.make(Op::Binary(BinaryOp::Eq), &[spread, numbers], &of_chunk, DType::Bool, node);
    let zero = builder.number(0.0, &of_chunk, DType::I32, node);
    let only = builder.make(Op::Select, &[hit, place, zero], &of_chunk, DType::I32, node);
    let inside = reduce(builder, ReduceOp::Sum, axis, only, &of_all, DType::I32);
    let chunk = builder.number(len as f64, &of_all, DType::I32, node);
    let start = builder.make(Op::Binary(BinaryOp::Mul), &[chosen, chunk], &of_all, DType::I32, node);
    let found = builder.make(Op::Binary(BinaryOp::Add), &[start, inside], &of_all, DType::I32, node);
    builder.make(Op::Reshape, &[found], &node.shape, node.dtype, node)
}
