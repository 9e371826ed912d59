//! Launches that look at positions which are data come first, so that one outside is found before anything is written in place.

use super::{
    buffers::{Overwrites, pack_source},
    graph::{Graph, NodeId},
    ir::Launch,
};
use crate::{
    map::{Map, Set},
    op::Op,
};

/// Moves the launches that check positions, and those that these wait for, in front of all others; each part keeps its order.
/// Buffers are node ids here.
///
/// A launch waits for those that compute what it reads, and for those that read what it writes over.
pub fn first(graph: &Graph, launches: Vec<Launch>, overwrites: &Overwrites) -> Vec<Launch> {
    if !launches.iter().any(|launch| launch.work.looks()) {
        return launches;
    }
    // Parts of a pack are written, and the pack is read.
    let parts = |id: NodeId| -> Vec<NodeId> {
        match &graph.nodes[id].op {
            Op::Pack(_) => graph.nodes[id].inputs.iter().map(|part| pack_source(graph, *part)).chain([id]).collect(),
            _ => vec![id],
        }
    };
    let mut leaves_of: Map<NodeId, Vec<NodeId>> = Map::default();
    for (writer, leaves) in overwrites {
        for part in parts(*writer) {
            leaves_of.entry(part).or_default().extend(leaves);
        }
    }
    let (mut wanted, mut overwritten): (Set<NodeId>, Set<NodeId>) = Default::default();
    let mut early = vec![false; launches.len()];
    for (i, launch) in launches.iter().enumerate().rev() {
        let work = &launch.work;
        early[i] = work.looks()
            || work.writes().any(|id| wanted.contains(&id))
            || work.reads().any(|id| overwritten.contains(&id));
        if early[i] {
            wanted.extend(work.reads().flat_map(parts));
            overwritten.extend(work.writes().filter_map(|id| leaves_of.get(&id)).flatten());
        }
    }
    let (first, rest): (Vec<_>, Vec<_>) = launches.into_iter().zip(early).partition(|(_, early)| *early);
    first.into_iter().chain(rest).map(|(launch, _)| launch).collect()
}

/// Gives each check the label of its node, and the node of the program that it comes from.
pub fn name(graph: &Graph, launches: &mut [Launch]) {
    for check in launches.iter_mut().flat_map(|launch| launch.work.checks_mut()) {
        let node = &graph.nodes[check.node];
        (check.label, check.node) = (node.label.clone(), node.source);
    }
}
