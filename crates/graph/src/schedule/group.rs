//! Which nodes are computed together.
//!
//! Each materialised node starts as a kernel of its own; then, in topological order, kernels join those they read from when
//! both run over the same points and no third kernel stands between them. Whether two fit is tried by emitting their code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    Options,
    buffers::{Overwrites, Planner},
    graph::{Graph, NodeId},
    kernel::{Domain, Kernel, without_ones},
};
use crate::passes::split::is_long;

/// The result of grouping: kernels in topological order, and what each reads.
pub struct Groups {
    pub kernels: Vec<Kernel>,
    /// Which nodes have a buffer.
    pub materialised: Vec<bool>,
    /// The nodes whose value a kernel must store.
    pub stored: Vec<bool>,
}

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
            Ok(reads) => return merge(&plan, reads),
        }
    }
}

/// Joins kernels.
fn merge(plan: &Planner, reads: Vec<BTreeSet<NodeId>>) -> Option<Groups> {
    let n = plan.graph.nodes.len();
    // A node that overwrites a leaf comes after everything that reads the leaf.
    let mut after: Vec<BTreeSet<NodeId>> = reads.clone();
    for (writer, leaves) in plan.overwrites {
        for id in 0..n {
            if id != *writer && plan.materialised[id] && leaves.iter().any(|l| reads[id].contains(l)) {
                after[*writer].insert(id);
            }
        }
    }
    let again: Vec<BTreeSet<NodeId>> = (0..n).map(|id| plan.read_again(id)).collect();
    let mut merger = Merger { planner: plan, after, kernel_of: vec![usize::MAX; n], kernels: BTreeMap::new() };
    for id in 0..n {
        if !plan.materialised[id] {
            continue;
        }
        merger.kernel_of[id] = id;
        merger.kernels.insert(id, Kernel::of(plan.graph, id));
        for read in reads[id].iter().rev() {
            // Computed in one with what it is computed from, it would be kept from then on.
            if plan.materialised[*read] && !again[id].contains(read) {
                merger.try_join(merger.kernel_of[*read], merger.kernel_of[id]);
            }
        }
    }
    merger.join_siblings(&reads, &again);
    let order = merger.order()?;
    let kernels: Vec<Kernel> = order.into_iter().filter_map(|k| merger.kernels.remove(&k)).collect();
    let mut stored = plan.wanted_outside.clone();
    for (id, reads) in reads.iter().enumerate() {
        for read in reads.iter().filter(|r| plan.materialised[**r]) {
            let own = merger.kernel_of.get(id).copied().unwrap_or(usize::MAX);
            stored[*read] |= own == usize::MAX || merger.kernel_of[*read] != own;
        }
    }
    Some(Groups { kernels, materialised: plan.materialised.clone(), stored })
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
        let (reads, writes) = (launch.reads(), launch.writes());
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
        let elementwise = |id: NodeId| !graph.nodes[id].op.is_heavy();
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
