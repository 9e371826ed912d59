//! Mixed precision: contractions read 16-bit operands.
//!
//! Casts are nodes from here on. The scheduler performs them where the operand is loaded, so they cost no launch. Sums
//! stay in f32 and leave as f32; softmax, norms, losses, reductions and the optimizer are not touched.

use crate::{
    dtype::DType,
    op::Op,
    schedule::graph::{Builder, Graph, Node, NodeId},
};

/// Casts the operands of every f32 contraction to `dtype`.
pub fn autocast(graph: Graph, dtype: DType) -> Graph {
    let is_cast = |node: &Node| node.op.is_contraction() && node.dtype == DType::F32;
    graph.rewrite_if(
        |_, node| is_cast(node),
        |builder: &mut Builder, mut node: Node| -> NodeId {
            if is_cast(&node) {
                for input in &mut node.inputs {
                    let like = builder.graph.nodes[*input].clone();
                    *input = builder.make(Op::Cast, vec![*input], like.shape.clone(), dtype, &like);
                }
            }
            builder.add(node)
        },
    )
}
