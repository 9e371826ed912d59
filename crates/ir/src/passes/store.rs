//! Mixed precision: what waits between the contractions of a pass is stored in 16 bits.
//!
//! Contractions round what they read. Between them stand norms, activations and sums, whose results wait in buffers for whoever reads
//! them next, and for gradients: most of what a training step needs memory for. Such a value is rounded once, for all its readers.
//!
//! ```text
//! 16 bits        ┌─────┐        ┌─────┐   ┌─── … ───┐
//!     x ─── conv ┘     └ norm ──┘     └ conv        └ head ─── loss
//! f32                    │ statistics                 logits    …        results that are asked for, sums, updates
//! ```

use std::collections::HashSet;

use crate::{
    dtype::DType,
    op::Op,
    program::Phase,
    schedule::{
        buffers::Planner,
        graph::{Builder, Graph, Node, NodeId},
        options::Options,
    },
};

/// Rounds every value that [`Values::narrow`] names.
pub fn store(graph: Graph, options: &Options) -> Graph {
    if !graph.nodes.iter().any(|node| is_mixed(&graph, node)) {
        return graph;
    }
    let narrow = Values::new(&graph, options).narrow();
    // Rebuilding leaves out what no output needs.
    let live = graph.live();
    let mut dtypes = narrow.into_iter().zip(live).filter(|(_, live)| *live).map(|(dtype, _)| dtype);
    graph.rewrite(|builder: &mut Builder, node: Node| {
        let dtype = dtypes.next().flatten();
        let id = builder.add(node);
        let Some(dtype) = dtype else { return id };
        let like = builder.graph.nodes[id].clone();
        let narrow = builder.make(Op::Cast, vec![id], like.shape.clone(), dtype, &like);
        builder.make(Op::Cast, vec![narrow], like.shape.clone(), like.dtype, &like)
    })
}

/// Whether a node is a contraction that rounds what it reads.
fn is_mixed(graph: &Graph, node: &Node) -> bool {
    node.op.is_contraction() && node.compute.is_some_and(|dtype| graph.nodes[node.inputs[0]].dtype == dtype)
}

/// Passes over a training step, as bits.
fn bit(phase: Phase) -> u8 {
    match phase {
        Phase::Forward => 1,
        Phase::Backward => 2,
        Phase::Update => 4,
    }
}

/// What is known of the values of a graph.
struct Values<'g> {
    graph: &'g Graph,
    /// Which have buffers.
    in_buffer: Vec<bool>,
    /// The passes whose 16-bit contractions depend on each.
    leads_to: Vec<u8>,
    /// Which are repeated for a reader, or read by something that wants f32.
    stays: Vec<bool>,
}

impl<'g> Values<'g> {
    fn new(graph: &'g Graph, options: &Options) -> Values<'g> {
        let n = graph.nodes.len();
        let in_buffer = Planner::new(graph, &Vec::new(), options, &HashSet::new()).materialised;
        let (mut leads_to, mut stays) = (vec![0; n], vec![false; n]);
        graph.outputs.iter().for_each(|output| stays[*output] = true);
        for id in (0..n).rev() {
            let node = &graph.nodes[id];
            let leads = leads_to[id] | if is_mixed(graph, node) { bit(node.label.phase) } else { 0 };
            let stay = match node.op {
                Op::Expand | Op::Part(..) | Op::Pack(_) => true,
                _ => node.op.is_view() && stays[id],
            };
            for input in &node.inputs {
                leads_to[*input] |= leads;
                stays[*input] |= stay;
            }
        }
        Values { graph, in_buffer, leads_to, stays }
    }

    /// For each value the dtype that it is rounded to: if it has a buffer, and a contraction of its own pass depends on it, so that it
    /// is not of a loss. Statistics stay as they are, which are repeated for their readers.
    fn narrow(&self) -> Vec<Option<DType>> {
        let dtype = |(id, node): (NodeId, &Node)| {
            let computes = match node.op {
                Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Gather(_) | Op::Concat(_) => true,
                _ => node.op.is_contraction(),
            };
            let phase = node.label.phase;
            let inside = phase != Phase::Update && self.leads_to[id] & bit(phase) != 0;
            let narrows = computes && inside && self.in_buffer[id] && !self.stays[id];
            node.compute.filter(|_| narrows && node.dtype == DType::F32)
        };
        self.graph.nodes.iter().enumerate().map(dtype).collect()
    }
}
