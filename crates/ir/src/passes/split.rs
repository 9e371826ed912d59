//! Long reductions in two stages, so that they run on many threads and no thread loops for long.
//!
//! Where to split follows from shapes only, so every device adds in the same order.

use super::{
    chunks::{Chunks, chunks},
    search,
};
use crate::{
    op::{Op, ReduceOp},
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
pub fn split(graph: Graph) -> Graph {
    let may_be_long = |graph: &Graph, node: &Node| match &node.op {
        Op::Reduce(..) => count(&graph.nodes[node.inputs[0]].shape) > LONG,
        _ => false,
    };
    graph.rewrite_if(may_be_long, |builder: &mut Builder, node: Node| -> NodeId {
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
        let x = builder.make(Op::Reshape, &[x], &flat, builder.graph.nodes[x].dtype, node);
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
    let partial = builder.make(Op::Reduce(op, stage), &[parts], &partial_shape, dtype, node);
    let mut done = partial_shape.clone();
    done[longest] = 1;
    let rest = Node {
        op: Op::Reduce(op, vec![longest]),
        inputs: [partial][..].into(),
        shape: done.into(),
        dtype,
        ..node.clone()
    };
    let sum = match is_long(count(&node.shape), partial_shape[longest]) {
        true => two_stages(builder, &rest, op, &[longest], partial, &partial_shape),
        false => builder.add(rest),
    };
    let sum = match dtype == node.dtype {
        true => sum,
        false => builder.make(Op::Cast, &[sum], &builder.graph.nodes[sum].shape.clone(), node.dtype, node),
    };
    builder.make(Op::Reshape, &[sum], &node.shape, node.dtype, node)
}
