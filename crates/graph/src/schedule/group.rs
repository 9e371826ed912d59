//! Which nodes get a buffer, and which are computed together.
//!
//! 1. A node is *materialised* if it is an output, a reduction, a contraction, or an elementwise node that several
//!    kernels would otherwise compute again. Everything else is inlined into its consumers.
//! 2. Each materialised node starts as a kernel of its own; then, in topological order, kernels join those they read from
//!    when both run over the same points and no third kernel stands between them. Whether two fit is tried by emitting
//!    their code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    Options,
    coordinates::Coordinates,
    emit::{Emitter, Form, MAX_INSTS, Trouble, is_cheap},
    graph::{Graph, NodeId},
    ir::{Access, Body, Contract, CustomLaunch, Inst, LaunchKind, Linear, Loop, Operand, Store},
};
use crate::{op::Op, passes::split::is_long, shape::count};

/// Inlined operations above which an elementwise node gets a buffer: expressions stay small and recursion shallow.
const MAX_INLINE: usize = 48;
/// Operations that are cheap enough to do again instead of a store and a load.
const MAX_AGAIN: usize = 4;

/// The same for a node of one element.
const MAX_SINGLE: usize = 12;

/// Nodes computed by one launch.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Materialised nodes, ascending.
    pub members: Vec<NodeId>,
    domain: Domain,
}

/// The points that a kernel runs over.
#[derive(Clone, Debug, PartialEq)]
enum Domain {
    /// Extents without those of 1, and which of them are reduced.
    Points { dims: Vec<usize>, reduced: Vec<bool> },
    /// A contraction's output.
    Contraction(NodeId),
    /// A user's op, alone.
    Custom(NodeId),
}

/// The result of grouping: kernels in topological order, and what each reads.
pub struct Groups {
    pub kernels: Vec<Kernel>,
    /// Which nodes have a buffer.
    pub materialised: Vec<bool>,
    /// The nodes whose value a kernel must store.
    pub stored: Vec<bool>,
}

/// Leaves that an output is written over: the output's node, and the leaf nodes whose memory it shares.
pub type Overwrites = Vec<(NodeId, Vec<NodeId>)>;

/// Groups a graph. `overwrites` orders kernels that write a leaf's memory behind all that read it.
pub fn group(graph: &Graph, overwrites: &Overwrites, options: &Options) -> Option<Groups> {
    let mut forced: HashSet<NodeId> = HashSet::new();
    // Every round forces at least one more node into a buffer, so this ends.
    loop {
        let plan = Planner::new(graph, overwrites, options, &forced);
        match plan.analyse() {
            Err(node) => {
                if !forced.insert(node) {
                    return None;
                }
            }
            Ok(reads) => return plan.merge(reads),
        }
    }
}

struct Planner<'g> {
    graph: &'g Graph,
    overwrites: &'g Overwrites,
    options: &'g Options,
    materialised: Vec<bool>,
    wanted_outside: Vec<bool>,
    /// Whether anything is computed a second time.
    has_again: bool,
}

impl<'g> Planner<'g> {
    fn new(graph: &'g Graph, overwrites: &'g Overwrites, options: &'g Options, forced: &HashSet<NodeId>) -> Self {
        let n = graph.nodes.len();
        let mut users: Vec<Vec<NodeId>> = vec![Vec::new(); n];
        for (id, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|i| users[*i].push(id));
        }
        let mut wanted_outside = vec![false; n];
        graph.outputs.iter().for_each(|o| wanted_outside[*o] = true);
        let mut materialised = vec![false; n];
        // How many operations inlining a node takes, and whether it can be the epilogue of a reduction or contraction.
        let mut cost = vec![0usize; n];
        let mut heavy = vec![false; n];
        let mut cheap = vec![true; n];
        let mut constant = vec![true; n];
        for (id, node) in graph.nodes.iter().enumerate() {
            let is_view = is_view(&node.op);
            constant[id] = !matches!(node.op, Op::Leaf) && node.inputs.iter().all(|i| constant[*i]);
            for i in &node.inputs {
                if materialised[*i] {
                    heavy[id] |= is_heavy(&graph.nodes[*i].op);
                } else {
                    cost[id] += cost[*i];
                    heavy[id] |= heavy[*i];
                    cheap[id] &= cheap[*i];
                }
            }
            if !is_view && !constant[id] && node.op != Op::Leaf {
                cost[id] += 1;
                cheap[id] &= is_cheap(&node.op);
            }
            let is_output = wanted_outside[id] && !matches!(node.op, Op::Leaf | Op::Pack(_));
            materialised[id] = match &node.op {
                Op::Leaf | Op::Pack(_) => false,
                op if is_heavy(op) => true,
                _ if forced.contains(&id) || is_output => true,
                _ if constant[id] => false,
                _ if is_view => false,
                _ => {
                    let (fan, repeated) = fan(graph, &users, id);
                    // A single number is worth computing again for every reader rather than a launch.
                    let single = count(&node.shape) == 1 && cost[id] <= MAX_SINGLE && !heavy[id];
                    let shared = (fan > 1 || repeated) && !single;
                    cost[id] > MAX_INLINE || (shared && (heavy[id] || !cheap[id] || cost[id] > MAX_AGAIN))
                }
            };
            if materialised[id] && !is_heavy(&node.op) {
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
        Planner { graph, overwrites, options, materialised, wanted_outside, has_again }
    }

    fn in_buffer(&self, id: NodeId) -> bool {
        self.materialised[id] || matches!(self.graph.nodes[id].op, Op::Leaf | Op::Pack(_))
    }

    /// What each materialised node reads, or a node that must be materialised first.
    fn analyse(&self) -> Result<Vec<BTreeSet<NodeId>>, NodeId> {
        let mut reads = vec![BTreeSet::new(); self.graph.nodes.len()];
        for id in (0..self.graph.nodes.len()).filter(|id| self.materialised[*id]) {
            let kernel = Kernel { members: vec![id], domain: self.domain_of(id) };
            match self.emit(&kernel, &|_| true) {
                Ok(launch) => {
                    reads[id] = reads_of(&launch);
                    if let Some(node) = self.too_wide(
                        id,
                        reads[id].iter().map(|n| self.bindings(*n)).sum::<usize>() + self.bindings(id) - 1,
                    ) {
                        return Err(node);
                    }
                }
                Err(Trouble::Materialise(node)) => return Err(node),
                // Too large an expression: cut it at the largest inlined input.
                Err(Trouble::Large | Trouble::Elsewhere | Trouble::Split { .. }) => {
                    let inlined = self.graph.nodes[id].inputs.iter().copied().find(|i| !self.in_buffer(*i));
                    return Err(inlined.unwrap_or(id));
                }
            }
        }
        for (id, node) in self.graph.nodes.iter().enumerate() {
            if let Op::Pack(_) = node.op {
                reads[id] = node.inputs.iter().map(|i| pack_source(self.graph, *i)).collect();
            }
        }
        Ok(reads)
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

    /// As how many of a launch's buffers a node's counts: a large one is bound in pieces.
    fn bindings(&self, id: NodeId) -> usize {
        let node = &self.graph.nodes[id];
        // What binding at aligned addresses may take beside it.
        let bytes = (count(&node.shape) * node.dtype.size_bytes()) as u64 + 272;
        bytes.div_ceil((self.options.max_binding_bytes / 256).max(1) * 256) as usize
    }

    /// The buffers that a materialised node reads for a second computation.
    fn read_again(&self, id: NodeId) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::new();
        if !self.materialised[id] || !self.has_again {
            return found;
        }
        let (mut seen, mut stack) = (HashSet::new(), vec![(id, false)]);
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
        let (mut seen, mut stack, mut buffers) = (HashSet::from([id]), vec![id], 0);
        while let Some(at) = stack.pop() {
            for input in self.graph.nodes[at].inputs.iter().copied().filter(|i| seen.insert(*i)) {
                if self.in_buffer(input) { buffers += self.bindings(input) } else { stack.push(input) }
            }
        }
        buffers
    }

    fn domain_of(&self, id: NodeId) -> Domain {
        let node = &self.graph.nodes[id];
        match &node.op {
            op if is_contraction(op) => Domain::Contraction(id),
            Op::Custom(_) => Domain::Custom(id),
            Op::Reduce(_, axes) => {
                let shape = &self.graph.nodes[node.inputs[0]].shape;
                let wide: Vec<usize> = (0..shape.len()).filter(|d| shape[*d] != 1).collect();
                Domain::Points {
                    dims: wide.iter().map(|d| shape[*d]).collect(),
                    reduced: wide.iter().map(|d| axes.contains(d)).collect(),
                }
            }
            _ => {
                let dims = without_ones(&node.shape);
                Domain::Points { reduced: vec![false; dims.len()], dims }
            }
        }
    }

    /// Joins kernels.
    fn merge(&self, reads: Vec<BTreeSet<NodeId>>) -> Option<Groups> {
        let n = self.graph.nodes.len();
        // A node that overwrites a leaf comes after everything that reads the leaf.
        let mut after: Vec<BTreeSet<NodeId>> = reads.clone();
        for (writer, leaves) in self.overwrites {
            for id in 0..n {
                if id != *writer && self.materialised[id] && leaves.iter().any(|l| reads[id].contains(l)) {
                    after[*writer].insert(id);
                }
            }
        }
        let again: Vec<BTreeSet<NodeId>> = (0..n).map(|id| self.read_again(id)).collect();
        let mut merger = Merger { planner: self, after, kernel_of: vec![usize::MAX; n], kernels: BTreeMap::new() };
        for id in 0..n {
            if !self.materialised[id] {
                continue;
            }
            merger.kernel_of[id] = id;
            merger.kernels.insert(id, Kernel { members: vec![id], domain: self.domain_of(id) });
            for read in reads[id].iter().rev() {
                // Computed in one with what it is computed from, it would be kept from then on.
                if self.materialised[*read] && !again[id].contains(read) {
                    merger.try_join(merger.kernel_of[*read], merger.kernel_of[id]);
                }
            }
        }
        merger.join_siblings(&reads, &again);
        let order = merger.order()?;
        let kernels: Vec<Kernel> = order.into_iter().filter_map(|k| merger.kernels.remove(&k)).collect();
        let mut stored = self.wanted_outside.clone();
        for (id, reads) in reads.iter().enumerate() {
            for read in reads.iter().filter(|r| self.materialised[**r]) {
                let own = merger.kernel_of.get(id).copied().unwrap_or(usize::MAX);
                stored[*read] |= own == usize::MAX || merger.kernel_of[*read] != own;
            }
        }
        Some(Groups { kernels, materialised: self.materialised.clone(), stored })
    }

    /// The launch of a kernel, with node ids for buffers. `stores` tells which members are stored.
    fn emit(&self, kernel: &Kernel, stores: &dyn Fn(NodeId) -> bool) -> Result<LaunchKind, Trouble> {
        let in_buffer = |id| self.in_buffer(id);
        emit_kernel(self.graph, kernel, &in_buffer, stores)
    }
}

struct Merger<'p, 'g> {
    planner: &'p Planner<'g>,
    /// What must have run before each node: what it reads, and the readers of what it overwrites.
    after: Vec<BTreeSet<NodeId>>,
    kernel_of: Vec<usize>,
    /// By the lowest member.
    kernels: BTreeMap<usize, Kernel>,
}

impl Merger<'_, '_> {
    fn try_join(&mut self, a: usize, b: usize) -> bool {
        if a == b || a == usize::MAX || b == usize::MAX {
            return a == b;
        }
        let (ka, kb) = (&self.kernels[&a], &self.kernels[&b]);
        let Some(domain) = self.unify(ka, kb) else { return false };
        let members: Vec<NodeId> =
            ka.members.iter().chain(&kb.members).copied().collect::<BTreeSet<_>>().into_iter().collect();
        if self.overwrites_within(ka, kb) || self.stands_between(&members) {
            return false;
        }
        let joined = Kernel { members, domain };
        let Ok(launch) = self.planner.emit(&joined, &|id| self.leaves(id, &joined.members)) else { return false };
        let (reads, writes) = (reads_of(&launch), writes_of(&launch));
        // An update in place reads and writes one buffer.
        let in_place = self
            .planner
            .overwrites
            .iter()
            .filter(|(writer, leaves)| writes.contains(writer) && leaves.len() == 1 && reads.contains(&leaves[0]));
        let bound: usize = reads.union(&writes).map(|id| self.planner.bindings(*id)).sum();
        if bound - in_place.count() > self.planner.options.max_buffers {
            return false;
        }
        self.kernels.remove(&a);
        self.kernels.remove(&b);
        let key = joined.members[0];
        joined.members.iter().for_each(|m| self.kernel_of[*m] = key);
        self.kernels.insert(key, joined);
        true
    }

    /// Whether a member's value is read outside of these members.
    fn leaves(&self, id: NodeId, members: &[NodeId]) -> bool {
        self.planner.wanted_outside[id]
            || (id..self.after.len()).any(|other| self.after[other].contains(&id) && members.binary_search(&other).is_err())
            // Consumers that have no kernel yet.
            || (id..self.after.len()).any(|other| {
                self.kernel_of[other] == usize::MAX && self.planner.materialised[other] && self.after[other].contains(&id)
            })
    }

    /// A kernel must not write over a leaf that another of its members reads: which comes first would not be defined.
    fn overwrites_within(&self, a: &Kernel, b: &Kernel) -> bool {
        self.planner.overwrites.iter().any(|(writer, _)| {
            let conflict = |w: &Kernel, r: &Kernel| {
                w.members.contains(writer)
                    && r.members.iter().any(|m| self.after[*writer].contains(m) && self.reads_overwritten(*writer, *m))
            };
            conflict(a, b) || conflict(b, a)
        })
    }

    /// Whether `reader` reads the memory that `writer` overwrites, otherwise than element by element as an elementwise node
    /// of the same shape.
    fn reads_overwritten(&self, writer: NodeId, reader: NodeId) -> bool {
        let leaves = self.planner.overwrites.iter().find(|(w, _)| *w == writer).map(|(_, l)| l);
        let Some(leaves) = leaves else { return false };
        let graph = self.planner.graph;
        let elementwise = |id: NodeId| !is_heavy(&graph.nodes[id].op);
        let whole = leaves.iter().all(|l| graph.nodes[*l].shape == graph.nodes[writer].shape);
        let same = elementwise(writer) && elementwise(reader) && graph.nodes[writer].shape == graph.nodes[reader].shape;
        self.after[reader].iter().any(|r| leaves.contains(r)) && !(whole && same)
    }

    fn unify(&self, a: &Kernel, b: &Kernel) -> Option<Domain> {
        match (&a.domain, &b.domain) {
            (Domain::Custom(_), _) | (_, Domain::Custom(_)) => None,
            (Domain::Contraction(_), Domain::Contraction(_)) => None,
            (Domain::Contraction(id), Domain::Points { dims, reduced })
            | (Domain::Points { dims, reduced }, Domain::Contraction(id)) => {
                let fits = *dims == without_ones(&self.planner.graph.nodes[*id].shape) && !reduced.contains(&true);
                fits.then_some(Domain::Contraction(*id))
            }
            (Domain::Points { dims: da, reduced: ra }, Domain::Points { dims: db, reduced: rb }) => {
                let (reduces_a, reduces_b) = (ra.contains(&true), rb.contains(&true));
                let rows = |dims: &[usize], reduced: &[bool]| -> Vec<usize> {
                    dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(d, _)| *d).collect()
                };
                if da == db && ra == rb {
                    return Some(a.domain.clone());
                }
                let (wide, narrow, narrow_reduces) = match (reduces_a, reduces_b) {
                    (true, false) => (a, db, false),
                    (false, true) => (b, da, false),
                    _ => return None,
                };
                let Domain::Points { dims, reduced } = &wide.domain else { return None };
                debug_assert!(!narrow_reduces);
                let kept = rows(dims, reduced);
                if *narrow == kept {
                    return Some(wide.domain.clone());
                }
                // Storing every element while reducing: only where rows are many or short, and lie in memory one by one.
                let (count, cols): (usize, usize) =
                    (kept.iter().product(), dims.iter().zip(reduced).filter(|(_, r)| **r).map(|(d, _)| *d).product());
                let trailing = reduced.iter().skip_while(|r| !**r).all(|r| *r);
                let worth = !is_long(count, cols) && (trailing || count >= 64 || cols <= 16_384);
                (narrow == dims && worth).then(|| wide.domain.clone())
            }
        }
    }

    /// Whether some node outside of these members reads from one of them and is read, through others, by another.
    fn stands_between(&self, members: &[NodeId]) -> bool {
        let inside: HashSet<NodeId> = members.iter().copied().collect();
        let lowest = members[0];
        let mut seen: HashSet<usize> = HashSet::new();
        // From what the members need and is not a member, backwards through whole kernels.
        let mut stack: Vec<NodeId> =
            members.iter().flat_map(|m| self.after[*m].iter().copied()).filter(|m| !inside.contains(m)).collect();
        while let Some(id) = stack.pop() {
            let group: Vec<NodeId> = match self.kernel_of[id] {
                usize::MAX => vec![id],
                kernel => self.kernels.get(&kernel).map_or_else(|| vec![id], |k| k.members.clone()),
            };
            if !seen.insert(group[0]) {
                continue;
            }
            for member in group {
                for before in &self.after[member] {
                    if inside.contains(before) {
                        return true;
                    }
                    // Kernels whose members are all older than the group cannot reach it, unless by what they overwrite.
                    if *before >= lowest || !self.planner.overwrites.is_empty() || self.kernel_of[*before] != usize::MAX
                    {
                        stack.push(*before);
                    }
                }
            }
        }
        false
    }

    /// Kernels over the same points that read the same buffers, say the maximum of a window and its position, or the two
    /// moments of an optimizer.
    fn join_siblings(&mut self, reads: &[BTreeSet<NodeId>], again: &[BTreeSet<NodeId>]) {
        let keys: Vec<usize> = self.kernels.keys().copied().collect();
        let mut by_domain: HashMap<String, Vec<usize>> = HashMap::new();
        for key in keys {
            if let Domain::Points { dims, reduced } = &self.kernels[&key].domain {
                by_domain.entry(format!("{dims:?}{reduced:?}")).or_default().push(key);
            }
        }
        let mut groups: Vec<Vec<usize>> = by_domain.into_values().collect();
        groups.sort_unstable();
        for group in groups {
            for (i, a) in group.iter().enumerate() {
                for b in &group[i + 1..] {
                    let (a, b) = (self.kernel_of[*a], self.kernel_of[*b]);
                    let inputs = |k: usize| -> BTreeSet<NodeId> {
                        self.kernels[&k].members.iter().flat_map(|m| reads[*m].iter().copied()).collect()
                    };
                    let second = |k: usize| self.kernels[&k].members.iter().any(|m| !again[*m].is_empty());
                    if a != b && second(a) == second(b) && !inputs(a).is_disjoint(&inputs(b)) {
                        self.try_join(a, b);
                    }
                }
            }
        }
    }

    /// The kernels in an order that respects `after`; earlier nodes first where there is a choice.
    fn order(&self) -> Option<Vec<usize>> {
        let mut waits: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (key, kernel) in &self.kernels {
            let mut before = BTreeSet::new();
            let mut stack: Vec<NodeId> = kernel.members.iter().flat_map(|m| self.after[*m].iter().copied()).collect();
            while let Some(id) = stack.pop() {
                match self.kernel_of[id] {
                    // A packed vector is ready when its parts are.
                    usize::MAX => stack.extend(self.after[id].iter().copied()),
                    other if other != *key => {
                        before.insert(other);
                    }
                    _ => {}
                }
            }
            waits.insert(*key, before);
        }
        let mut order = Vec::with_capacity(waits.len());
        let mut done: HashSet<usize> = HashSet::new();
        while order.len() < waits.len() {
            let last = |k: &usize| self.kernels[k].members.last().copied();
            let ready = waits
                .iter()
                .filter(|(k, before)| !done.contains(*k) && before.iter().all(|b| done.contains(b)))
                .map(|(k, _)| *k)
                .min_by_key(last)?;
            done.insert(ready);
            order.push(ready);
        }
        Some(order)
    }
}

/// Splits of loop coordinates after which a kernel gives up and reads from a buffer instead.
const MAX_SPLITS: usize = 4;

/// The launch of a kernel, with node ids for buffers.
pub fn emit_kernel(
    graph: &Graph,
    kernel: &Kernel,
    in_buffer: &dyn Fn(NodeId) -> bool,
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    if let Domain::Custom(id) = kernel.domain {
        return custom(graph, id, in_buffer);
    }
    let mut splits: Vec<(usize, usize)> = Vec::new();
    loop {
        match emit_split(graph, kernel, &splits, in_buffer, stores) {
            Err(Trouble::Split { coordinate, inner, source }) => match splits.len() {
                MAX_SPLITS => return Err(Trouble::Materialise(source)),
                _ if matches!(kernel.domain, Domain::Contraction(_)) => return Err(Trouble::Materialise(source)),
                _ => splits.push((coordinate, inner)),
            },
            done => return done,
        }
    }
}

/// A user's op: everything it reads must be in a buffer.
fn custom(graph: &Graph, id: NodeId, in_buffer: &dyn Fn(NodeId) -> bool) -> Result<LaunchKind, Trouble> {
    let node = &graph.nodes[id];
    let Op::Custom(op) = &node.op else { return Err(Trouble::Elsewhere) };
    if let Some(missing) = node.inputs.iter().find(|i| !in_buffer(**i)) {
        return Err(Trouble::Materialise(*missing));
    }
    let mut body = Body { stores: vec![Store { buf: id, at: Linear::default(), value: 0 }], ..Body::default() };
    for input in &node.inputs {
        body.insts.push(Inst::Load { buf: *input, at: Access { base: Linear::default(), terms: vec![], fill: 0.0 } });
        body.dtypes.push(graph.nodes[*input].dtype);
    }
    let inputs = node.inputs.iter().map(|i| graph.nodes[*i].shape.clone()).collect();
    Ok(LaunchKind::Custom(CustomLaunch { op: op.clone(), inputs, shape: node.shape.clone(), body }))
}

/// Loop coordinates over the points of a domain: for each its domain axis, extent and step along the axis; how many are
/// not reduced, which come first. `splits` are applied in order.
fn coordinates(dims: &[usize], reduced: &[bool], splits: &[(usize, usize)]) -> (Vec<(usize, usize, usize)>, usize) {
    let kept = (0..dims.len()).filter(|d| !reduced[*d]);
    let order = kept.chain((0..dims.len()).filter(|d| reduced[*d]));
    let mut coordinates: Vec<(usize, usize, usize)> = order.map(|d| (d, dims[d], 1)).collect();
    for (c, inner) in splits {
        let (d, extent, step) = coordinates[*c];
        coordinates.splice(*c..=*c, [(d, extent / inner, step * inner), (d, *inner, step)]);
    }
    let outer = coordinates.iter().filter(|(d, ..)| !reduced[*d]).count();
    (coordinates, outer)
}

fn emit_split(
    graph: &Graph,
    kernel: &Kernel,
    splits: &[(usize, usize)],
    in_buffer: &dyn Fn(NodeId) -> bool,
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    let contract = match &kernel.domain {
        Domain::Points { .. } | Domain::Custom(_) => None,
        Domain::Contraction(id) => Some((*id, Coordinates::of(graph, *id))),
    };
    let mut split = 0;
    let (extents, dims): (Vec<usize>, Vec<Linear>) = match (&kernel.domain, &contract) {
        (Domain::Points { dims, reduced }, _) => {
            let (order, outer) = coordinates(dims, reduced, splits);
            split = outer;
            let axis = |d: usize| Linear {
                offset: 0,
                coef: order.iter().map(|(of, _, step)| if *of == d { *step as i64 } else { 0 }).collect(),
            };
            (order.iter().map(|(_, extent, _)| *extent).collect(), (0..dims.len()).map(axis).collect())
        }
        (Domain::Contraction(_), Some((id, c))) => {
            let shape = &graph.nodes[*id].shape;
            let wide = c.output.iter().zip(shape).filter(|(_, n)| **n != 1).map(|(l, _)| l.clone()).collect();
            ([&c.batch[..], &c.m, &c.n].concat(), wide)
        }
        (Domain::Contraction(_), None) | (Domain::Custom(_), _) => return Err(Trouble::Elsewhere),
    };
    let mut emitter = Emitter::new(graph, extents.clone(), in_buffer);
    let reduced: Vec<bool> = match &kernel.domain {
        Domain::Points { reduced, .. } => reduced.clone(),
        Domain::Contraction(_) | Domain::Custom(_) => vec![false; dims.len()],
    };
    let rows: Vec<&Linear> = dims.iter().zip(&reduced).filter(|(_, r)| !**r).map(|(l, _)| l).collect();
    let all: Vec<&Linear> = dims.iter().collect();
    let spread = |shape: &[usize], over: &[&Linear], zero: &Linear| -> Vec<Linear> {
        let mut next = over.iter();
        shape
            .iter()
            .map(|n| if *n == 1 { zero.clone() } else { next.next().map_or(zero.clone(), |l| (*l).clone()) })
            .collect()
    };
    let zero = emitter.zero();
    let mut at: HashMap<NodeId, Vec<Linear>> = HashMap::new();
    for id in &kernel.members {
        let node = &graph.nodes[*id];
        let own = without_ones(&node.shape);
        let row_level = matches!(node.op, Op::Reduce(..)) || (own.len() == rows.len() && own.len() != all.len());
        let forms = spread(&node.shape, if row_level { &rows } else { &all }, &zero);
        emitter.member(*id, &forms);
        if let Op::Reduce(_, _) = node.op {
            let operand = spread(&graph.nodes[node.inputs[0]].shape, &all, &zero);
            emitter.operand(*id, operand.into_iter().map(Form::plain).collect());
        }
        at.insert(*id, forms);
    }
    emitter.contraction = contract.as_ref().map(|(id, _)| *id);
    for id in &kernel.members {
        emitter.compute(*id, &at[id], stores(*id))?;
    }
    debug_assert!(emitter.body.insts.len() <= MAX_INSTS);
    let body = std::mem::take(&mut emitter.body);
    Ok(match (&kernel.domain, contract) {
        (Domain::Points { .. }, _) => {
            let nest = Loop { outer: extents[..split].to_vec(), inner: extents[split..].to_vec(), body };
            // One number per row has one place per row; spread over the row it is a launch of its own.
            let levels = nest.levels();
            let spreads = |s: &super::ir::Store| levels[s.value].per_row && s.at.coef[split..].iter().any(|c| *c != 0);
            if nest.body.stores.iter().any(spreads) {
                return Err(Trouble::Elsewhere);
            }
            LaunchKind::Loop(nest)
        }
        (_, Some((id, c))) => {
            let node = &graph.nodes[id];
            let side = |input: usize, forms: &[Form], extents: Vec<usize>| -> Result<Operand, Trouble> {
                let emitter = Emitter::new(graph, extents, in_buffer);
                let (buf, at, casts) = emitter.operand_access(node.inputs[input], forms)?;
                if kernel.members.contains(&buf) {
                    return Err(Trouble::Elsewhere);
                }
                Ok(Operand { buf, at, casts })
            };
            let a = side(c.a.0, &c.a.1, [&c.batch[..], &c.m, &c.k].concat())?;
            let b = side(c.b.0, &c.b.1, [&c.batch[..], &c.k, &c.n].concat())?;
            LaunchKind::Contract(Contract { kind: c.kind, batch: c.batch, m: c.m, n: c.n, k: c.k, a, b, body })
        }
        _ => return Err(Trouble::Elsewhere),
    })
}

/// How many computations read a node, through views; and whether one of them reads an element more than once.
fn fan(graph: &Graph, users: &[Vec<NodeId>], id: NodeId) -> (usize, bool) {
    let (mut fan, mut repeated) = (0, false);
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        for user in &users[id] {
            match &graph.nodes[*user].op {
                op if is_view(op) => {
                    repeated |= matches!(op, Op::Expand | Op::Windows { .. } | Op::WindowsAdjoint(_));
                    stack.push(*user);
                }
                op => {
                    fan += 1;
                    repeated |= is_contraction(op);
                }
            }
        }
    }
    (fan, repeated)
}

/// The node whose buffer a part of a pack is: reshapes move nothing.
pub fn pack_source(graph: &Graph, mut id: NodeId) -> NodeId {
    while matches!(graph.nodes[id].op, Op::Reshape | Op::Detach | Op::Again(_)) {
        id = graph.nodes[id].inputs[0];
    }
    id
}

fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|n| *n != 1).collect()
}

/// Whether an op only changes where elements are looked for.
pub fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape
            | Op::Permute(_)
            | Op::Expand
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Windows { .. }
            | Op::WindowsAdjoint(_)
            | Op::Detach
            | Op::Again(_)
    )
}

fn is_contraction(op: &Op) -> bool {
    matches!(op, Op::Matmul | Op::Conv(_) | Op::ConvInput(_) | Op::ConvWeight(_))
}

/// Whether an op always starts from a buffer of its own.
fn is_heavy(op: &Op) -> bool {
    is_contraction(op) || matches!(op, Op::Reduce(..) | Op::Custom(_))
}

/// The buffers a launch reads.
pub fn reads_of(launch: &LaunchKind) -> BTreeSet<NodeId> {
    match launch {
        LaunchKind::Loop(l) => l.body.reads().into_iter().collect(),
        LaunchKind::Custom(c) => c.body.reads().into_iter().collect(),
        LaunchKind::Contract(c) => c.body.reads().into_iter().chain([c.a.buf, c.b.buf]).collect(),
    }
}

/// The buffers a launch writes.
fn writes_of(launch: &LaunchKind) -> BTreeSet<NodeId> {
    match launch {
        LaunchKind::Loop(l) => l.body.stores.iter().map(|s| s.buf).collect(),
        LaunchKind::Custom(c) => vec![c.output()].into_iter().collect(),
        LaunchKind::Contract(c) => c.body.stores.iter().map(|s| s.buf).collect(),
    }
}
