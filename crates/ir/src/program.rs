//! What a backend runs: a program, which is the same from run to run, and what a run binds to it.

use std::{
    any::Any,
    fmt,
    hash::{Hash, Hasher},
    panic::Location,
    sync::{Arc, OnceLock},
};

use smallvec::{SmallVec, smallvec};

use crate::{
    bits::Bits,
    dtype::{Class, DType},
    error::{Error, ErrorKind},
    key::Key,
    name::Name,
    op::Op,
    shape::{Extents, Type},
    storage::{Footprint, Layout, Region},
};

/// Part of a training step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What the caller computes, and evaluation.
    #[default]
    Forward,
    /// Gradients.
    Backward,
    /// What the optimizer makes of them.
    Update,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Forward => "forward",
            Phase::Backward => "backward",
            Phase::Update => "update",
        })
    }
}

/// Where a node comes from; text is made only where it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The op.
    pub op: &'static str,
    /// The method it is a part of, if that is made of several ops: `softmax`, `layer_norm`.
    pub composite: Option<&'static str>,
    /// The nearest parameter.
    pub path: Option<Arc<str>>,
    /// The caller's position; of a gradient where its forward was made, of an update that of the step.
    pub location: &'static Location<'static>,
    /// Which part of a training step it belongs to.
    pub phase: Phase,
}

impl Label {
    /// The method that was called.
    pub fn name(&self) -> &'static str {
        self.composite.unwrap_or(self.op)
    }

    /// The path of the layer that the nearest parameter belongs to.
    pub fn layer(&self) -> Option<&str> {
        let path = self.path.as_deref()?;
        Some(path.rsplit_once('.').map_or(path, |(layer, _)| layer))
    }

    /// Of what no tensor stands for.
    #[track_caller]
    pub fn here(op: &'static str) -> Label {
        Label { op, composite: None, path: None, location: Location::caller(), phase: Phase::Forward }
    }

    /// The error of what a device met there.
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::at(self.op, kind, self.location, self.path.clone().map(Name::from))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().map_or(String::new(), |p| format!("{p} "));
        write!(f, "{} {path}{}:{}", self.op, self.location.file(), self.location.line())
    }
}

/// Position of a node.
pub type NodeId = usize;

/// What a node reads; two lie in place.
pub type Inputs = SmallVec<[NodeId; 2]>;

/// A node of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The nodes it reads, which stand before it.
    pub inputs: Inputs,
    /// Its shape.
    pub shape: Extents,
    /// Its element type.
    pub dtype: DType,
    /// Of a contraction in f32: the 16-bit dtype that its operands are rounded to, if they are.
    pub compute: Option<DType>,
    /// Where it comes from.
    pub label: Label,
    /// Of a node of a pass: the node of the program that it stands for, or helps to.
    pub source: NodeId,
    /// Of a leaf, or of a number that is bound: which one of the program.
    pub slot: Option<usize>,
}

impl Node {
    /// Its shape and dtype.
    pub fn type_of(&self) -> Type {
        Type { shape: self.shape.to_vec(), dtype: self.dtype }
    }

    /// The same, whose inputs have these ids by now.
    pub(crate) fn renumbered(mut self, ids: &[NodeId]) -> Node {
        self.inputs.iter_mut().for_each(|input| *input = ids[*input]);
        self
    }

    /// Whether both have the same value: all that is hashed is equal.
    pub fn is_same(&self, other: &Node) -> bool {
        let same_op = || match (&self.op, &other.op) {
            (Op::Scalar(_), Op::Scalar(_)) if self.slot.is_some() => true,
            (a, b) => a == b,
        };
        (&self.inputs, &self.shape, self.dtype, self.rounds(), self.slot)
            == (&other.inputs, &other.shape, other.dtype, other.rounds(), other.slot)
            && same_op()
    }

    /// Hashes all that its value depends on but its shape: neither its label nor a number that is bound.
    pub(crate) fn hash_but_shape(&self, state: &mut impl Hasher) {
        static ANY_NUMBER: Op = Op::Scalar(Bits(f64::NAN));
        let op = match &self.op {
            Op::Scalar(_) if self.slot.is_some() => &ANY_NUMBER,
            op => op,
        };
        (op, &self.inputs, self.dtype, self.rounds(), self.slot).hash(state);
    }

    /// The dtype that a contraction rounds its operands to.
    fn rounds(&self) -> Option<DType> {
        self.compute.filter(|_| self.op.is_contraction())
    }

    /// Whether both are results of one computation.
    pub fn is_sibling(&self, other: &Node) -> bool {
        match (&self.op, &other.op) {
            (Op::Part(a, _), Op::Part(b, _)) => self.inputs == other.inputs && a == b,
            _ => false,
        }
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash_but_shape(state);
        self.shape.hash(state);
    }
}

/// A graph to run, and how the memory that it reads and writes overlaps. It is made by [`Draft::finish`], and nothing in it changes
/// from run to run.
#[derive(Debug)]
pub struct Program {
    /// The nodes, in topological order.
    pub nodes: Vec<Node>,
    /// Its leaves, by their slots.
    pub leaves: Vec<Leaf>,
    /// The `Op::Scalar` nodes whose numbers are bound, by their slots.
    pub scalars: Vec<NodeId>,
    /// What to produce.
    pub outputs: Vec<Output>,
    /// Whether this is a training step: its runs are counted among the steps in flight.
    pub step: bool,
    /// Everything that a plan depends on, encoded: two programs with equal keys share a plan.
    pub(crate) key: Vec<u64>,
    /// The plan that ran it, for when it runs again.
    pub(crate) plan: PlanSlot,
}

/// An `Op::Leaf` of a program.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Leaf {
    /// The node.
    pub node: NodeId,
    /// Where it lies.
    pub footprint: Footprint,
    /// Whether its memory is a variable's: it will be written, so no output may share it.
    pub variable: bool,
}

/// A value that a run must produce.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Output {
    /// The node.
    pub node: NodeId,
    /// Where to write it; without one the backend makes a region.
    pub target: Option<Footprint>,
}

/// What one run binds to a program.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// For each leaf its region.
    pub leaves: Vec<Region>,
    /// For each number that is bound its value.
    pub scalars: Vec<f64>,
    /// For each output its target, if it has one.
    pub targets: Vec<Option<Region>>,
}

impl Program {
    /// Nodes of which the first `leaves` are leaves that have memory of their own each, and whose results have no place. Nobody looks for
    /// its plan.
    pub(crate) fn alone(nodes: Vec<Node>, leaves: usize, outputs: Vec<NodeId>) -> Program {
        let leaf = |node: NodeId| {
            let of = nodes[node].type_of();
            let footprint = Footprint { storage: node, offset: 0, len: of.count(), dtype: of.dtype };
            // As of a variable, so that a result which is one is a copy.
            Leaf { node, footprint, variable: true }
        };
        let leaves = (0..leaves).map(leaf).collect();
        let outputs = outputs.into_iter().map(|node| Output { node, target: None }).collect();
        let (key, plan) = (Vec::new(), PlanSlot::default());
        Program { nodes, leaves, scalars: Vec::new(), outputs, step: false, key, plan }
    }

    /// Reads one region and writes it to another, element by element.
    pub fn copying(from: &Region, to: &Region) -> (Program, Bindings) {
        let label = Label::here("copy");
        let node = |op: Op, inputs: Inputs| {
            let (shape, dtype, label) = (smallvec![from.len], from.dtype, label.clone());
            Node { op, inputs, shape, dtype, compute: None, label, source: 0, slot: None }
        };
        let everything = Op::Slice { start: vec![0], step: vec![1] };
        Draft {
            nodes: vec![node(Op::Leaf, smallvec![]), node(everything, smallvec![0])],
            leaves: vec![(0, from.clone(), false)],
            outputs: vec![(1, Some(to.clone()))],
            ..Draft::default()
        }
        .finish()
    }

    /// The numbers of a run as 32 bits, as the dtypes of their nodes have them: f32 for floats.
    pub fn scalar_words<'a>(&'a self, bindings: &'a Bindings) -> impl Iterator<Item = u32> + 'a {
        self.scalars.iter().zip(&bindings.scalars).map(|(node, value)| scalar_bits(*value, self.nodes[*node].dtype))
    }

    /// Whether what a run binds overlaps as the program says, which its plan relies on.
    pub fn fits(&self, bindings: &Bindings) -> bool {
        let Bindings { leaves, scalars, targets } = bindings;
        let mut layout = Layout::default();
        (self.leaves.len(), self.scalars.len(), self.outputs.len()) == (leaves.len(), scalars.len(), targets.len())
            && self.leaves.iter().zip(leaves).all(|(leaf, region)| leaf.footprint == layout.footprint(region))
            && self
                .outputs
                .iter()
                .zip(targets)
                .all(|(o, target)| o.target == target.as_ref().map(|r| layout.footprint(r)))
    }

    /// A draft of it, to make another one of.
    pub fn draft(&self, bindings: &Bindings) -> Draft {
        let Bindings { leaves, scalars, targets } = bindings.clone();
        Draft {
            nodes: self.nodes.clone(),
            leaves: self.leaves.iter().zip(leaves).map(|(leaf, region)| (leaf.node, region, leaf.variable)).collect(),
            scalars: self.scalars.iter().copied().zip(scalars).collect(),
            outputs: self.outputs.iter().map(|o| o.node).zip(targets).collect(),
            step: self.step,
        }
    }
}

/// A program in the making, with what its first run binds.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The nodes, in topological order. Their slots are given out at the end.
    pub nodes: Vec<Node>,
    /// The `Op::Leaf` nodes, with their regions, and whether those are a variable's.
    pub leaves: Vec<(NodeId, Region, bool)>,
    /// The `Op::Scalar` nodes whose numbers are bound, with their numbers.
    pub scalars: Vec<(NodeId, f64)>,
    /// What to produce, and where to write it.
    pub outputs: Vec<(NodeId, Option<Region>)>,
    /// As in a [`Program`].
    pub step: bool,
}

impl Draft {
    /// The program, and what its first run binds.
    pub fn finish(self) -> (Program, Bindings) {
        let Draft { mut nodes, leaves, scalars, outputs, step } = self;
        nodes.iter_mut().enumerate().for_each(|(id, node)| (node.slot, node.source) = (None, id));
        leaves.iter().enumerate().for_each(|(slot, (node, ..))| nodes[*node].slot = Some(slot));
        scalars.iter().enumerate().for_each(|(slot, (node, _))| nodes[*node].slot = Some(slot));
        let mut layout = Layout::default();
        let leaf = |(node, region, variable)| (Leaf { node, footprint: layout.footprint(&region), variable }, region);
        let (leaves, regions): (Vec<Leaf>, _) = leaves.into_iter().map(leaf).unzip();
        let (scalars, numbers) = scalars.into_iter().unzip();
        let output = |(node, target): (NodeId, Option<Region>)| {
            (Output { node, target: target.as_ref().map(|region| layout.footprint(region)) }, target)
        };
        let (outputs, targets): (Vec<Output>, _) = outputs.into_iter().map(output).unzip();
        let mut key = Key::with_capacity(16 * nodes.len());
        (&nodes, &leaves, &outputs).hash(&mut key);
        phases(&nodes, &mut key);
        let (key, plan) = (key.words, PlanSlot::default());
        let program = Program { nodes, leaves, scalars, outputs, step, key, plan };
        (program, Bindings { leaves: regions, scalars: numbers, targets })
    }
}

/// In mixed precision a plan depends on what gradients read of the forward pass.
pub(crate) fn phases(nodes: &[Node], key: &mut Key) {
    let mixed = nodes.iter().filter(|node| node.compute.is_some() && node.dtype == DType::F32);
    mixed.for_each(|node| node.label.phase.hash(key));
}

/// Where a program that runs more than once keeps its plan, so that nobody looks for it by its key.
#[derive(Default)]
pub(crate) struct PlanSlot(OnceLock<Arc<dyn Any + Send + Sync>>);

impl PlanSlot {
    /// The plan, if there is one of this type.
    pub fn get<P: Any + Send + Sync>(&self) -> Option<Arc<P>> {
        self.0.get()?.clone().downcast().ok()
    }

    /// Keeps the first plan.
    pub fn set<P: Any + Send + Sync>(&self, plan: &Arc<P>) {
        // Another plan of the same program is as good.
        let _ = self.0.set(plan.clone());
    }
}

impl fmt::Debug for PlanSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanSlot({})", if self.0.get().is_some() { "full" } else { "empty" })
    }
}

/// A host number as a run gets it.
pub fn scalar_bits(value: f64, dtype: DType) -> u32 {
    match dtype.class() {
        Class::Float => (value as f32).to_bits(),
        Class::Int => value as i64 as i32 as u32,
        Class::Uint | Class::Bool => value as i64 as u32,
    }
}

/// Host numbers that are part of a plan because passes and kernels treat them specially.
pub fn is_structural(value: f64) -> bool {
    [0.0, 1.0, -1.0, 2.0].contains(&value) && !(value == 0.0 && value.is_sign_negative())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{ReduceOp, Window},
        storage::{Storage, StorageObject},
    };

    struct Nothing;

    impl StorageObject for Nothing {
        fn size_bytes(&self) -> usize {
            0
        }
    }

    fn node(op: &Op, inputs: &[usize], shape: &[usize], dtype: DType) -> Node {
        let (inputs, shape, label) = (inputs.into(), shape.into(), Label::here("test"));
        Node { op: op.clone(), inputs, shape, dtype, compute: None, label, source: 0, slot: None }
    }

    fn key(op: &Op, inputs: &[usize], shape: &[usize], dtype: DType) -> Vec<u64> {
        Draft { nodes: vec![node(op, inputs, shape, dtype)], ..Draft::default() }.finish().0.key
    }

    /// Whatever a node differs in, its key does; but for a number that is an input of the plan.
    #[test]
    fn everything_but_bound_numbers_is_in_the_key() {
        let window = Window { kernel: vec![2], stride: vec![1], dilation: vec![1], pad: vec![0] };
        let windows =
            |fill: f64, aligned: bool| Op::Windows { window: window.clone().into(), fill: Bits(fill), aligned };
        let ops = [
            Op::Reduce(ReduceOp::Sum, vec![0]),
            Op::Reduce(ReduceOp::Max, vec![0]),
            Op::Reduce(ReduceOp::Sum, vec![0, 1]),
            Op::Iota(0),
            Op::Iota(1),
            Op::Gather(0),
            Op::Pad { before: vec![1], fill: Bits(0.0) },
            Op::Pad { before: vec![1], fill: Bits(-0.0) },
            Op::Slice { start: vec![1], step: vec![-1] },
            Op::Slice { start: vec![1], step: vec![1] },
            windows(0.0, false),
            windows(0.0, true),
            windows(1.0, false),
            Op::Scalar(Bits(0.0)),
            Op::Scalar(Bits(2.0)),
            Op::Scalar(Bits(0.5)),
        ];
        let mut keys: Vec<Vec<u64>> = ops.iter().map(|op| key(op, &[3], &[2, 5], DType::F32)).collect();
        let sum = &ops[0];
        keys.push(key(sum, &[3, 2], &[5], DType::F32));
        keys.push(key(sum, &[3], &[2, 5, 1], DType::F32));
        keys.push(key(sum, &[3], &[2, 5], DType::F16));
        for (i, a) in keys.iter().enumerate() {
            assert!(!keys[i + 1..].contains(a), "the key of {:?} is another's too", ops.get(i));
        }
        let product = |compute| Node { compute, ..node(&Op::Matmul, &[], &[2, 5], DType::F32) };
        let [exact, rounded] = [None, Some(DType::F16)]
            .map(|compute| Draft { nodes: vec![product(compute)], ..Draft::default() }.finish().0.key);
        assert_ne!(exact, rounded);
        let bound = |x: f64| {
            let nodes = vec![node(&Op::Scalar(Bits(x)), &[], &[], DType::F32)];
            Draft { nodes, scalars: vec![(0, x)], ..Draft::default() }.finish().0.key
        };
        assert_eq!(bound(0.5), bound(3.25));
        assert_eq!(bound(0.0), bound(3.25));
        assert_ne!(bound(0.5), key(&Op::Scalar(Bits(0.5)), &[], &[], DType::F32));
    }

    /// Which regions overlap, and how, is the program's; where they are is the run's.
    #[test]
    fn a_program_knows_what_overlaps_and_not_where_it_is() {
        let region = |storage: &Storage, offset: usize| {
            let (storage, len, dtype) = (storage.clone(), 4, DType::F32);
            Region { storage, offset, len, dtype }
        };
        let [a, b, c] = [(); 3].map(|()| Storage::new(Nothing));
        let copy = |from: Region, to: Region| Program::copying(&from, &to);
        let (apart, _) = copy(region(&a, 0), region(&b, 0));
        let (also_apart, elsewhere) = copy(region(&c, 0), region(&a, 0));
        let (shifted, overlapping) = copy(region(&a, 0), region(&a, 2));
        assert_eq!(apart.key, also_apart.key);
        assert_ne!(apart.key, shifted.key);
        assert!(apart.fits(&elsewhere) && !apart.fits(&overlapping) && !shifted.fits(&elsewhere));
        let [from, to] = [shifted.leaves[0].footprint, shifted.outputs[0].target.unwrap()];
        assert!(from.overlaps(&to) && overlapping.leaves[0].overlaps(&region(&a, 3)));
        assert!(!from.overlaps(&Footprint { offset: 4, ..from }));
    }
}
