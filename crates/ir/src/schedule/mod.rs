//! From a graph to a backend-neutral [`ir::Schedule`]: grouping, order and memory.

mod alike;
pub(crate) mod buffers;
pub mod cache;
mod checks;
mod coordinates;
pub mod cost;
mod emit;
mod form;
pub mod graph;
mod group;
mod in_place;
pub mod ir;
mod kernel;
mod memory;
mod operand;
pub(crate) mod options;
mod parts;
pub mod pieces;
mod precedence;
mod print;
pub mod recent;
mod repeat;
pub mod transform;
mod views;

pub use options::Options;

use smallvec::smallvec;

use alike::Grouped;
use graph::{Builder, Graph, Node, NodeId};
use ir::{BufId, BufferSpec, Launch, Place, Schedule, Title};
use memory::TEMPORARY;
use pieces::Pieces;

use crate::{
    error::{Error, ErrorKind, Result},
    fragment::Fragment,
    map::{Map, Set},
    op::{Op, primitive::Primitive},
    passes,
    program::Program,
    shape::{Type, count},
};

/// Groups a program into launches, orders them and lays out memory.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a graph that cannot be grouped, which no graph built of tensors should be.
pub fn build(program: &Program, options: &Options) -> Result<Schedule> {
    build_of(program, options, &mut Pieces::default())
}

/// The same, of pieces that were grouped before where there are some.
///
/// # Errors
/// As [`build`].
pub fn build_of(program: &Program, options: &Options, pieces: &mut Pieces) -> Result<Schedule> {
    let keep = |op: &Primitive, inputs: &[Type]| !options.composed && op.pays(inputs);
    let mut graph = passes::compose::compose(Builder::program(program), keep);
    graph = passes::autocast::autocast(graph);
    graph = passes::split::split(graph);
    graph = passes::join::join(graph, options.max_buffers);
    graph = passes::store::store(graph, options);
    graph = graph.swept();
    graph = give_parts_their_own_nodes(graph);
    take_views_for_what_they_show(&mut graph);
    give_outputs_their_own_nodes(&mut graph, program);
    // Every round copies at least one more output at the end, so this ends.
    let mut copied = Copied::default();
    loop {
        let found = lower(&graph, program, options, pieces, &copied.copies);
        let aside = match &found {
            Some(schedule) => in_place::unproved(schedule, program),
            // Kernels need each other: something must read an old value after the new one exists.
            None => (0..program.outputs.len()).filter(|i| program.outputs[*i].target.is_some()).collect(),
        };
        let any = aside.into_iter().map(|output| copied.add(&mut graph, output)).fold(false, |a, b| a | b);
        if let (Some(schedule), false) = (&found, any) {
            print::debug(&graph, schedule);
        }
        match found {
            Some(schedule) if !any => return Ok(schedule),
            None if !any => {
                log::error!("a graph that cannot be grouped:\n{}", print::graph_text(&graph));
                let problem = "this graph cannot be grouped, which is a fault of Thalweg's; the log has the graph";
                return Err(Error::new("schedule", ErrorKind::Invalid(problem.into())));
            }
            _ => {}
        }
    }
}

/// Outputs that are computed in memory of their own, and copied when all else is done.
#[derive(Default)]
struct Copied {
    outputs: Set<usize>,
    /// The nodes that copy, which belong to no other kernel.
    copies: Set<NodeId>,
}

impl Copied {
    /// Has one more output copied; false if it is already.
    fn add(&mut self, graph: &mut Graph, output: usize) -> bool {
        if !self.outputs.insert(output) {
            return false;
        }
        let id = graph.outputs[output];
        let copy = copy_of(&graph.nodes[id], id);
        graph.nodes.push(copy);
        graph.outputs[output] = graph.nodes.len() - 1;
        self.copies.insert(graph.nodes.len() - 1);
        true
    }
}

fn copy_of(node: &Node, id: NodeId) -> Node {
    // A slice of everything: unlike a reshape it is never taken for the buffer it copies.
    let rank = node.shape.len();
    let op = Op::Slice { start: vec![0; rank], step: vec![1; rank] };
    Node { op, inputs: smallvec![id], slot: None, ..node.clone() }
}

/// Every part of a pack becomes a node that nothing else wants in a place of its own.
fn give_parts_their_own_nodes(graph: Graph) -> Graph {
    let mut placed: Set<NodeId> = Set::default();
    let outputs: Set<NodeId> = graph.outputs.iter().map(|o| buffers::pack_source(&graph, *o)).collect();
    let taken: Vec<bool> = (0..graph.nodes.len()).map(|id| outputs.contains(&id)).collect();
    // Old ids of the nodes in question, found again after renumbering by walking both graphs in step.
    let mut copies: Set<(NodeId, usize)> = Set::default();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Op::Pack(_) = node.op {
            for (part, input) in node.inputs.iter().enumerate() {
                let source = buffers::pack_source(&graph, *input);
                let computes = !matches!(graph.nodes[source].op, Op::Leaf | Op::Pack(_) | Op::Scalar(_) | Op::Iota(_));
                if taken[source] || !computes || !placed.insert(source) || graph.nodes[source].dtype != node.dtype {
                    copies.insert((id, part));
                }
            }
        }
    }
    if copies.is_empty() {
        return graph;
    }
    let pack_ids: Vec<NodeId> =
        (0..graph.nodes.len()).filter(|id| matches!(graph.nodes[*id].op, Op::Pack(_))).collect();
    let mut next = 0;
    graph.rewrite(|builder, mut node| {
        if let Op::Pack(_) = node.op {
            // Nothing is dead here, so packs come in the same order.
            let old = pack_ids[next.min(pack_ids.len() - 1)];
            next += 1;
            for part in 0..node.inputs.len() {
                if copies.contains(&(old, part)) {
                    let input = node.inputs[part];
                    let copy = copy_of(&builder.graph.nodes[input], input);
                    node.inputs[part] = builder.push(copy);
                }
            }
        }
        builder.add(node)
    })
}

/// An output that is a primitive's result in another shape is that result: a kernel of its own writes it, and nothing else can be
/// computed there.
fn take_views_for_what_they_show(graph: &mut Graph) {
    for i in 0..graph.outputs.len() {
        let source = buffers::pack_source(graph, graph.outputs[i]);
        if let Op::Part(..) = graph.nodes[source].op {
            graph.outputs[i] = source;
        }
    }
}

/// Outputs that are leaves with a target or of a variable, or that two outputs share, get a copy.
fn give_outputs_their_own_nodes(graph: &mut Graph, program: &Program) {
    let mut seen: Set<NodeId> = Set::default();
    for (i, output) in program.outputs.iter().enumerate() {
        let id = graph.outputs[i];
        let is_leaf = graph.nodes[id].op == Op::Leaf;
        let lasting = |slot: usize| output.target.is_none() && !program.leaves[slot].variable;
        if (is_leaf && !graph.nodes[id].slot.is_some_and(lasting)) || (!is_leaf && !seen.insert(id)) {
            let copy = copy_of(&graph.nodes[id], id);
            graph.nodes.push(copy);
            graph.outputs[i] = graph.nodes.len() - 1;
        }
    }
}

/// For each output with a target: the leaves whose memory it overwrites.
fn overwrites(graph: &Graph, program: &Program) -> buffers::Overwrites {
    let leaf_nodes: Map<usize, NodeId> = graph
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(id, n)| n.slot.filter(|_| n.op == Op::Leaf).map(|slot| (slot, id)))
        .collect();
    let mut found = Vec::new();
    for (i, output) in program.outputs.iter().enumerate() {
        let Some(target) = &output.target else { continue };
        let overlapping = program.leaves.iter().enumerate().filter(|(_, leaf)| leaf.footprint.overlaps(target));
        let leaves: Vec<NodeId> = overlapping.filter_map(|(slot, _)| leaf_nodes.get(&slot).copied()).collect();
        if !leaves.is_empty() {
            found.push((graph.outputs[i], leaves));
        }
    }
    found
}

fn lower(
    graph: &Graph,
    program: &Program,
    options: &Options,
    pieces: &mut Pieces,
    copies: &Set<NodeId>,
) -> Option<Schedule> {
    let overwrites = overwrites(graph, program);
    let launch = |Grouped { work, members }: Grouped| {
        let sources = by_weight(graph, &members).map(|id| graph.nodes[id].source).collect();
        Launch { work, title: title(graph, &members), members: sources }
    };
    let launches = pieces.group(graph, &overwrites, options, copies)?.into_iter().map(launch).collect();
    let mut launches = checks::first(graph, launches, &overwrites);
    checks::name(graph, &mut launches);
    let mut buffers = Buffers { graph, specs: Vec::new(), of: Map::default() };
    for (i, output) in graph.outputs.iter().enumerate() {
        if graph.nodes[*output].op != Op::Leaf {
            buffers.place(*output, Place::Output(i));
        }
    }
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Op::Pack(offsets) = &node.op {
            let of = match buffers.of.get(&id) {
                Some(of) => *of,
                None => buffers.place(id, Place::Zeroed),
            };
            for (input, offset) in node.inputs.iter().zip(offsets) {
                buffers.place(buffers::pack_source(graph, *input), Place::Window { of, offset: *offset });
            }
        }
    }
    for launch in &mut launches {
        launch.work.buffers.iter_mut().for_each(|id| *id = buffers.of(*id));
    }
    let outputs = graph.outputs.iter().map(|id| buffers.of(*id)).collect();
    let mut specs = buffers.specs;
    let launches = with_steps(launches, &mut specs, options)?;
    let temporary: Vec<bool> = specs.iter().map(|b| b.place == TEMPORARY).collect();
    let slots = memory::plan(&mut specs, &launches, |b| temporary[b]);
    Some(Schedule { buffers: specs, launches, slots, outputs, scalars: program.scalars.len() })
}

/// The launches with the steps of scans in them.
fn with_steps(launches: Vec<Launch>, specs: &mut Vec<BufferSpec>, options: &Options) -> Option<Vec<Launch>> {
    let mut all = Vec::with_capacity(launches.len());
    for launch in launches {
        match launch.work.whole() {
            Some(whole) if let Primitive::Scan(scan) = &whole.op.clone() => {
                let step: &Fragment = scan.step.program()?;
                let body = build(&step.program(&repeat::wanted(scan, &whole)), options).ok()?;
                let name = (&launch.title, &launch.members[..]);
                all.extend(repeat::launches(scan, whole, name, body, specs, options.laid_out));
            }
            _ => all.push(launch),
        }
    }
    Some(all)
}

/// Virtual buffers, by the node they hold.
struct Buffers<'g> {
    graph: &'g Graph,
    specs: Vec<BufferSpec>,
    of: Map<NodeId, BufId>,
}

impl Buffers<'_> {
    fn place(&mut self, id: NodeId, place: Place) -> BufId {
        let node = &self.graph.nodes[id];
        self.specs.push(BufferSpec { dtype: node.dtype, len: count(&node.shape), place });
        self.of.insert(id, self.specs.len() - 1);
        self.specs.len() - 1
    }

    fn of(&mut self, id: NodeId) -> BufId {
        if let Some(known) = self.of.get(&id) {
            return *known;
        }
        let node = &self.graph.nodes[id];
        match (&node.op, node.slot) {
            (Op::Leaf, Some(slot)) => self.place(id, Place::Leaf(slot)),
            // A host scalar has a slot too, its place among the scalars; where it is wanted in a buffer, a launch writes it there.
            _ => self.place(id, TEMPORARY),
        }
    }
}

/// The members of a launch, first the one that it is known by: its contraction, or else the one that all others lead to.
fn by_weight(graph: &Graph, members: &[NodeId]) -> impl Iterator<Item = NodeId> {
    let main = members.iter().position(|id| graph.nodes[*id].op.is_contraction()).unwrap_or(members.len() - 1);
    let others = members.iter().enumerate().filter(move |(i, _)| *i != main).map(|(_, id)| *id);
    std::iter::once(members[main]).chain(others)
}

/// The ops of a launch, and path and position of the last.
fn title(graph: &Graph, members: &[NodeId]) -> Title {
    let label = |id: &NodeId| &graph.nodes[*id].label;
    let last = members.len() - 1;
    Title::new(members[..last].iter().map(label), label(&members[last]))
}
