//! Graphs that differ in extents alone, grouped alike.
//!
//! A batch of another size makes another graph of the same nodes. What takes most of the time of grouping it is trying what fits into
//! one kernel, and that is nearly always what did before. So a graph is known by all that decides about its groups but for the extents
//! themselves; of the next one that is known, each kernel is written once, which proves that it can be. What was tried in vain is tried
//! again: that this is still in vain proves that no better groups are missed.
//!
//! ```text
//! one graph     write a, b, c, ab, abc; fail at abcd     kernels abc, d
//! one like it   write abc, d;           fail at abcd
//! ```

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use super::{
    buffers::{self, Overwrites},
    emit::Trouble,
    graph::{Graph, NodeId},
    group::{self, Groups},
    ir::{LaunchKind, Work},
    kernel::{Domain, Kernel, emit_kernel},
    options::Options,
    recent::Recent,
};
use crate::{
    key::Key,
    map::{Map, Set},
    op::Op,
};

/// Nodes of all graphs that are remembered, and of what was tried in vain for them.
const NODES: usize = 1 << 14;

/// A launch over nodes, and the nodes it computes.
#[derive(Clone, Debug)]
pub struct Grouped {
    /// What to do; buffers are node ids.
    pub work: Work,
    /// Ascending.
    pub members: Vec<NodeId>,
}

/// How the last graphs were grouped.
pub struct Alike {
    known: Recent<Outline>,
    repeated: u64,
}

impl Default for Alike {
    fn default() -> Self {
        Alike { known: Recent::new(usize::MAX, NODES), repeated: 0 }
    }
}

impl Alike {
    /// How many graphs were grouped as one before was.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The launches of a graph in order; `None` if it cannot be grouped.
    pub fn group(
        &mut self,
        graph: &Graph,
        overwrites: &Overwrites,
        options: &Options,
        copies: &Set<NodeId>,
    ) -> Option<Vec<Grouped>> {
        let key = key(graph, overwrites, options, copies);
        if let Some(launches) = self.known.get(&key).and_then(|outline| outline.launches(graph)) {
            self.repeated += 1;
            return Some(launches);
        }
        let groups = group::group(graph, overwrites, options, copies)?;
        if let Some(outline) = Outline::of(graph, &groups) {
            let weight = graph.nodes.len() + outline.tried();
            self.known.insert(key, outline, weight);
        }
        launches(graph, groups)
    }
}

/// The launch of a node that is computed from leaves at once; `None` if there is none.
pub fn alone(graph: &Graph, id: NodeId) -> Option<Grouped> {
    let kind = emit(graph, &Kernel::of(graph, id), &vec![false; graph.nodes.len()], &|_| true).ok()?;
    Some(Grouped { work: Work::new(kind), members: vec![id] })
}

/// All that decides about the groups of a graph but for what fits into one kernel. Of its extents that is which of them are equal, and
/// which are 0 or 1; whatever compares them with something else says here what comes of it.
fn key(graph: &Graph, overwrites: &Overwrites, options: &Options, copies: &Set<NodeId>) -> Vec<u64> {
    let mut key = Key::with_capacity(16 * graph.nodes.len());
    let mut names: Map<usize, usize> = Map::from_iter([(0, 0), (1, 1)]);
    for (id, node) in graph.nodes.iter().enumerate() {
        node.hash_but_shape(&mut key);
        key.write_usize(node.shape.len());
        for extent in &node.shape {
            let next = names.len();
            key.write_usize(*names.entry(*extent).or_insert(next));
        }
        key.write_usize(buffers::bindings(node, options));
        if let Op::Reduce(..) = node.op
            && let Domain::Points { dims, reduced } = Kernel::of(graph, id).domain
        {
            group::may_store_all(&dims, &reduced).hash(&mut key);
        }
    }
    (&graph.outputs, overwrites, copies.iter().collect::<BTreeSet<_>>()).hash(&mut key);
    key.words
}

fn launches(graph: &Graph, groups: Groups) -> Option<Vec<Grouped>> {
    let materialised = &groups.rounds.last()?.materialised;
    let stores = |id: NodeId| groups.stored[id];
    let launch = |(kernel, launch): (Kernel, Option<LaunchKind>)| {
        // What was thought to be stored may turn out to be read in the kernel alone.
        let wanted = || kernel.members.iter().copied().filter(|id| stores(*id));
        let is_wanted = |launch: &LaunchKind| {
            let writes = launch.writes();
            writes.len() == wanted().count() && wanted().all(|id| writes.contains(&id))
        };
        let kind = match launch.filter(is_wanted) {
            Some(launch) => launch,
            None => emit(graph, &kernel, materialised, &stores).ok()?,
        };
        Some(Grouped { work: Work::new(kind), members: kernel.members })
    };
    groups.kernels.into_iter().zip(groups.launches).map(launch).collect()
}

fn emit(
    graph: &Graph,
    kernel: &Kernel,
    materialised: &[bool],
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    let in_buffer = |id: NodeId| materialised[id] || matches!(graph.nodes[id].op, Op::Leaf | Op::Pack(_));
    emit_kernel(graph, kernel, &in_buffer, stores)
}

/// The groups of a graph, whatever its extents.
struct Outline {
    /// In order.
    kernels: Vec<Pattern>,
    stored: Vec<bool>,
    rounds: Vec<Tried>,
}

/// A kernel, whatever the extents.
struct Pattern {
    members: Vec<NodeId>,
    /// The member over whose points it runs.
    over: NodeId,
}

/// What was tried in vain while these nodes had buffers.
struct Tried {
    materialised: Vec<bool>,
    /// With the members to be stored, and what was in the way.
    refused: Vec<(Pattern, Vec<NodeId>, Trouble)>,
}

impl Outline {
    fn of(graph: &Graph, groups: &Groups) -> Option<Outline> {
        let kernels = groups.kernels.iter().map(|kernel| Pattern::of(graph, kernel)).collect::<Option<_>>()?;
        let mut rounds = Vec::new();
        for round in &groups.rounds {
            let refused = round.refusals.iter().map(|refusal| {
                Some((Pattern::of(graph, &refusal.kernel)?, refusal.stored.clone(), refusal.trouble.clone()))
            });
            rounds.push(Tried { materialised: round.materialised.clone(), refused: refused.collect::<Option<_>>()? });
        }
        Some(Outline { kernels, stored: groups.stored.clone(), rounds })
    }

    /// The launches of a graph with the same key; `None` where other groups may come out.
    fn launches(&self, graph: &Graph) -> Option<Vec<Grouped>> {
        for Tried { materialised, refused } in &self.rounds {
            for (pattern, stored, trouble) in refused {
                let outcome = emit(graph, &pattern.kernel(graph), materialised, &|id| stored.contains(&id));
                outcome.err().filter(|now| now == trouble)?;
            }
        }
        let materialised = &self.rounds.last()?.materialised;
        let launch = |pattern: &Pattern| {
            let kind = emit(graph, &pattern.kernel(graph), materialised, &|id| self.stored[id]).ok()?;
            Some(Grouped { work: Work::new(kind), members: pattern.members.clone() })
        };
        self.kernels.iter().map(launch).collect()
    }

    /// Members of all that was tried in vain.
    fn tried(&self) -> usize {
        self.rounds.iter().flat_map(|round| &round.refused).map(|(pattern, ..)| pattern.members.len()).sum()
    }
}

impl Pattern {
    fn of(graph: &Graph, kernel: &Kernel) -> Option<Pattern> {
        let over = kernel.members.iter().copied().find(|id| Kernel::of(graph, *id).domain == kernel.domain)?;
        Some(Pattern { members: kernel.members.clone(), over })
    }

    fn kernel(&self, graph: &Graph) -> Kernel {
        Kernel { members: self.members.clone(), domain: Kernel::of(graph, self.over).domain }
    }
}
