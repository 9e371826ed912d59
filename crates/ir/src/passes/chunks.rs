//! An axis in parts.

use crate::{
    bits::Bits,
    op::{Op, ReduceOp, Window},
    schedule::graph::{Builder, Node, NodeId},
};

/// An axis cut into parts: `[.., len, ..]` as `[.., parts, len of a part, ..]`.
pub struct Chunks {
    pub node: NodeId,
    pub shape: Vec<usize>,
    /// Elements of a part.
    pub len: usize,
}

/// Cuts an axis into parts of about `target` elements: a reshape where some such length divides, else windows that read the
/// identity of a reduction past the end.
pub fn chunks(
    builder: &mut Builder,
    like: &Node,
    op: ReduceOp,
    x: NodeId,
    shape: &[usize],
    axis: usize,
    target: usize,
) -> Chunks {
    let len = shape[axis];
    let target = target.clamp(1, len);
    let divides = (target / 2..=target * 2).filter(|c| *c > 0 && len.is_multiple_of(*c));
    match divides.min_by_key(|c| c.abs_diff(target)) {
        Some(chunk) => {
            let mut chunked = shape.to_vec();
            chunked.splice(axis..=axis, [len / chunk, chunk]);
            let dtype = builder.graph.nodes[x].dtype;
            let node = builder.make(Op::Reshape, &[x], &chunked, dtype, like);
            Chunks { node, shape: chunked, len: chunk }
        }
        None => {
            let (node, shape) = windows(builder, like, op, x, shape, axis, target);
            Chunks { node, shape, len: target }
        }
    }
}

fn windows(
    builder: &mut Builder,
    node: &Node,
    op: ReduceOp,
    x: NodeId,
    shape: &[usize],
    axis: usize,
    chunk: usize,
) -> (NodeId, Vec<usize>) {
    // The sliding axis must be last.
    let (rank, dtype) = (shape.len(), builder.graph.nodes[x].dtype);
    let last: Vec<usize> = (0..rank).filter(|d| *d != axis).chain([axis]).collect();
    let moved: Vec<usize> = last.iter().map(|d| shape[*d]).collect();
    let y = match axis + 1 == rank {
        true => x,
        false => builder.make(Op::Permute(last.clone()), &[x], &moved, dtype, node),
    };
    let parts = shape[axis].div_ceil(chunk);
    let fill = match op {
        ReduceOp::Prod => 1.0,
        ReduceOp::Max | ReduceOp::Min => dtype.lowest(op == ReduceOp::Min),
        _ => 0.0,
    };
    let window = Window { kernel: vec![chunk], stride: vec![chunk], dilation: vec![1], pad: vec![0] };
    let mut wide = moved;
    wide.splice(rank - 1.., [parts, chunk]);
    let y =
        builder.make(Op::Windows { window: window.into(), fill: Bits(fill), aligned: false }, &[y], &wide, dtype, node);
    // Back: the two new axes where the old one was.
    let mut back: Vec<usize> = (0..rank - 1).collect();
    back.splice(axis..axis, [rank - 1, rank]);
    let chunked: Vec<usize> = back.iter().map(|d| wide[*d]).collect();
    let y = match axis + 1 == rank {
        true => y,
        false => builder.make(Op::Permute(back), &[y], &chunked, dtype, node),
    };
    (y, chunked)
}
