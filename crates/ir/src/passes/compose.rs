//! Primitives that are not worth a launch of their own, or that a device has no kernel for, as the ops they are made of.

use crate::{
    bits::Bits,
    dtype::DType,
    fragment::Fragment,
    op::{
        Op, ReduceOp,
        binary::BinaryOp,
        compose::{Compose, Value},
        primitive::Primitive,
        recorded::Recorded,
    },
    schedule::graph::{Builder, Graph, Node, NodeId},
    shape::{Extents, Type},
};

/// Composes every primitive but those to be kept.
pub fn compose(graph: Graph, keep: impl Fn(&Primitive, &[Type]) -> bool) -> Graph {
    let is_part = |_: &Graph, node: &Node| matches!(node.op, Op::Part(..));
    graph.rewrite_if(is_part, |builder: &mut Builder, node: Node| -> NodeId {
        let Op::Part(primitive, part) = &node.op else { return builder.add(node) };
        let types: Vec<Type> = node.inputs.iter().map(|i| builder.graph.nodes[*i].type_of()).collect();
        if keep(primitive, &types) {
            return builder.add(node);
        }
        // The parts of one primitive are composed one by one: what they have in common is found to be the same.
        match primitive.compose(&mut Composer { builder, like: &node }, &node.inputs) {
            Some(results) => results[*part],
            None => builder.add(node),
        }
    })
}

/// Writes a composed form into a graph, labelled as the node that it stands for.
struct Composer<'a> {
    builder: &'a mut Builder,
    like: &'a Node,
}

impl Composer<'_> {
    fn make(&mut self, op: Op, inputs: &[NodeId], shape: &[usize], dtype: DType) -> NodeId {
        self.builder.make(op, inputs, shape, dtype, self.like)
    }
}

impl Compose for Composer<'_> {
    fn type_of(&self, x: Value) -> Type {
        self.builder.graph.nodes[x].type_of()
    }

    fn number(&mut self, value: f64, shape: &[usize], dtype: DType) -> Value {
        let number = self.make(Op::Scalar(Bits(value)), &[], &[], dtype);
        let thin = self.make(Op::Reshape, &[number], &Extents::from_elem(1, shape.len()), dtype);
        self.make(Op::Expand, &[thin], shape, dtype)
    }

    fn iota(&mut self, axis: usize, shape: &[usize]) -> Value {
        self.make(Op::Iota(axis), &[], shape, DType::I32)
    }

    fn reshape(&mut self, x: Value, shape: &[usize]) -> Value {
        let dtype = self.type_of(x).dtype;
        self.make(Op::Reshape, &[x], shape, dtype)
    }

    fn expand(&mut self, x: Value, shape: &[usize]) -> Value {
        let dtype = self.type_of(x).dtype;
        self.make(Op::Expand, &[x], shape, dtype)
    }

    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        let Type { shape, dtype } = self.type_of(a);
        let dtype = if op.compares() { DType::Bool } else { dtype };
        self.make(Op::Binary(op), &[a, b], &shape, dtype)
    }

    fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let Type { shape, dtype } = self.type_of(a);
        self.make(Op::Select, &[condition, a, b], &shape, dtype)
    }

    fn cast(&mut self, x: Value, dtype: DType) -> Value {
        let shape = self.type_of(x).shape;
        self.make(Op::Cast, &[x], &shape, dtype)
    }

    fn part(&mut self, x: Value, axis: usize, start: usize, len: usize) -> Value {
        let Type { mut shape, dtype } = self.type_of(x);
        let mut from = vec![0; shape.len()];
        (from[axis], shape[axis]) = (start, len);
        let step = vec![1; shape.len()];
        self.make(Op::Slice { start: from, step }, &[x], &shape, dtype)
    }

    fn lengthen(&mut self, x: Value, axis: usize, len: usize) -> Value {
        let Type { mut shape, dtype } = self.type_of(x);
        if shape[axis] == len {
            return x;
        }
        shape[axis] = len;
        self.make(Op::Pad { before: vec![0; shape.len()], fill: Bits(0.0) }, &[x], &shape, dtype)
    }

    fn join(&mut self, parts: &[Value], axis: usize) -> Value {
        let Type { mut shape, dtype } = self.type_of(parts[0]);
        shape[axis] = parts.iter().map(|part| self.type_of(*part).shape[axis]).sum();
        self.make(Op::Concat(axis), parts, &shape, dtype)
    }

    fn recorded(&mut self, program: &Recorded, inputs: &[Value]) -> Option<Vec<Value>> {
        let Fragment { nodes, outputs, .. } = program.program()?;
        let mut ids: Vec<NodeId> = Vec::with_capacity(nodes.len());
        for node in nodes {
            ids.push(match node.slot {
                Some(slot) => inputs[slot],
                None => self.builder.add(node.clone().renumbered(&ids)),
            });
        }
        Some(outputs.iter().map(|id| ids[*id]).collect())
    }

    fn reduce(&mut self, op: ReduceOp, x: Value, axis: usize, dtype: DType) -> Value {
        let mut shape = self.type_of(x).shape;
        shape[axis] = 1;
        let kept = self.make(Op::Reduce(op, vec![axis]), &[x], &shape, dtype);
        shape.remove(axis);
        self.make(Op::Reshape, &[kept], &shape, dtype)
    }
}
