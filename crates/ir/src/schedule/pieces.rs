//! Long graphs, grouped piece by piece.
//!
//! A loop that is written in Rust makes a graph that says the same thing many times: once for each frame of an episode, once for
//! each step of a recurrent net, and next time so many times more. A long graph is cut where only what stands near by decides, so
//! that equal parts are cut alike wherever they stand; what has been grouped once is put in its place from then on.
//!
//! ```text
//! graph    a b c d │ e f g │ e f g │ e f g │ h i     cut by what is computed, not by how many nodes stand before
//! grouped  a b c d   e f g                   h i     a piece by itself: what it reads from others are leaves
//! placed   a b c d   e f g   e f g   e f g   h i     with the nodes that it stands for
//! ```

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use super::{
    alike::{Alike, Grouped, alone},
    buffers::{self, Overwrites},
    graph::{Graph, Node, NodeId},
    options::Options,
    recent::Recent,
};
use crate::{
    key::Key,
    map::{Fold, Map, Set},
    op::Op,
    program::Inputs,
};

/// Computed nodes of a piece, at least and at most.
const SHORTEST: usize = 16;
const LONGEST: usize = 64;
/// Slices of one node from which each is computed by itself: it is elsewhere in every turn of a loop, which is alike otherwise.
const SLICED: usize = 8;
/// Views in a row from which one is computed: taking them along follows them.
const VIEWS: usize = 32;

/// Nodes of all pieces that are remembered.
const NODES: usize = 1 << 13;

/// The graphs and pieces that were grouped last.
pub struct Pieces {
    known: Recent<Vec<Grouped>>,
    alike: Alike,
    grouped: u64,
    /// Nodes of the largest graph that is grouped as a whole.
    longest: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        let known = Recent::new(usize::MAX, NODES);
        Pieces { known, alike: Alike::default(), grouped: 0, longest: usize::MAX }
    }
}

impl Pieces {
    /// Graphs of more nodes are cut from now on.
    pub fn cut_longer_than(&mut self, nodes: usize) {
        self.longest = nodes;
    }

    /// Whether a graph of so many nodes is cut.
    pub fn cuts(&self, nodes: usize) -> bool {
        nodes > self.longest
    }

    /// Nodes of those that were grouped so far.
    pub fn grouped(&self) -> u64 {
        self.grouped
    }

    /// How many graphs and pieces were grouped as one before was that differs in extents alone.
    pub fn repeated(&self) -> u64 {
        self.alike.repeated()
    }

    /// The launches of a graph in order; `None` if it cannot be grouped.
    pub fn group(
        &mut self,
        graph: &Graph,
        overwrites: &Overwrites,
        options: &Options,
        copies: &Set<NodeId>,
    ) -> Option<Vec<Grouped>> {
        // What is computed a second time is not to be kept, and what crosses a cut is.
        let saves_memory = graph.nodes.iter().any(|node| matches!(node.op, Op::Again(_)));
        if !self.cuts(graph.nodes.len()) || saves_memory {
            return self.alike.group(graph, overwrites, options, copies);
        }
        let mut launches = Vec::new();
        for piece in cut(graph) {
            let (overwrites, copies) = (piece.overwrites(overwrites), piece.copies(copies));
            if piece.is_slice
                && let Some(launch) = alone(&piece.graph, piece.graph.nodes.len() - 1)
            {
                launches.push(piece.place(&launch));
                continue;
            }
            let Graph { nodes, outputs } = &piece.graph;
            let mut key = Key::with_capacity(16 * nodes.len());
            (nodes, outputs, &overwrites, copies.iter().collect::<BTreeSet<_>>()).hash(&mut key);
            if let Some(known) = self.known.get(&key.words) {
                launches.extend(known.iter().map(|launch| piece.place(launch)));
                continue;
            }
            let grouped = self.alike.group(&piece.graph, &overwrites, options, &copies)?;
            launches.extend(grouped.iter().map(|launch| piece.place(launch)));
            self.grouped += nodes.len() as u64;
            self.known.insert(key.words, grouped, nodes.len());
        }
        Some(launches)
    }
}

/// The pieces of a graph, each behind those it reads from.
fn cut(graph: &Graph) -> Vec<Piece<'_>> {
    let owned = owned(graph);
    let ends = ends(graph, &owned);
    let mut home: Map<NodeId, usize> = Map::default();
    let mut start = 0;
    for (number, end) in ends.iter().enumerate() {
        home.extend(owned[start..*end].iter().map(|id| (*id, number)));
        start = *end;
    }
    let slices = slices(graph, &home);
    let mut placed: Set<NodeId> = Set::default();
    let mut pieces: Vec<Piece> = Vec::new();
    start = 0;
    for (number, end) in ends.iter().enumerate() {
        let here = |id: NodeId| home.get(&id) == Some(&number);
        let apart = |id: NodeId| match slices.get(&id) {
            Some(source) => !here(*source),
            None => home.contains_key(&id) && !here(id),
        };
        let piece = Piece::of(graph, &owned[start..*end], &apart);
        for slice in piece.taken.iter().filter(|id| slices.contains_key(id)) {
            if placed.insert(*slice) {
                let slice = Piece::of(graph, &[*slice], &|id| home.contains_key(&id));
                pieces.push(Piece { is_slice: true, ..slice });
            }
        }
        pieces.push(piece);
        start = *end;
    }
    let wanted: Set<NodeId> = pieces.iter().flat_map(|piece| &piece.taken).chain(&graph.outputs).copied().collect();
    for Piece { own, graph, local, .. } in &mut pieces {
        graph.outputs.extend(own.iter().filter(|id| wanted.contains(id)).map(|id| local[id]));
    }
    pieces
}

/// The nodes that belong to one piece each. Whoever reads one of the others has it for itself, as in a graph that is not cut: views,
/// numbers and positions, and what [`repeats`].
fn owned(graph: &Graph) -> Vec<NodeId> {
    let outputs: Set<NodeId> = graph.outputs.iter().copied().collect();
    let repeats = repeats(graph);
    let mut views = vec![0; graph.nodes.len()];
    let mut owned = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if node.op.is_view() {
            views[id] = views[node.inputs[0]] + 1;
        }
        let everywhere = matches!(node.op, Op::Scalar(_) | Op::Iota(_)) || node.op.is_view() || repeats[id];
        if node.op != Op::Leaf && (!everywhere || views[id] > VIEWS || outputs.contains(&id)) {
            views[id] = 0;
            owned.push(id);
        }
    }
    owned
}

/// Which elementwise nodes are computed again for each kernel that reads them: what has no buffer in a graph that is not cut, and is
/// little work. What stands near decides alone, so that a long sum is cut alike wherever in it a piece ends.
fn repeats(graph: &Graph) -> Vec<bool> {
    let n = graph.nodes.len();
    let users = graph.users();
    let (mut stored, mut repeats) = (vec![false; n], vec![false; n]);
    // What inlining a node takes, and whether it could be computed with a reduction or contraction.
    let (mut work, mut heavy) = (vec![0usize; n], vec![false; n]);
    for (id, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Leaf | Op::Scalar(_) | Op::Iota(_)) {
            continue;
        }
        let is_view = node.op.is_view() || graph.widens(id);
        let below = node.inputs.iter().fold(0usize, |sum, i| sum.saturating_add(work[*i]));
        work[id] = match node.op.is_cheap() {
            _ if is_view => below,
            true => below.saturating_add(1),
            false => usize::MAX,
        };
        heavy[id] = node.inputs.iter().any(|i| if stored[*i] { graph.nodes[*i].op.is_heavy() } else { heavy[*i] });
        let (fan, repeated) = buffers::fan(graph, &users, id);
        let is_shared = !is_view && (fan > 1 || repeated);
        stored[id] = node.op.is_heavy() || (is_shared && (heavy[id] || work[id] > buffers::MAX_AGAIN));
        repeats[id] = !stored[id] && work[id] <= buffers::MAX_AGAIN;
        if stored[id] {
            work[id] = 0;
        }
    }
    repeats
}

/// Where pieces end: around what joins many, and else in front of a contraction if possible, whose operands are in buffers anyway. Of the
/// places where one may end, it is the one with the least hash of what stands around it: in a loop that is the same place in every turn.
fn ends(graph: &Graph, owned: &[NodeId]) -> Vec<usize> {
    let hash = |of: &dyn Fn(&mut Fold)| {
        let mut hasher = Fold::default();
        of(&mut hasher);
        hasher.finish()
    };
    let kinds: Vec<u64> = owned
        .iter()
        .map(|id| {
            let node = &graph.nodes[*id];
            hash(&|hasher| (node.op.name(), &node.shape, node.dtype).hash(hasher))
        })
        .collect();
    let around = |at: usize| hash(&|hasher| kinds[at - 2..=at].hash(hasher));
    // What is computed at once is not torn apart.
    let may_end = |at: &usize| !graph.nodes[owned[*at]].is_sibling(&graph.nodes[owned[*at - 1]]);
    // Alone, it is the same wherever it stands and however many there are.
    let joins_many = |at: usize| {
        let Node { op, inputs, .. } = &graph.nodes[owned[at]];
        matches!(op, Op::Concat(_)) && inputs.len() >= SHORTEST
    };
    let must_end = |at: &usize| joins_many(*at) || joins_many(*at - 1);
    let (mut ends, mut start) = (Vec::new(), 0);
    for end in (1..owned.len()).filter(must_end).chain([owned.len()]) {
        while end - start > LONGEST {
            let places = (start + SHORTEST..start + LONGEST).filter(may_end);
            let first = |at: &usize| (!graph.nodes[owned[*at]].op.is_contraction(), around(*at));
            start = places.min_by_key(first).unwrap_or(start + LONGEST);
            ends.push(start);
        }
        ends.push(end);
        start = end;
    }
    ends
}

/// The slices of nodes that are sliced many times, and what each is of: a node that belongs to a piece, or a leaf.
fn slices(graph: &Graph, home: &Map<NodeId, usize>) -> Map<NodeId, NodeId> {
    let source = |id: NodeId| {
        let mut at = graph.nodes[id].inputs[0];
        while graph.nodes[at].op.is_view() && !home.contains_key(&at) {
            at = graph.nodes[at].inputs[0];
        }
        at
    };
    let is_slice = |id: &NodeId| matches!(graph.nodes[*id].op, Op::Slice { .. }) && !home.contains_key(id);
    let all: Map<NodeId, NodeId> = (0..graph.nodes.len()).filter(is_slice).map(|id| (id, source(id))).collect();
    let mut times: Map<NodeId, usize> = Map::default();
    all.values().for_each(|source| *times.entry(*source).or_default() += 1);
    all.into_iter().filter(|(_, source)| times[source] >= SLICED).collect()
}

/// A part of a graph as a graph of its own.
struct Piece<'g> {
    whole: &'g Graph,
    /// The nodes that belong to it, ascending.
    own: Vec<NodeId>,
    /// These and what they read. What others take from it are its outputs.
    graph: Graph,
    /// For each of its nodes the one in the whole graph.
    ids: Vec<NodeId>,
    /// The other way round.
    local: Map<NodeId, NodeId>,
    /// What it takes from other pieces.
    taken: Vec<NodeId>,
    /// How many leaves it has: what it takes, and those of the whole graph that it reads.
    leaves: usize,
    /// For each number that is bound, in order of appearance, its slot in the program.
    scalars: Vec<usize>,
    /// Numbers of second computations, in order of appearance.
    again: Map<u64, u64>,
    /// Whether it is one slice, which costs nothing to plan and is another every time.
    is_slice: bool,
}

impl<'g> Piece<'g> {
    /// Of the nodes that belong to it. What `apart` holds for is computed elsewhere.
    fn of(whole: &'g Graph, own: &[NodeId], apart: &dyn Fn(NodeId) -> bool) -> Piece<'g> {
        // With the views and leaves that it reads.
        let all = 4 * own.len();
        let mut piece = Piece {
            whole,
            own: own.to_vec(),
            graph: Graph { nodes: Vec::with_capacity(all), outputs: Vec::new() },
            ids: Vec::with_capacity(all),
            local: Map::with_capacity_and_hasher(all, Default::default()),
            taken: Vec::new(),
            leaves: 0,
            scalars: Vec::new(),
            again: Map::default(),
            is_slice: false,
        };
        for id in own {
            piece.add(*id, apart);
        }
        piece
    }

    /// A node of the graph in the piece.
    fn add(&mut self, id: NodeId, apart: &dyn Fn(NodeId) -> bool) -> NodeId {
        if let Some(known) = self.local.get(&id) {
            return *known;
        }
        let node = &self.whole.nodes[id];
        let elsewhere = apart(id);
        let (op, inputs, slot) = if elsewhere || node.op == Op::Leaf {
            self.leaves += 1;
            (Op::Leaf, Inputs::new(), Some(self.leaves - 1))
        } else {
            let inputs = node.inputs.iter().map(|input| self.add(*input, apart)).collect();
            let op = match &node.op {
                Op::Again(part) => {
                    let next = self.again.len() as u64;
                    Op::Again(*self.again.entry(*part).or_insert(next))
                }
                op => op.clone(),
            };
            let slot = node.slot.map(|slot| {
                self.scalars.push(slot);
                self.scalars.len() - 1
            });
            (op, inputs, slot)
        };
        let Node { dtype, compute, source, .. } = *node;
        let (shape, label) = (node.shape.clone(), node.label.clone());
        let node = Node { op, inputs, shape, dtype, compute, label, source, slot };
        if elsewhere {
            self.taken.push(id);
        }
        self.graph.nodes.push(node);
        self.ids.push(id);
        self.local.insert(id, self.ids.len() - 1);
        self.ids.len() - 1
    }

    /// What its nodes overwrite that it reads.
    fn overwrites(&self, all: &Overwrites) -> Overwrites {
        let local = |id: &NodeId| self.local.get(id).copied();
        let own = all.iter().filter(|(writer, _)| self.own.binary_search(writer).is_ok());
        own.filter_map(|(writer, leaves)| Some((local(writer)?, leaves.iter().filter_map(local).collect()))).collect()
    }

    fn copies(&self, all: &Set<NodeId>) -> Set<NodeId> {
        self.own.iter().filter(|id| all.contains(id)).map(|id| self.local[id]).collect()
    }

    /// A launch over its nodes, as one over the nodes of the whole graph.
    fn place(&self, launch: &Grouped) -> Grouped {
        let mut work = launch.work.moved(|id| self.ids[id], |slot| self.scalars[slot]);
        work.checks_mut().iter_mut().for_each(|check| check.node = self.ids[check.node]);
        Grouped { work, members: launch.members.iter().map(|id| self.ids[*id]).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DType,
        op::{binary::BinaryOp, unary::UnaryOp},
        program::Label,
    };

    /// A loop of so many turns, each of which reads a leaf of its own, the state before, and a slice of what they all read.
    fn unrolled(turns: usize) -> Graph {
        let mut graph = Graph::default();
        let mut push = |op: Op, inputs: &[NodeId], shape: &[usize]| {
            let label = Label::here("test");
            let slot = (op == Op::Leaf).then_some(0);
            graph.nodes.push(Node {
                op,
                inputs: inputs.into(),
                shape: shape.into(),
                dtype: DType::F32,
                compute: None,
                source: 0,
                label,
                slot,
            });
            graph.nodes.len() - 1
        };
        let all = push(Op::Leaf, &[], &[turns, 3]);
        let mut state = push(Op::Leaf, &[], &[1, 3]);
        for turn in 0..turns {
            let own = push(Op::Leaf, &[], &[1, 3]);
            let row = push(Op::Slice { start: vec![turn, 0], step: vec![1, 1] }, &[all], &[1, 3]);
            let now = push(Op::Binary(BinaryOp::Mul), &[own, row], &[1, 3]);
            let now = push(Op::Binary(BinaryOp::Add), &[now, state], &[1, 3]);
            let now = push(Op::Unary(UnaryOp::Tanh), &[now], &[1, 3]);
            let now = push(Op::Unary(UnaryOp::Exp), &[now], &[1, 3]);
            state = push(Op::Unary(UnaryOp::Sin), &[now], &[1, 3]);
        }
        graph.outputs = vec![state];
        graph
    }

    const OPTIONS: Options = Options { max_buffers: 16, max_binding_bytes: u64::MAX, composed: false, laid_out: false };

    #[test]
    fn every_node_is_computed_once_and_behind_what_it_reads() {
        let graph = unrolled(100);
        let mut computed: Set<NodeId> = Set::default();
        for piece in cut(&graph) {
            assert!(piece.taken.iter().all(|id| computed.contains(id)));
            assert!(piece.own.iter().all(|id| computed.insert(*id)));
        }
        let owned = owned(&graph);
        assert!(owned.len() > 200 && owned.iter().all(|id| computed.contains(id)));
    }

    #[test]
    fn a_longer_loop_is_made_of_the_same_pieces() {
        let mut pieces = Pieces::default();
        pieces.cut_longer_than(1000);
        let mut group = |turns: usize| {
            let before = pieces.grouped();
            let launches = pieces.group(&unrolled(turns), &Vec::new(), &OPTIONS, &Set::default());
            (launches.map(|l| l.len()), pieces.grouped() - before)
        };
        let (_, first) = group(200);
        let (_, longer) = group(333);
        assert!(first <= 200 && longer <= 128, "{first} nodes of 1400, then {longer}");
        assert_eq!(group(333).1, 0);
    }
}
