//! Mixed precision: what waits between the contractions of a pass is stored in 16 bits.
//!
//! Contractions round what they read. Between them stand norms, activations and sums, whose results wait in buffers for whoever reads
//! them next, and for gradients: most of what a training step needs memory for. Such a value is rounded once, for all its readers.
//!
//! ```text
//!          ┌─────── 16 bits ───────┐
//! x ─── conv ─── norm ─── relu ─── conv ─── … ─── head ─── loss
//!                  └ mean, deviation: f32           └ f32 ──┘
//! ```

use crate::{
    dtype::{Class, DType},
    map::Set,
    op::Op,
    program::Phase,
    schedule::{
        buffers::Planner,
        graph::{Builder, Graph, Node, NodeId, Users},
        options::Options,
    },
};

/// Rounds every value that [`Values::narrow`] names, until none is left: a buffer may go where another was.
pub fn store(mut graph: Graph, options: &Options) -> Graph {
    if !graph.nodes.iter().any(|node| is_mixed(&graph, node)) {
        return graph;
    }
    loop {
        let dtypes = Values::new(&graph, options).narrow();
        if dtypes.iter().all(Option::is_none) {
            return graph;
        }
        // Rebuilding leaves out what no output needs.
        let mut dtypes = dtypes.into_iter().zip(graph.live()).filter(|(_, live)| *live).map(|(dtype, _)| dtype);
        graph = graph.rewrite(|builder: &mut Builder, node: Node| {
            let dtype = dtypes.next().flatten();
            let id = builder.add(node);
            let Some(dtype) = dtype else { return id };
            let like = builder.graph.nodes[id].clone();
            let narrow = builder.make(Op::Cast, &[id], &like.shape, dtype, &like);
            builder.make(Op::Cast, &[narrow], &like.shape, like.dtype, &like)
        });
    }
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
    /// Which stay in f32 wherever they are stored.
    stays: Vec<bool>,
}

impl<'g> Values<'g> {
    fn new(graph: &'g Graph, options: &Options) -> Values<'g> {
        let n = graph.nodes.len();
        let in_buffer = Planner::new(graph, &Vec::new(), options, &Set::default()).materialised;
        let mut leads_to = vec![0; n];
        let mut stays = statistics(graph);
        graph.outputs.iter().for_each(|output| stays[*output] = true);
        // What becomes an integer: a position needs its digits, and so does what is left of it.
        let mut position = vec![false; n];
        let mut is_read = vec![false; n];
        for (id, node) in graph.nodes.iter().enumerate().rev() {
            let leads = leads_to[id] | if is_mixed(graph, node) { bit(node.label.phase) } else { 0 };
            let keeps = match node.op {
                // What is repeated for its readers is small beside them; primitives and packs want f32.
                Op::Expand | Op::Part(..) | Op::Pack(_) => true,
                _ if node.op.is_view() => stays[id],
                _ => node.compute.is_none(),
            };
            let rounds = node.op == Op::Cast && node.dtype.size_bytes() == 2;
            let counts = (node.op == Op::Cast && matches!(node.dtype.class(), Class::Int | Class::Uint))
                || (position[id] && !node.op.is_contraction() && !matches!(node.op, Op::Part(..)));
            for input in &node.inputs {
                leads_to[*input] |= leads;
                stays[*input] |= keeps;
                is_read[*input] |= !rounds;
                position[*input] |= counts;
            }
        }
        let users = graph.users();
        for (id, stays) in stays.iter_mut().enumerate() {
            // Where every reader rounds it already there is nothing to do, nor where one goes on with it in the same launch.
            *stays |=
                position[id] || !is_read[id] || (graph.nodes[id].op.is_contraction() && goes_on(graph, &users, id));
        }
        Values { graph, in_buffer, leads_to, stays }
    }

    /// For each value the dtype that it is rounded to: if it has a buffer, and a contraction of its own pass depends on it, so that it
    /// is not of a loss.
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

/// Whether all that reads a value is one computation of as many elements.
fn goes_on(graph: &Graph, users: &Users, mut id: NodeId) -> bool {
    while let [user] = users[id][..] {
        match &graph.nodes[user].op {
            op if op.is_alias() => id = user,
            op => return matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select),
        }
    }
    false
}

/// Which values are made of reductions and constants alone, before they are repeated beside others: means, deviations.
fn statistics(graph: &Graph) -> Vec<bool> {
    let mut constant = vec![false; graph.nodes.len()];
    let mut statistic = constant.clone();
    for (id, node) in graph.nodes.iter().enumerate() {
        let known = |id: &NodeId| constant[*id] || statistic[*id];
        let composed = !node.op.is_heavy() && node.op != Op::Expand && node.inputs.iter().all(known);
        let is_made = composed && node.inputs.iter().any(|input| statistic[*input]);
        statistic[id] = matches!(node.op, Op::Reduce(..)) || is_made;
        constant[id] = !node.op.is_heavy() && node.inputs.iter().all(|input| constant[*input]);
    }
    statistic
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::{
        op::{binary::BinaryOp, unary::UnaryOp},
        program::Label,
    };

    const OPTIONS: Options = Options { max_buffers: 16, max_binding_bytes: u64::MAX, composed: false, laid_out: false };

    /// Adds a node of a 4 × 4 matrix.
    fn square(builder: &mut Builder, op: Op, inputs: &[NodeId], dtype: DType) -> NodeId {
        let (compute, slot) = (Some(DType::BF16), (op == Op::Leaf).then_some(0));
        let label = Label::here("test");
        builder.add(Node { op, inputs: inputs.into(), shape: smallvec![4, 4], dtype, compute, label, source: 0, slot })
    }

    /// Whether eˣ, which has a buffer, is rounded where it also becomes an integer, or a float in its place.
    fn is_rounded(is_position: bool) -> bool {
        let mut builder = Builder::default();
        let b = &mut builder;
        let x = square(b, Op::Leaf, &[], DType::F32);
        let exp = square(b, Op::Unary(UnaryOp::Exp), &[x], DType::F32);
        let to = if is_position { DType::I32 } else { DType::F32 };
        let floor = square(b, Op::Unary(UnaryOp::Floor), &[exp], DType::F32);
        let whole = square(b, Op::Cast, &[floor], to);
        let back = square(b, Op::Cast, &[whole], DType::F32);
        let sides = [[exp, back], [back, exp]].map(|[one, other]| {
            let sum = square(b, Op::Binary(BinaryOp::Add), &[one, other], DType::F32);
            let sin = square(b, Op::Unary(UnaryOp::Sin), &[sum], DType::F32);
            square(b, Op::Cast, &[sin], DType::BF16)
        });
        let product = square(b, Op::Matmul, &sides, DType::F32);
        builder.graph.outputs = vec![product];
        let graph = store(builder.graph, &OPTIONS);
        let exp = graph.nodes.iter().position(|node| node.op == Op::Unary(UnaryOp::Exp));
        let rounds = |node: &Node| node.dtype == DType::BF16 && node.inputs.iter().any(|i| Some(*i) == exp);
        graph.nodes.iter().any(rounds)
    }

    #[test]
    fn what_becomes_an_integer_keeps_its_digits() {
        assert!(is_rounded(false));
        assert!(!is_rounded(true));
    }
}
