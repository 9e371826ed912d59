//! The graph that passes rewrite, and the builder that keeps it free of duplicates and of work that does nothing.

use std::{
    hash::{BuildHasherDefault, Hash, Hasher},
    ops::Index,
};

use smallvec::{SmallVec, smallvec};

use crate::{
    bits::Bits,
    dtype::DType,
    map::{Fold, Map},
    op::{Op, ReduceOp},
    op::{binary::BinaryOp, unary::UnaryOp},
    program::{Program, is_structural},
    shape::{Extents, count},
};

pub use crate::program::{Node, NodeId};

/// Nodes in topological order.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The node of each output of the program.
    pub outputs: Vec<NodeId>,
}

/// Who reads each node of a graph, ascending: `users[id]`.
pub struct Users {
    /// Those of the first node, then those of the next.
    readers: Vec<NodeId>,
    /// Where those of each node end.
    ends: Vec<usize>,
}

impl Index<NodeId> for Users {
    type Output = [NodeId];

    fn index(&self, id: NodeId) -> &[NodeId] {
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.readers[start..self.ends[id]]
    }
}

/// Adds nodes to a graph; equal nodes are one.
#[derive(Default)]
pub struct Builder {
    /// The graph so far.
    pub graph: Graph,
    /// By the hash of what a node is.
    known: Map<u64, SmallVec<[NodeId; 1]>>,
}

impl Builder {
    /// For about so many nodes.
    fn with_capacity(nodes: usize) -> Builder {
        let graph = Graph { nodes: Vec::with_capacity(nodes), outputs: Vec::new() };
        Builder { graph, known: Map::with_capacity_and_hasher(nodes, BuildHasherDefault::default()) }
    }

    /// The graph of a program.
    pub fn program(program: &Program) -> Graph {
        let mut builder = Builder::with_capacity(program.nodes.len());
        let mut ids: Vec<NodeId> = Vec::with_capacity(program.nodes.len());
        for node in &program.nodes {
            ids.push(builder.add(node.clone().renumbered(&ids)));
        }
        builder.graph.outputs = program.outputs.iter().map(|o| ids[o.node]).collect();
        builder.graph
    }

    /// A node, or an older one that has the same value.
    pub fn add(&mut self, node: Node) -> NodeId {
        if let Some(same) = self.nothing(&node).or_else(|| self.simpler(&node)) {
            return same;
        }
        let mut hasher = Fold::default();
        node.hash(&mut hasher);
        let alike = self.known.entry(hasher.finish()).or_default();
        if let Some(known) = alike.iter().find(|id| self.graph.nodes[**id].is_same(&node)) {
            return *known;
        }
        alike.push(self.graph.nodes.len());
        self.push(node)
    }

    /// A node, even if there is an equal one.
    pub fn push(&mut self, node: Node) -> NodeId {
        self.graph.nodes.push(node);
        self.graph.nodes.len() - 1
    }

    /// A node of a pass, labelled as `like`.
    pub fn make(&mut self, op: Op, inputs: &[NodeId], shape: &[usize], dtype: DType, like: &Node) -> NodeId {
        let Node { compute, source, .. } = *like;
        let (inputs, shape, label) = (inputs.into(), shape.into(), like.label.clone());
        self.add(Node { op, inputs, shape, dtype, compute, label, source, slot: None })
    }

    /// A number as a tensor of this shape; part of the plan.
    pub fn number(&mut self, value: f64, shape: &[usize], dtype: DType, like: &Node) -> NodeId {
        let number = self.make(Op::Scalar(Bits(value)), &[], &[], dtype, like);
        let thin = self.make(Op::Reshape, &[number], &Extents::from_elem(1, shape.len()), dtype, like);
        self.make(Op::Expand, &[thin], shape, dtype, like)
    }

    /// Of a node without elements: a number repeated to its shape. What it would be computed from does not matter.
    fn nothing(&mut self, node: &Node) -> Option<NodeId> {
        let is_that = |id: &NodeId| self.constant(*id) == Some(0.0);
        match node.op {
            _ if count(&node.shape) > 0 => None,
            Op::Leaf => None,
            Op::Expand if node.inputs.first().is_some_and(is_that) => None,
            _ => Some(self.number(0.0, &node.shape, node.dtype, node)),
        }
    }

    /// The number that every element of a node is, if that is known.
    fn constant(&self, id: NodeId) -> Option<f64> {
        let node = &self.graph.nodes[id];
        match &node.op {
            Op::Scalar(Bits(value)) if node.slot.is_none() => Some(*value).filter(|v| is_structural(*v)),
            Op::Reshape | Op::Expand | Op::Permute(_) | Op::Slice { .. } | Op::Detach => self.constant(node.inputs[0]),
            _ => None,
        }
    }

    fn simpler(&mut self, node: &Node) -> Option<NodeId> {
        let input = |i: usize| &self.graph.nodes[node.inputs[i]];
        let same_as =
            |i: usize| (input(i).shape == node.shape && input(i).dtype == node.dtype).then_some(node.inputs[i]);
        match &node.op {
            Op::Detach | Op::Reshape | Op::Expand | Op::Cast if same_as(0).is_some() => same_as(0),
            // Widened and narrowed again.
            Op::Cast
                if self.graph.widens(node.inputs[0]) && self.graph.nodes[input(0).inputs[0]].dtype == node.dtype =>
            {
                Some(input(0).inputs[0])
            }
            Op::Reshape if input(0).op == Op::Reshape => {
                let inputs = input(0).inputs.clone();
                Some(self.add(Node { inputs, ..node.clone() }))
            }
            Op::Permute(outer) => match &input(0).op {
                Op::Permute(inner) => {
                    let perm: Vec<usize> = outer.iter().map(|p| inner[*p]).collect();
                    let inputs = input(0).inputs.clone();
                    match perm.iter().enumerate().all(|(d, p)| d == *p) {
                        true => Some(inputs[0]),
                        false => Some(self.add(Node { op: Op::Permute(perm), inputs, ..node.clone() })),
                    }
                }
                // (A · B)ᵀ = Bᵀ · Aᵀ: the product is then written where the transpose is wanted.
                Op::Matmul if outer == &[1, 0] => {
                    let (a, b) = (input(0).inputs[0], input(0).inputs[1]);
                    let flip = |builder: &mut Builder, id: NodeId| {
                        let like = builder.graph.nodes[id].clone();
                        let shape = [like.shape[1], like.shape[0]];
                        builder.make(Op::Permute(vec![1, 0]), &[id], &shape, like.dtype, &like)
                    };
                    let Node { label, source, compute, .. } = input(0).clone();
                    let inputs = smallvec![flip(self, b), flip(self, a)];
                    Some(self.add(Node { op: Op::Matmul, inputs, label, source, compute, ..node.clone() }))
                }
                _ => None,
            },
            // Of one element each. It must not stay: in a kernel that reduces something else it would be over that.
            Op::Reduce(op, axes) if axes.iter().all(|a| input(0).shape[*a] == 1) => match op {
                ReduceOp::ArgMax | ReduceOp::ArgMin => {
                    let zero = self.make(Op::Scalar(Bits(0.0)), &[], &[], node.dtype, node);
                    let zero =
                        self.make(Op::Reshape, &[zero], &Extents::from_elem(1, node.shape.len()), node.dtype, node);
                    Some(self.make(Op::Expand, &[zero], &node.shape, node.dtype, node))
                }
                // It may be one in a wider dtype.
                _ => Some(self.make(Op::Cast, &node.inputs, &node.shape, node.dtype, node)),
            },
            Op::Binary(op) => {
                let (a, b) = (self.constant(node.inputs[0]), self.constant(node.inputs[1]));
                match (op, a, b) {
                    (BinaryOp::Mul, _, Some(1.0)) | (BinaryOp::Div, _, Some(1.0)) => same_as(0),
                    (BinaryOp::Mul, Some(1.0), _) => same_as(1),
                    (BinaryOp::Add | BinaryOp::Sub, _, Some(0.0)) => same_as(0),
                    (BinaryOp::Add, Some(0.0), _) => same_as(1),
                    (BinaryOp::Mul, Some(-1.0), _) if same_as(1).is_some() && node.dtype != DType::U32 => {
                        let inputs = smallvec![node.inputs[1]];
                        Some(self.add(Node { op: Op::Unary(UnaryOp::Neg), inputs, ..node.clone() }))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl Graph {
    /// The graph rebuilt where that concerns some node; else as it is.
    pub fn rewrite_if(
        self,
        concerns: impl Fn(&Graph, &Node) -> bool,
        f: impl FnMut(&mut Builder, Node) -> NodeId,
    ) -> Graph {
        match self.nodes.iter().any(|node| concerns(&self, node)) {
            true => self.rewrite(f),
            false => self,
        }
    }

    /// The graph rebuilt, each node through a function of the builder and the node with its inputs renumbered. Nodes that no
    /// output needs are left out.
    pub fn rewrite(self, mut f: impl FnMut(&mut Builder, Node) -> NodeId) -> Graph {
        let live = self.live();
        let mut builder = Builder::with_capacity(self.nodes.len());
        let mut ids = vec![usize::MAX; self.nodes.len()];
        for (id, node) in self.nodes.into_iter().enumerate().filter(|(id, _)| live[*id]) {
            ids[id] = f(&mut builder, node.renumbered(&ids));
        }
        builder.graph.outputs = self.outputs.iter().map(|o| ids[*o]).collect();
        builder.graph
    }

    /// The graph without the nodes that no output needs.
    pub fn swept(self) -> Graph {
        match self.live().iter().all(|live| *live) {
            true => self,
            false => self.rewrite(|builder, node| builder.push(node)),
        }
    }

    /// Whether a node has the value of its input, a 16-bit float, in f32: whoever reads it may as well read that.
    pub fn widens(&self, id: NodeId) -> bool {
        let Node { op: Op::Cast, dtype: DType::F32, inputs, .. } = &self.nodes[id] else { return false };
        matches!(self.nodes[inputs[0]].dtype, DType::F16 | DType::BF16)
    }

    /// For each node those that read it, once for each input that it is.
    pub fn users(&self) -> Users {
        let mut ends = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|input| ends[*input] += 1);
        let all = ends.iter_mut().fold(0, |start, end| start + std::mem::replace(end, start));
        let mut readers = vec![0; all];
        for (id, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[ends[*input]] = id;
                ends[*input] += 1;
            }
        }
        Users { readers, ends }
    }

    /// Which nodes some output needs.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|o| live[*o] = true);
        for id in (0..self.nodes.len()).rev() {
            if live[id] {
                self.nodes[id].inputs.iter().for_each(|i| live[*i] = true);
            }
        }
        live
    }
}
