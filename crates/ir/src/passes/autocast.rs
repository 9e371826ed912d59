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
                for input in &mut node.inputs {
                    let like = builder.graph.nodes[*input].clone();
                    *input = builder.make(Op::Cast, vec![*input], like.shape.clone(), dtype, &like);
                }
            }
            builder.add(node)
        },
    )
}
