//! Joins of more tensors than a kernel can bind, as joins of joins.

use crate::{
    op::Op,
    schedule::graph::{Builder, Graph, Node, NodeId},
};

/// Inputs of one join, whatever a kernel can bind: each takes instructions as well.
const MOST: usize = 32;

/// Splits joins so that none has as many inputs as a launch may have buffers.
pub fn join(graph: Graph, max_buffers: usize) -> Graph {
    let most = max_buffers.saturating_sub(1).clamp(2, MOST);
    let is_wide = |_: &Graph, node: &Node| matches!(node.op, Op::Concat(_)) && node.inputs.len() > most;
    graph.rewrite_if(is_wide, |builder: &mut Builder, node: Node| -> NodeId {
        match node.op {
            Op::Concat(axis) if node.inputs.len() > most => {
                let mut inputs = node.inputs.clone();
                while inputs.len() > most {
                    inputs = inputs.chunks(most).map(|part| joined(builder, &node, axis, part)).collect();
                }
                builder.add(Node { inputs, ..node })
            }
            _ => builder.add(node),
        }
    })
}

fn joined(builder: &mut Builder, like: &Node, axis: usize, part: &[NodeId]) -> NodeId {
    if let [one] = part {
        return *one;
    }
    let mut shape = like.shape.clone();
    shape[axis] = part.iter().map(|id| builder.graph.nodes[*id].shape[axis]).sum();
    builder.make(Op::Concat(axis), part, &shape, like.dtype, like)
}
