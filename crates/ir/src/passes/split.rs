//! Long reductions in two stages, so that they run on many threads and no thread loops for long.
//!
//! Where to split follows from shapes only, so every device adds in the same order.

use super::search;
use crate::{
    op::{Bits, Op, ReduceOp, Window},
    schedule::graph::{Builder, Graph, Node, NodeId},
    shape::count,
};

/// Elements that one row reduces without being split.
const LONG: usize = 16_384;
/// The same where there are at least [`MANY_ROWS`] rows.
const LONG_OF_MANY: usize = 131_072;
const MANY_ROWS: usize = 16;
/// Elements of a chunk, roughly: short enough for a quick first stage, long enough for few partials.
const CHUNK: usize = 4_096;

/// Whether a reduction of `cols` elements in each of `rows` rows is to be split.
pub fn is_long(rows: usize, cols: usize) -> bool {
    cols > LONG_OF_MANY || (cols > LONG && rows < MANY_ROWS)
}

/// Splits long reductions.
pub fn split(graph: &Graph) -> Graph {
    graph.rewrite(|builder: &mut Builder, node: Node| -> NodeId {
        match &node.op {
            Op::Reduce(op, axes) => {
                let x = node.inputs[0];
                let shape = builder.graph.nodes[x].shape.clone();
                let cols = axes.iter().map(|a| shape[*a]).product();
                match (op, &axes[..]) {
                    (ReduceOp::ArgMax | ReduceOp::ArgMin, [axis]) if cols > search::LONG => {
                        search::two_stages(builder, &node, *op, *axis, x, &shape)
                    }
                    (ReduceOp::ArgMax | ReduceOp::ArgMin, _) => builder.add(node),
                    _ if is_long(count(&node.shape), cols) => two_stages(builder, &node, *op, axes, x, &shape),
                    _ => builder.add(node),
                }
            }
            _ => builder.add(node),
        }
    })
}

fn two_stages(builder: &mut Builder, node: &Node, op: ReduceOp, axes: &[usize], x: NodeId, shape: &[usize]) -> NodeId {
    // Trailing reduced axes are one axis in memory; make them one, so that the chunks are contiguous.
    let trailing = (0..shape.len()).rev().take_while(|d| axes.contains(d)).count();
    let first = shape.len() - trailing;
    let (x, shape, axes) = if trailing > 1 {
        let flat: Vec<usize> = shape[..first].iter().copied().chain([count(&shape[first..])]).collect();
        let x = builder.make(Op::Reshape, vec![x], flat.clone(), builder.graph.nodes[x].dtype, node);
        let axes: Vec<usize> = axes.iter().copied().filter(|a| *a < first).chain([first]).collect();
        (x, flat, axes)
    } else {
        (x, shape.to_vec(), axes.to_vec())
    };
    let longest = axes.iter().copied().max_by_key(|a| (shape[*a], *a)).unwrap_or(0);
    let others: usize = axes.iter().filter(|a| **a != longest).map(|a| shape[*a]).product();
    let target = CHUNK / others.max(1);
    let Chunks { node: parts, shape: chunked, .. } = chunks(builder, node, op, x, &shape, longest, target);
    let mut stage = axes.clone();
    stage.iter_mut().filter(|a| **a >= longest).for_each(|a| *a += 1);
    let mut partial_shape = chunked.clone();
    stage.iter().for_each(|a| partial_shape[*a] = 1);
    // What the chunks of 16-bit floats come to is kept in F32: the result is rounded once.
    let dtype = if matches!(op, ReduceOp::Sum | ReduceOp::Prod) { node.dtype.wide() } else { node.dtype };
    let partial = builder.make(Op::Reduce(op, stage), vec![parts], partial_shape.clone(), dtype, node);
    let mut done = partial_shape.clone();
    done[longest] = 1;
    let rest = Node { op: Op::Reduce(op, vec![longest]), inputs: vec![partial], shape: done, dtype, ..node.clone() };
    let sum = match is_long(count(&node.shape), partial_shape[longest]) {
        true => two_stages(builder, &rest, op, &[longest], partial, &partial_shape),
        false => builder.add(rest),
    };
    let sum = match dtype == node.dtype {
        true => sum,
        false => builder.make(Op::Cast, vec![sum], builder.graph.nodes[sum].shape.clone(), node.dtype, node),
    };
    builder.make(Op::Reshape, vec![sum], node.shape.clone(), node.dtype, node)
}

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
            let node = builder.make(Op::Reshape, vec![x], chunked.clone(), dtype, like);
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
        false => builder.make(Op::Permute(last.clone()), vec![x], moved.clone(), dtype, node),
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
    let y = builder.make(Op::Windows { window, fill: Bits(fill), aligned: false }, vec![y], wide.clone(), dtype, node);
    // Back: the two new axes where the old one was.
    let mut back: Vec<usize> = (0..rank - 1).collect();
    back.splice(axis..axis, [rank - 1, rank]);
    let chunked: Vec<usize> = back.iter().map(|d| wide[*d]).collect();
    let y = match axis + 1 == rank {
        true => y,
        false => builder.make(Op::Permute(back), vec![y], chunked.clone(), dtype, node),
    };
    (y, chunked)
}
