//! A piece of a program: what an op that runs one several times is made of.

use std::hash::Hash;

use crate::{
    key::Key,
    op::{Op, recorded::Recorded},
    program::{Node, NodeId, Program, phases},
    shape::Type,
};

/// Nodes in topological order. The first are leaves, which are what it takes.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// The nodes; leaves by their slots.
    pub nodes: Vec<Node>,
    /// How many of them are what it takes.
    pub inputs: usize,
    /// What it gives.
    pub outputs: Vec<NodeId>,
}

impl Fragment {
    /// It as a setting of an op.
    pub fn recorded(self) -> Recorded {
        let mut key = Key::default();
        (&self.nodes, self.inputs, &self.outputs).hash(&mut key);
        phases(&self.nodes, &mut key);
        let types = |ids: &mut dyn Iterator<Item = NodeId>| ids.map(|id| self.nodes[id].type_of()).collect();
        let inputs: Vec<Type> = types(&mut (0..self.inputs));
        let outputs: Vec<Type> = types(&mut self.outputs.iter().copied());
        Recorded::new(self, key.words, inputs, outputs)
    }

    /// A program that gives those of its results that are wanted.
    pub fn program(&self, wanted: &[bool]) -> Program {
        let outputs = self.outputs.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(id, _)| *id);
        Program::alone(self.nodes.clone(), self.inputs, outputs.collect())
    }

    /// Whether it looks at positions that are data.
    pub fn looks(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, Op::Gather(_)))
    }
}
