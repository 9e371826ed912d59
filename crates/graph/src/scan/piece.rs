//! A step as a piece of a program.

use std::collections::{BTreeMap, HashMap, HashSet};

use thalweg_ir::{Fragment, Node, Op, program::Inputs};

use crate::{
    eval::label,
    tensor::{Role, Tensor},
};

/// A step as a piece of a program, and what it reads that is the same in all steps.
pub struct Piece {
    pub fragment: Fragment,
    pub constants: Vec<Tensor>,
}

impl Piece {
    /// What computes these from what the step takes.
    pub fn of(taken: &[&Tensor], given: &[&Tensor]) -> Piece {
        let all = reachable(given);
        // What depends on what the step takes is done in every step.
        let taken_ids: HashSet<u64> = taken.iter().map(|t| t.id()).collect();
        let mut varies = taken_ids.clone();
        for (id, tensor) in &all {
            if !tensor.is_evaluated() && tensor.inputs().iter().any(|input| varies.contains(&input.id())) {
                varies.insert(*id);
            }
        }
        // So are numbers, and views of what is outside: they cost nothing.
        let (mut inside, mut constants) = (BTreeMap::new(), BTreeMap::new());
        let mut stack: Vec<Tensor> = given.iter().map(|t| (*t).clone()).collect();
        while let Some(tensor) = stack.pop() {
            let is_number = matches!(tensor.0.role, Role::Plain) && matches!(tensor.0.op, Op::Scalar(_) | Op::Iota(_));
            let free = !tensor.is_evaluated() && (is_number || tensor.0.op.is_view());
            if taken_ids.contains(&tensor.id()) || inside.contains_key(&tensor.id()) {
                continue;
            }
            if varies.contains(&tensor.id()) || free {
                stack.extend(tensor.inputs());
                inside.insert(tensor.id(), tensor);
            } else {
                constants.insert(tensor.id(), tensor);
            }
        }
        let constants: Vec<Tensor> = constants.into_values().collect();
        let leaves = taken.iter().copied().chain(&constants);
        let mut nodes: Vec<Node> =
            leaves.clone().enumerate().map(|(slot, leaf)| node(leaf, Op::Leaf, Inputs::new(), Some(slot))).collect();
        let mut at: HashMap<u64, usize> = leaves.enumerate().map(|(i, leaf)| (leaf.id(), i)).collect();
        let inputs = nodes.len();
        let mut parts: HashMap<u64, u64> = HashMap::new();
        for (id, tensor) in inside {
            let op = match &tensor.0.op {
                // By order of appearance, so that the next recording is found to be the same.
                Op::Again(part) => {
                    let next = parts.len() as u64;
                    Op::Again(*parts.entry(*part).or_insert(next))
                }
                op => op.clone(),
            };
            let read = tensor.inputs().iter().map(|input| at[&input.id()]).collect();
            at.insert(id, nodes.len());
            nodes.push(node(&tensor, op, read, None));
        }
        let outputs = given.iter().map(|t| at[&t.id()]).collect();
        Piece { fragment: Fragment { nodes, inputs, outputs }, constants }
    }

    /// Which of what a step takes these read.
    pub fn reads(taken: &[Tensor], given: &[&Tensor]) -> HashSet<u64> {
        let taken: HashSet<u64> = taken.iter().map(Tensor::id).collect();
        let (mut read, mut seen) = (HashSet::new(), HashSet::new());
        let mut stack: Vec<Tensor> = given.iter().map(|t| (*t).clone()).collect();
        while let Some(tensor) = stack.pop() {
            if taken.contains(&tensor.id()) {
                read.insert(tensor.id());
            } else if seen.insert(tensor.id()) && !tensor.is_evaluated() {
                stack.extend(tensor.inputs());
            }
        }
        read
    }
}

fn node(tensor: &Tensor, op: Op, inputs: Inputs, slot: Option<usize>) -> Node {
    let (shape, dtype, compute) = (tensor.0.shape.clone(), tensor.dtype(), tensor.0.compute);
    Node { op, inputs, shape, dtype, compute, label: label(tensor), source: 0, slot }
}

/// These and all that they need, by id.
fn reachable(of: &[&Tensor]) -> BTreeMap<u64, Tensor> {
    let mut all = BTreeMap::new();
    let mut stack: Vec<Tensor> = of.iter().map(|t| (*t).clone()).collect();
    while let Some(tensor) = stack.pop() {
        if !tensor.is_evaluated() && !all.contains_key(&tensor.id()) {
            stack.extend(tensor.inputs());
        }
        all.insert(tensor.id(), tensor);
    }
    all
}
