//! Which nodes are computed together.
//!
//! Each materialised node starts as a kernel of its own; then, in topological order, kernels join those they read from when
//! both run over the same points and no third kernel stands between them. Whether two fit is tried by emitting their code.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    buffers::{Overwrites, Planner, Round},
    emit::Trouble,
    graph::{Graph, NodeId},
    ir::LaunchKind,
    kernel::{Domain, Kernel, without_ones},
    options::Options,
    precedence::Precedence,
};
use crate::{
    map::{Map, Set},
    passes::split::is_long,
};

/// Kernels that one tries to join in vain, of those that read what it reads: in a deep graph where every layer reads one bias,
/// nearly all of them wait for each other.
const MAX_TRIES: usize = 16;

/// The result of grouping: kernels in topological order, and what each reads.
pub struct Groups {
    pub kernels: Vec<Kernel>,
    /// For each the launch that was written for it last.
    pub launches: Vec<Option<LaunchKind>>,
    /// The nodes whose value a kernel must store.
    pub stored: Vec<bool>,
    /// What led there. The buffers of the last one are those that there are.
    pub rounds: Vec<Round>,
}

/// Groups a graph. `overwrites` orders kernels that write a leaf's memory behind all that read it; `copies` are kernels of their own,
/// each of what is in a buffer.
pub fn group(graph: &Graph, overwrites: &Overwrites, options: &Options, copies: &Set<NodeId>) -> Option<Groups> {
    let mut forced: Set<NodeId> = copies.iter().map(|copy| graph.nodes[*copy].inputs[0]).collect();
    let mut rounds = Vec::new();
    // Every round forces at least one more node into a buffer, so this ends.
    loop {
        let plan = Planner::new(graph, overwrites, options, &forced);
        match plan.analyse() {
            Err(nodes) => {
                let known = forced.len();
                forced.extend(nodes);
                if forced.len() == known {
                    return None;
                }
            }
            Ok((reads, launches)) => {
                let groups = merge(&plan, reads, launches, copies)?;
                rounds.push(plan.round());
                return Some(Groups { rounds, ..groups });
            }
        }
        rounds.push(plan.round());
    }
}

/// Joins kernels, of nodes that read these and are launched so when they are computed alone.
fn merge(
    plan: &Planner,
    reads: Vec<BTreeSet<NodeId>>,
    launches: Map<NodeId, LaunchKind>,
    copies: &Set<NodeId>,
) -> Option<Groups> {
    let n = plan.graph.nodes.len();
    let again: Vec<BTreeSet<NodeId>> = (0..n).map(|id| plan.read_again(id)).collect();
    let mut merger = Merger {
        planner: plan,
        reads: &reads,
        launches,
        leaves_of: plan.overwrites.iter().map(|(writer, leaves)| (*writer, leaves.as_slice())).collect(),
        precedence: Precedence::new(&reads, plan.overwrites, |id| plan.materialised[id]),
        domains: BTreeMap::new(),
        refused: Map::default(),
        copies,
    };
    for id in 0..n {
        if !plan.materialised[id] {
            continue;
        }
        merger.precedence.add(id);
        merger.domains.insert(id, Kernel::of(plan.graph, id).domain);
        for read in reads[id].iter().rev() {
            // Computed in one with what it is computed from, it would be kept from then on.
            if plan.materialised[*read] && !again[id].contains(read) {
                merger.try_join(merger.precedence.kernel_of(*read), merger.precedence.kernel_of(id));
            }
        }
    }
    merger.join_siblings(&again);
    let order = merger.precedence.order()?;
    let kernel = |k: usize| {
        merger.domains.remove(&k).map(|domain| Kernel { members: merger.precedence.members(k).to_vec(), domain })
    };
    let kernels: Vec<Kernel> = order.into_iter().filter_map(kernel).collect();
    let launches = kernels.iter().map(|kernel| merger.launches.remove(&kernel.members[0])).collect();
    let mut stored = plan.wanted_outside.clone();
    for (id, reads) in reads.iter().enumerate() {
        for read in reads.iter().filter(|r| plan.materialised[**r]) {
            let own = merger.precedence.kernel_of(id);
            stored[*read] |= own.is_none() || merger.precedence.kernel_of(*read) != own;
        }
    }
    Some(Groups { kernels, launches, stored, rounds: Vec::new() })
}

struct Merger<'p, 'g> {
    planner: &'p Planner<'g>,
    /// What each node reads when it is computed alone.
    reads: &'p [BTreeSet<NodeId>],
    /// The leaves that a node overwrites.
    leaves_of: Map<NodeId, &'p [NodeId]>,
    precedence: Precedence,
    /// What each kernel runs over.
    domains: BTreeMap<usize, Domain>,
    /// By a kernel's name, its launch.
    launches: Map<usize, LaunchKind>,
    /// By a kernel's name, the instructions of the smallest kernel with which it was too large.
    refused: Map<usize, usize>,
    /// Nodes that stay alone.
    copies: &'p Set<NodeId>,
}

impl Merger<'_, '_> {
    fn try_join(&mut self, a: Option<usize>, b: Option<usize>) -> bool {
        let (Some(a), Some(b)) = (a, b) else { return false };
        if a == b {
            return true;
        }
        if self.copies.contains(&a) || self.copies.contains(&b) {
            return false;
        }
        let Some(domain) = self.unify(&self.domains[&a], &self.domains[&b]) else { return false };
        let (of_a, of_b) = (self.precedence.members(a), self.precedence.members(b));
        let mut members = [of_a, of_b].concat();
        members.sort_unstable();
        if self.overwrites_within(of_a, of_b) || self.precedence.stands_between(&members) {
            return false;
        }
        // What a primitive's kernels bind is their own affair.
        if !matches!(domain, Domain::Whole(_)) && self.binds(&members) > self.planner.options.max_buffers {
            return false;
        }
        let joined = Kernel { members, domain };
        match self.planner.emit(&joined, &|id| self.leaves(id, &joined.members)) {
            Ok(launch) => drop(self.launches.insert(joined.members[0], launch)),
            Err(trouble) => {
                if trouble == Trouble::Large {
                    self.refuse(a, b);
                    self.refuse(b, a);
                }
                return false;
            }
        }
        self.domains.remove(&a);
        self.domains.remove(&b);
        self.domains.insert(joined.members[0], joined.domain);
        self.precedence.join(a, b);
        true
    }

    fn refuse(&mut self, kernel: usize, other: usize) {
        let size = self.size(other);
        self.refused.entry(kernel).and_modify(|least| *least = size.min(*least)).or_insert(size);
    }

    /// Whether one of two kernels was too large with another that is no larger than this one.
    fn refuses(&self, a: usize, b: usize) -> bool {
        let refused = |a: usize, b: usize| self.refused.get(&a).is_some_and(|least| *least <= self.size(b));
        refused(a, b) || refused(b, a)
    }

    /// The instructions of a kernel.
    fn size(&self, kernel: usize) -> usize {
        self.launches.get(&kernel).map_or(0, LaunchKind::size)
    }

    /// How many buffers a kernel of these members binds.
    fn binds(&self, members: &[NodeId]) -> usize {
        let reads = members.iter().flat_map(|m| &self.reads[*m]).filter(|id| members.binary_search(id).is_err());
        let writes = members.iter().filter(|m| self.leaves(**m, members));
        let bound: Set<NodeId> = reads.chain(writes).copied().collect();
        bound.into_iter().map(|id| self.planner.bindings(id)).sum()
    }

    /// Whether a member's value is read outside of these members.
    fn leaves(&self, id: NodeId, members: &[NodeId]) -> bool {
        self.planner.wanted_outside[id]
            || self.precedence.waiting(id).iter().any(|other| *other >= id && members.binary_search(other).is_err())
    }

    /// A kernel must not write over a leaf that another of its members reads: which comes first would not be defined.
    fn overwrites_within(&self, a: &[NodeId], b: &[NodeId]) -> bool {
        let conflict = |w: &[NodeId], r: &[NodeId]| {
            let mut writers = w.iter().filter_map(|m| self.leaves_of.get(m).map(|leaves| (*m, *leaves)));
            writers.any(|(writer, leaves)| r.iter().any(|m| self.reads_overwritten(writer, leaves, *m)))
        };
        conflict(a, b) || conflict(b, a)
    }

    /// Whether `reader` reads the memory that `writer` overwrites, otherwise than element by element as an elementwise node
    /// of the same shape.
    fn reads_overwritten(&self, writer: NodeId, leaves: &[NodeId], reader: NodeId) -> bool {
        let graph = self.planner.graph;
        let elementwise = |id: NodeId| !graph.nodes[id].op.is_heavy();
        let whole = leaves.iter().all(|l| graph.nodes[*l].shape == graph.nodes[writer].shape);
        let same = elementwise(writer) && elementwise(reader) && graph.nodes[writer].shape == graph.nodes[reader].shape;
        self.precedence.after(writer).contains(&reader)
            && leaves.iter().any(|leaf| self.precedence.after(reader).contains(leaf))
            && !(whole && same)
    }

    fn unify(&self, a: &Domain, b: &Domain) -> Option<Domain> {
        match (a, b) {
            (Domain::Whole(one), Domain::Whole(other)) => {
                let nodes = &self.planner.graph.nodes;
                nodes[*one].is_sibling(&nodes[*other]).then(|| a.clone())
            }
            (Domain::Whole(_), _) | (_, Domain::Whole(_)) => None,
            (Domain::Contraction(_), Domain::Contraction(_)) => None,
            (Domain::Contraction(id), Domain::Points { dims, reduced })
            | (Domain::Points { dims, reduced }, Domain::Contraction(id)) => {
                let fits = *dims == without_ones(&self.planner.graph.nodes[*id].shape) && !reduced.contains(&true);
                fits.then_some(Domain::Contraction(*id))
            }
            (Domain::Points { dims: da, reduced: ra }, Domain::Points { dims: db, reduced: rb }) => {
                let (reduces_a, reduces_b) = (ra.contains(&true), rb.contains(&true));
                if da == db && ra == rb {
                    return Some(a.clone());
                }
                let (wide, narrow, narrow_reduces) = match (reduces_a, reduces_b) {
                    (true, false) => (a, db, false),
                    (false, true) => (b, da, false),
                    _ => return None,
                };
                let Domain::Points { dims, reduced } = wide else { return None };
                debug_assert!(!narrow_reduces);
                let kept = dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(d, _)| *d);
                if kept.eq(narrow.iter().copied()) {
                    return Some(wide.clone());
                }
                (narrow == dims && may_store_all(dims, reduced)).then(|| wide.clone())
            }
        }
    }

    /// Kernels over the same points that read the same buffers, say the maximum of a window and its position, or the two
    /// moments of an optimizer; and the results of a primitive.
    fn join_siblings(&mut self, again: &[BTreeSet<NodeId>]) {
        let mut by_domain: Map<String, Vec<usize>> = Map::default();
        for (key, domain) in &self.domains {
            let over = match domain {
                Domain::Points { .. } => format!("{domain:?}"),
                Domain::Whole(id) => format!("{:?}", self.planner.graph.nodes[*id].inputs),
                Domain::Contraction(_) => continue,
            };
            by_domain.entry(over).or_default().push(*key);
        }
        let mut groups: Vec<Vec<usize>> = by_domain.into_values().collect();
        groups.sort_unstable();
        for group in groups {
            self.join_group(&group, again);
        }
    }

    /// Each kernel of an ascending list with every later one that reads something that it reads by then.
    fn join_group(&mut self, group: &[usize], again: &[BTreeSet<NodeId>]) {
        let inputs = |merger: &Self, kernel: usize| -> BTreeSet<NodeId> {
            merger.precedence.members(kernel).iter().flat_map(|m| merger.reads[*m].iter().copied()).collect()
        };
        let second =
            |merger: &Self, kernel: usize| merger.precedence.members(kernel).iter().any(|m| !again[*m].is_empty());
        // Kernels by their places in the list, even when they were joined to others since.
        let of = |merger: &Self, i: usize| merger.precedence.kernel_of(group[i]);
        let mut readers: Map<NodeId, Vec<usize>> = Map::default();
        for i in 0..group.len() {
            for input in of(self, i).into_iter().flat_map(|kernel| inputs(self, kernel)) {
                readers.entry(input).or_default().push(i);
            }
        }
        for i in 0..group.len() {
            let later = |merger: &Self, than: usize| -> BTreeSet<usize> {
                let inputs = of(merger, i).into_iter().flat_map(|kernel| inputs(merger, kernel));
                let all = inputs.flat_map(|input| readers.get(&input).into_iter().flatten().copied());
                all.filter(|j| *j > than).collect()
            };
            let (mut candidates, mut failed) = (later(self, i), 0);
            while failed < MAX_TRIES
                && let Some(j) = candidates.pop_first()
            {
                let (Some(a), Some(b)) = (of(self, i), of(self, j)) else { continue };
                if a == b || second(self, a) != second(self, b) {
                    continue;
                }
                match !self.refuses(a, b) && self.try_join(Some(a), Some(b)) {
                    true => candidates = later(self, j),
                    false => failed += 1,
                }
            }
        }
    }
}

/// Whether every point may be stored while some axes are reduced: only where rows are many or short, and lie in memory one by one.
pub fn may_store_all(dims: &[usize], reduced: &[bool]) -> bool {
    let points = |of: bool| dims.iter().zip(reduced).filter(|(_, r)| **r == of).map(|(d, _)| *d).product();
    let (rows, cols): (usize, usize) = (points(false), points(true));
    let trailing = reduced.iter().skip_while(|r| !**r).all(|r| *r);
    !is_long(rows, cols) && (trailing || rows >= 64 || cols <= 16_384)
}
