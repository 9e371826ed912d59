//! Which nodes get a buffer.
//!
//! A node is *materialised* if it is an output, a reduction, a contraction, or an elementwise node that several kernels would
//! otherwise compute again. Everything else is inlined into its consumers.

use std::{cell::RefCell, collections::BTreeSet};

use super::{
    emit::Trouble,
    graph::{Graph, Node, NodeId, Users},
    ir::LaunchKind,
    kernel::{Kernel, emit_kernel},
    options::Options,
};
use crate::{
    map::{Map, Set},
    op::Op,
    shape::count,
};

/// Inlined operations above which an elementwise node gets a buffer: expressions stay small and recursion shallow.
const MAX_INLINE: usize = 48;

/// Nodes in a row without a buffer, views and constants among them, above which one gets one: recursion follows them.
const MAX_ROW: usize = 64;

/// Operations that are cheap enough to do again instead of a store and a load.
pub const MAX_AGAIN: usize = 4;

/// The same for a node of one element.
const MAX_SINGLE: usize = 12;

/// Leaves that an output is written over: the output's node, and the leaf nodes whose memory it shares.
pub type Overwrites = Vec<(NodeId, Vec<NodeId>)>;

/// A kernel that was tried in vain.
pub struct Refusal {
    pub kernel: Kernel,
    /// The members that it was to store.
    pub stored: Vec<NodeId>,
    pub trouble: Trouble,
}

/// Which nodes had a buffer, and what could not be computed at once then.
pub struct Round {
    pub materialised: Vec<bool>,
    pub refusals: Vec<Refusal>,
}

/// Which nodes have a buffer.
pub struct Planner<'g> {
    pub graph: &'g Graph,
    pub overwrites: &'g Overwrites,
    pub options: &'g Options,
    /// The nodes that are computed into one.
    pub materialised: Vec<bool>,
    /// The nodes that somebody else reads.
    pub wanted_outside: Vec<bool>,
    /// Whether anything is computed a second time.
    has_again: bool,
    /// What was tried in vain so far.
    refusals: RefCell<Vec<Refusal>>,
}

impl<'g> Planner<'g> {
    pub fn new(graph: &'g Graph, overwrites: &'g Overwrites, options: &'g Options, forced: &Set<NodeId>) -> Self {
        let n = graph.nodes.len();
        let users = graph.users();
        let mut wanted_outside = vec![false; n];
        graph.outputs.iter().for_each(|o| wanted_outside[*o] = true);
        let mut materialised = vec![false; n];
        // How many operations inlining a node takes, and whether it can be the epilogue of a reduction or contraction.
        let mut cost = vec![0usize; n];
        let mut heavy = vec![false; n];
        let mut cheap = vec![true; n];
        let mut constant = vec![true; n];
        let mut row = vec![0usize; n];
        for (id, node) in graph.nodes.iter().enumerate() {
            let is_view = node.op.is_view() || graph.widens(id);
            constant[id] = !matches!(node.op, Op::Leaf) && node.inputs.iter().all(|i| constant[*i]);
            for i in &node.inputs {
                row[id] = row[id].max(row[*i] + 1);
                if materialised[*i] {
                    heavy[id] |= graph.nodes[*i].op.is_heavy();
                } else {
                    cost[id] += cost[*i];
                    heavy[id] |= heavy[*i];
                    cheap[id] &= cheap[*i];
                }
            }
            if !is_view && !constant[id] && node.op != Op::Leaf {
                cost[id] += 1;
                cheap[id] &= node.op.is_cheap();
            }
            let is_output = wanted_outside[id] && !matches!(node.op, Op::Leaf | Op::Pack(_));
            materialised[id] = match &node.op {
                Op::Leaf | Op::Pack(_) => false,
                op if op.is_heavy() => true,
                _ if forced.contains(&id) || is_output || row[id] > MAX_ROW => true,
                _ if constant[id] => false,
                _ if is_view => false,
                // The result is stored as whoever reads it wants it.
                Op::Cast if narrows(graph, &users, id) => true,
                _ => {
                    let (fan, repeated) = fan(graph, &users, id);
                    // A single number is worth computing again for every reader rather than a launch.
                    let single = count(&node.shape) == 1 && cost[id] <= MAX_SINGLE && !heavy[id];
                    let shared = (fan > 1 || repeated) && !single;
                    cost[id] > MAX_INLINE || (shared && (heavy[id] || !cheap[id] || cost[id] > MAX_AGAIN))
                }
            };
            if materialised[id] || matches!(node.op, Op::Leaf | Op::Pack(_)) {
                row[id] = 0;
            }
            if let Op::Pack(_) = node.op {
                // A buffer like a leaf, whatever its parts are the results of.
                (cost[id], heavy[id], cheap[id]) = (0, false, true);
            }
            if materialised[id] && !node.op.is_heavy() {
                // What stands behind the buffer is one load for its readers; but it remains a candidate epilogue.
                cost[id] = 0;
                cheap[id] = true;
            }
        }
        // Packed parts are written in place, so each needs a kernel; what they reshape does.
        for node in &graph.nodes {
            if let Op::Pack(_) = node.op {
                node.inputs.iter().for_each(|i| {
                    let source = pack_source(graph, *i);
                    materialised[source] |= !matches!(graph.nodes[source].op, Op::Leaf | Op::Pack(_));
                    wanted_outside[source] = true;
                });
            }
        }
        let has_again = graph.nodes.iter().any(|node| matches!(node.op, Op::Again(_)));
        let refusals = RefCell::default();
        Planner { graph, overwrites, options, materialised, wanted_outside, has_again, refusals }
    }

    /// What there is to know of it when all is tried.
    pub fn round(self) -> Round {
        Round { materialised: self.materialised, refusals: self.refusals.into_inner() }
    }

    pub fn in_buffer(&self, id: NodeId) -> bool {
        self.materialised[id] || matches!(self.graph.nodes[id].op, Op::Leaf | Op::Pack(_))
    }

    /// What each materialised node reads when it is computed alone, and how that is done; or nodes that must be materialised first.
    pub fn analyse(&self) -> Result<(Vec<BTreeSet<NodeId>>, Map<NodeId, LaunchKind>), BTreeSet<NodeId>> {
        let mut reads = vec![BTreeSet::new(); self.graph.nodes.len()];
        let mut launches = Map::default();
        let mut forced = BTreeSet::new();
        for id in (0..self.graph.nodes.len()).filter(|id| self.materialised[*id]) {
            match self.reads(id) {
                Ok((found, launch)) => {
                    reads[id] = found;
                    launches.insert(id, launch);
                }
                // What a buffer of this round may mend is seen in the next.
                Err(node) if self.inlined(id).is_disjoint(&forced) => drop(forced.insert(node)),
                Err(_) => {}
            }
        }
        if !forced.is_empty() {
            return Err(forced);
        }
        for (id, node) in self.graph.nodes.iter().enumerate() {
            if let Op::Pack(_) = node.op {
                reads[id] = node.inputs.iter().map(|i| pack_source(self.graph, *i)).collect();
            }
        }
        Ok((reads, launches))
    }

    /// What a materialised node reads, and how it is computed, or a node that must be materialised first.
    fn reads(&self, id: NodeId) -> Result<(BTreeSet<NodeId>, LaunchKind), NodeId> {
        match self.emit(&Kernel::of(self.graph, id), &|_| true) {
            Ok(launch) => {
                let reads: BTreeSet<NodeId> = launch.reads().into_iter().collect();
                let bound = reads.iter().map(|n| self.bindings(*n)).sum::<usize>() + self.bindings(id) - 1;
                self.too_wide(id, bound).map_or(Ok((reads, launch)), Err)
            }
            Err(Trouble::Materialise(node)) => Err(node),
            // Too large an expression: cut it at the largest inlined input.
            Err(Trouble::Large | Trouble::Elsewhere | Trouble::Split { .. }) => {
                let inlined = self.graph.nodes[id].inputs.iter().copied().find(|i| !self.in_buffer(*i));
                Err(inlined.unwrap_or(id))
            }
        }
    }

    /// A node and the nodes computed within it.
    fn inlined(&self, id: NodeId) -> BTreeSet<NodeId> {
        let (mut seen, mut stack) = (BTreeSet::from([id]), vec![id]);
        while let Some(at) = stack.pop() {
            let inputs = self.graph.nodes[at].inputs.iter().copied().filter(|i| !self.in_buffer(*i));
            stack.extend(inputs.filter(|i| seen.insert(*i)));
        }
        seen
    }

    /// Of a node that reads and writes more buffers than a kernel can bind: the inlined node to cut it at. On the way down
    /// where most is read, that is the first that a kernel can compute.
    fn too_wide(&self, id: NodeId, reads: usize) -> Option<NodeId> {
        if reads < self.options.max_buffers {
            return None;
        }
        let mut at = id;
        loop {
            let inlined = self.graph.nodes[at].inputs.iter().filter(|i| !self.in_buffer(**i));
            let (reads, widest) = inlined.map(|i| (self.buffers_below(*i), *i)).max()?;
            match reads {
                // A buffer in place of one buffer saves nothing.
                0 | 1 => return None,
                _ if reads < self.options.max_buffers => return Some(widest),
                _ => at = widest,
            }
        }
    }

    /// As how many of a launch's buffers a node's counts.
    pub fn bindings(&self, id: NodeId) -> usize {
        bindings(&self.graph.nodes[id], self.options)
    }

    /// The buffers that a materialised node reads for a second computation.
    pub fn read_again(&self, id: NodeId) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::new();
        if !self.materialised[id] || !self.has_again {
            return found;
        }
        let (mut seen, mut stack) = (Set::default(), vec![(id, false)]);
        while let Some((at, again)) = stack.pop() {
            let again = again || matches!(self.graph.nodes[at].op, Op::Again(_));
            for input in self.graph.nodes[at].inputs.iter().copied() {
                match self.in_buffer(input) {
                    true if again => drop(found.insert(input)),
                    true => {}
                    false if seen.insert((input, again)) => stack.push((input, again)),
                    false => {}
                }
            }
        }
        found
    }

    /// How many buffers an inlined node reads.
    fn buffers_below(&self, id: NodeId) -> usize {
        let (mut seen, mut stack, mut buffers) = (Set::from_iter([id]), vec![id], 0);
        while let Some(at) = stack.pop() {
            for input in self.graph.nodes[at].inputs.iter().copied().filter(|i| seen.insert(*i)) {
                if self.in_buffer(input) { buffers += self.bindings(input) } else { stack.push(input) }
            }
        }
        buffers
    }

    /// The launch of a kernel, with node ids for buffers. `stores` tells which members are stored.
    pub fn emit(&self, kernel: &Kernel, stores: &dyn Fn(NodeId) -> bool) -> Result<LaunchKind, Trouble> {
        let in_buffer = |id| self.in_buffer(id);
        emit_kernel(self.graph, kernel, &in_buffer, stores).inspect_err(|trouble| {
            let stored = kernel.members.iter().copied().filter(|id| stores(*id)).collect();
            let refusal = Refusal { kernel: kernel.clone(), stored, trouble: trouble.clone() };
            self.refusals.borrow_mut().push(refusal);
        })
    }
}

/// As how many of a launch's buffers a node's counts: a large one is bound in pieces.
pub fn bindings(node: &Node, options: &Options) -> usize {
    // What binding at aligned addresses may take beside it.
    let bytes = (count(&node.shape) * node.dtype.size_bytes()) as u64 + 272;
    bytes.div_ceil((options.max_binding_bytes / 256).max(1) * 256) as usize
}

/// Whether a node rounds the result of a reduction or contraction to 16 bits, which nobody reads otherwise.
fn narrows(graph: &Graph, users: &Users, id: NodeId) -> bool {
    let (node, input) = (&graph.nodes[id], graph.nodes[id].inputs[0]);
    let op = &graph.nodes[input].op;
    node.dtype.size_bytes() == 2
        && (op.is_contraction() || matches!(op, Op::Reduce(..)))
        && users[input] == [id]
        && !graph.outputs.contains(&input)
}

/// How many computations read a node, through views; and whether one of them reads an element more than once.
pub fn fan(graph: &Graph, users: &Users, id: NodeId) -> (usize, bool) {
    let (mut fan, mut repeated) = (0, false);
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        for user in &users[id] {
            match &graph.nodes[*user].op {
                op if op.is_view() || graph.widens(*user) => {
                    repeated |= matches!(op, Op::Expand | Op::Windows { .. } | Op::WindowsAdjoint(_));
                    stack.push(*user);
                }
                op => {
                    fan += 1;
                    repeated |= op.is_contraction();
                }
            }
        }
    }
    (fan, repeated)
}

/// The node whose buffer a part of a pack is: reshapes move nothing.
pub fn pack_source(graph: &Graph, mut id: NodeId) -> NodeId {
    while graph.nodes[id].op.is_alias() {
        id = graph.nodes[id].inputs[0];
    }
    id
}
