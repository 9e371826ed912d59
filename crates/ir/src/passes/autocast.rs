//! Mixed precision: contractions that ask for it read 16-bit operands.
//!
//! Casts are nodes from here on. The scheduler performs them where the operand is loaded, so they cost no launch. Sums
//! stay in f32 and leave as f32; softmax, norms, losses, reductions and the optimizer are not touched.

use crate::{
    dtype::DType,
    op::Op,
    schedule::graph::{Builder, Graph, Node, NodeId},
};

/// Casts the operands of every f32 contraction to the dtype that it computes in.
pub fn autocast(graph: Graph) -> Graph {
    let dtype = |node: &Node| node.compute.filter(|_| node.op.is_contraction() && node.dtype == DType::F32);
    graph.rewrite_if(
        |_, node| dtype(node).is_some(),
        |builder: &mut Builder, mut node: Node| -> NodeId {
            if let Some(dtype) = dtype(&node) {
                node.inputs.iter_mut().for_each(|input| *input = rounded(builder, *input, dtype));
            }
            builder.add(node)
        },
    )
}

/// A node in this dtype. Of a view it is the view of what it shows in this dtype: that is rounded once, and can be stored so.
fn rounded(builder: &mut Builder, id: NodeId, dtype: DType) -> NodeId {
    let node = builder.graph.nodes[id].clone();
    let moves = match &node.op {
        Op::Reshape | Op::Permute(_) | Op::Expand | Op::Slice { .. } | Op::Detach => true,
        Op::Pad { fill, .. } | Op::Windows { fill, .. } => dtype.round(fill.0) == fill.0,
        _ => false,
    };
    match moves && node.dtype == DType::F32 {
        true => {
            let input = rounded(builder, node.inputs[0], dtype);
            builder.make(node.op.clone(), &[input], &node.shape, dtype, &node)
        }
        false => builder.make(Op::Cast, &[id], &node.shape, dtype, &node),
    }
}
