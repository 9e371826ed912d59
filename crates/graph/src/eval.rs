//! From tensors to a [`Program`], and from its results back to tensors.

use std::{panic::Location, sync::Arc};

use thalweg_ir::{
    Bits, Error, ErrorKind, Op, Result,
    map::{Map, Set},
    program::{self, Bindings, Draft, Label, Node, Program, is_structural},
    storage::Region,
};

use crate::{
    capacity,
    record::{self, Run},
    scope::Origin,
    tensor::{self, Role, Tensor, Version},
    variable::Variable,
};

/// Something to compute, and where to write it if not to a place of the backend's choice.
pub(crate) struct Root {
    pub tensor: Tensor,
    pub target: Option<Region>,
    /// A handle that the caller keeps to a node of the run only in case it fails: nobody asks for its value.
    pub kept: Option<Tensor>,
    /// Whose target it is.
    pub written: Option<Variable>,
}

/// Computes these tensors, and with them whatever unevaluated node on the way somebody else holds.
#[track_caller]
pub(crate) fn eval(tensors: &[Tensor]) -> Result<()> {
    for tensor in tensors {
        tensor.check()?;
        check_version(tensor, Location::caller())?;
    }
    let missing: Vec<&Tensor> = tensors.iter().filter(|t| !t.is_evaluated()).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => {
            let roots: Vec<Root> = missing
                .into_iter()
                .map(|t| Root { tensor: t.clone(), target: None, kept: None, written: None })
                .collect();
            run(&roots, false).map(drop)
        }
    }
}

/// An error if this is a version of a variable that has been written since; `reader` is where it was used.
pub(crate) fn check_version(tensor: &Tensor, reader: &'static Location<'static>) -> Result<()> {
    let Role::Variable(version) = &tensor.0.role else { return Ok(()) };
    match version.stale() {
        None => Ok(()),
        Some(kind) => Err(Error::at("parameter", kind, reader, None)),
    }
}

/// Whether nothing that these need carries an error or has been written since.
pub(crate) fn is_computable(tensors: &[Tensor]) -> bool {
    let root = |t: &Tensor| Root { tensor: t.clone(), target: None, kept: None, written: None };
    gather(&tensors.iter().map(root).collect::<Vec<_>>(), Location::caller()).is_ok()
}

/// How many unevaluated nodes these need.
pub(crate) fn count_pending(tensors: &[Tensor]) -> usize {
    let mut seen = Set::default();
    let mut stack = tensors.to_vec();
    let mut count = 0;
    while let Some(tensor) = stack.pop() {
        if tensor.pending() > 0 && seen.insert(tensor.id()) {
            count += 1;
            stack.extend(tensor.inputs());
        }
    }
    count
}

/// Runs one graph and gives the nodes their values. What is written to a place of its own is nobody's value: the place will
/// be written again.
#[track_caller]
pub(crate) fn run(roots: &[Root], step: bool) -> Result<Ran> {
    let Some(first) = roots.first() else { return Ok(Ran::default()) };
    let device = first.tensor.device().clone();
    let gathered = gather(roots, Location::caller())?;
    let (program, bindings) = draft(&gathered, roots, step).finish();
    let regions = device
        .run(&program, &bindings)
        .map_err(|error| capacity::explain(error, &program, &bindings, &gathered.nodes, device.properties()))?;
    for (output, region) in program.outputs.iter().zip(&regions).filter(|(output, _)| output.target.is_none()) {
        gathered.nodes[output.node].set_value(region.clone());
    }
    record::ran(|| {
        let origin = |node: usize| (gathered.nodes[node].id(), gathered.nodes[node].0.role.clone());
        let leaves = program.leaves.iter().map(|leaf| origin(leaf.node)).collect();
        let scalars = program.scalars.iter().map(|node| origin(*node)).collect();
        // What is written comes first among the outputs, in the order of the roots.
        let targets = roots.iter().filter(|r| r.target.is_some()).map(|r| r.written.clone()).enumerate();
        let written = targets.filter_map(|(i, variable)| Some((i, variable?))).collect();
        Run { device, program, bindings, leaves, scalars, written, regions }
    });
    Ok(Ran(gathered))
}

/// The nodes of a run that has been queued.
#[derive(Default)]
pub(crate) struct Ran(Gathered);

impl Ran {
    /// After some variables were written: what has its value lets go of a history that read them. It can have no gradient any
    /// more, and would hold a batch for as long as somebody holds a loss.
    pub fn end_histories(&self, written: &Set<u64>) {
        let Gathered { nodes, inputs, .. } = &self.0;
        let mut reads: Vec<Option<Version>> = Vec::with_capacity(nodes.len());
        for (node, inputs) in nodes.iter().zip(inputs) {
            let found = match &node.0.role {
                Role::Variable(version) => written.contains(&version.key()).then(|| version.clone()),
                // Computed before this run.
                _ if inputs.is_empty() && node.is_tracked() => version_below(node, written),
                _ => inputs.iter().find_map(|i| reads[*i].clone()),
            };
            reads.push(found);
        }
        for (node, version) in nodes.iter().zip(&reads) {
            if let Some(version) = version
                && node.is_tracked()
                && node.is_evaluated()
                && !matches!(node.0.op, Op::Leaf)
            {
                node.end_history(version);
            }
        }
    }
}

/// A version of one of these variables that a tensor was computed from.
fn version_below(tensor: &Tensor, written: &Set<u64>) -> Option<Version> {
    let (mut seen, mut stack) = (Set::default(), tensor.inputs());
    while let Some(tensor) = stack.pop() {
        match &tensor.0.role {
            Role::Variable(version) if written.contains(&version.key()) => return Some(version.clone()),
            _ if seen.insert(tensor.id()) => stack.extend(tensor.inputs()),
            _ => {}
        }
    }
    None
}

/// The program that computes these tensors, and what it would be run on.
///
/// # Errors
/// The error that one of them carries; a parameter that a step has changed since.
#[track_caller]
pub fn program(tensors: &[Tensor]) -> Result<(Program, Bindings)> {
    let roots: Vec<Root> =
        tensors.iter().map(|t| Root { tensor: t.clone(), target: None, kept: None, written: None }).collect();
    let gathered = gather(&roots, Location::caller())?;
    Ok(draft(&gathered, &roots, false).finish())
}

/// The nodes of a run in topological order, with the positions of their inputs.
#[derive(Default)]
struct Gathered {
    nodes: Vec<Tensor>,
    inputs: Vec<program::Inputs>,
    /// Where each stands, by id.
    position: Map<u64, usize>,
}

fn gather(roots: &[Root], reader: &'static Location<'static>) -> Result<Gathered> {
    let mut seen: Set<u64> = Set::default();
    let mut values: Vec<Tensor> = Vec::new();
    let mut computed: Vec<(Tensor, tensor::Inputs)> = Vec::new();
    let mut stack: Vec<(Tensor, &'static Location<'static>)> =
        roots.iter().filter(|r| seen.insert(r.tensor.id())).map(|r| (r.tensor.clone(), reader)).collect();
    while let Some((tensor, reader)) = stack.pop() {
        tensor.check()?;
        if let Role::Taken = tensor.0.role {
            let problem = "a value is read of what a recorded step is given, which has none before it runs";
            return Err(Error::at("scan", ErrorKind::Invalid(problem.into()), reader, None));
        }
        if tensor.is_evaluated() {
            check_version(&tensor, reader)?;
            values.push(tensor);
        } else {
            let (here, inputs) = (tensor.0.origin.location, tensor.inputs());
            let new = inputs.iter().filter(|input| seen.insert(input.id()));
            stack.extend(new.map(|input| (input.clone(), here)));
            computed.push((tensor, inputs));
        }
    }
    Ok(Gathered::in_order(values, computed))
}

impl Gathered {
    /// Of nodes that have their values, and those to be computed, with their inputs.
    ///
    /// Values stand where they are first read: their ids tell when a variable was written last, and two steps that differ in that alone
    /// are one program.
    fn in_order(mut values: Vec<Tensor>, mut computed: Vec<(Tensor, tensor::Inputs)>) -> Gathered {
        computed.sort_unstable_by_key(|(node, _)| node.id());
        values.sort_unstable_by_key(Tensor::id);
        let all = values.len() + computed.len();
        let mut gathered = Gathered {
            nodes: Vec::with_capacity(all),
            inputs: Vec::with_capacity(all),
            position: Map::with_capacity_and_hasher(all, Default::default()),
        };
        for (node, inputs) in computed {
            let inputs = inputs.iter().map(|input| gathered.place(input)).collect();
            gathered.push(node, inputs);
        }
        for value in &values {
            gathered.place(value);
        }
        gathered
    }

    /// Where a node stands; a value that stands nowhere does so from now on.
    fn place(&mut self, node: &Tensor) -> usize {
        match self.position.get(&node.id()) {
            Some(known) => *known,
            None => self.push(node.clone(), program::Inputs::new()),
        }
    }

    fn push(&mut self, node: Tensor, inputs: program::Inputs) -> usize {
        self.position.insert(node.id(), self.nodes.len());
        self.nodes.push(node);
        self.inputs.push(inputs);
        self.nodes.len() - 1
    }
}

fn draft(gathered: &Gathered, roots: &[Root], step: bool) -> Draft {
    let Gathered { nodes, inputs, position } = gathered;
    let mut draft = Draft { step, nodes: Vec::with_capacity(nodes.len()), ..Draft::default() };
    let mut held = vec![0usize; nodes.len()];
    let mut parts: Map<u64, u64> = Map::default();
    for (i, tensor) in nodes.iter().enumerate() {
        let node = &tensor.0;
        let region = tensor.region();
        let op = match &node.op {
            _ if region.is_some() => Op::Leaf,
            // By order of appearance, so that the next step finds its plan.
            Op::Again(part) => {
                let next = parts.len() as u64;
                Op::Again(*parts.entry(*part).or_insert(next))
            }
            op => op.clone(),
        };
        if let Some(region) = region {
            draft.leaves.push((i, region, matches!(node.role, Role::Variable(_))));
        } else if let Op::Scalar(Bits(value)) = op
            // A number that changes from replay to replay is never structural.
            && (matches!(node.role, Role::Live(_)) || !is_structural(value))
        {
            draft.scalars.push((i, value));
        }
        for input in &inputs[i] {
            held[*input] += 1;
        }
        draft.nodes.push(Node {
            op,
            inputs: inputs[i].clone(),
            shape: node.shape.clone(),
            dtype: node.dtype,
            compute: node.compute,
            label: label(tensor),
            source: i,
            slot: None,
        });
    }
    // Roots first, in order, then every node that somebody outside this graph holds.
    // What is written to a target is a value only for those who hold the node itself: they get one of their own.
    let mut is_output = vec![false; nodes.len()];
    let (written, read): (Vec<&Root>, Vec<&Root>) = roots.iter().partition(|root| root.target.is_some());
    for root in written.into_iter().chain(read) {
        let node = position[&root.tensor.id()];
        held[node] += 1;
        if let Some(kept) = root.kept.as_ref().and_then(|kept| position.get(&kept.id())) {
            held[*kept] += 1;
        }
        if root.target.is_some() || !is_output[node] {
            is_output[node] |= root.target.is_none();
            draft.outputs.push((node, root.target.clone()));
        }
    }
    for (i, tensor) in nodes.iter().enumerate() {
        // One handle is `gathered`'s own.
        if !is_output[i] && Arc::strong_count(&tensor.0) > held[i] + 1 {
            // Of a view, what it shows: the view can be had again for nothing.
            let mut i = i;
            while draft.nodes[i].op.is_view() {
                i = inputs[i][0];
            }
            let worth_keeping = !matches!(draft.nodes[i].op, Op::Leaf | Op::Scalar(_) | Op::Iota(_));
            if worth_keeping && !is_output[i] {
                is_output[i] = true;
                draft.outputs.push((i, None));
            }
        }
    }
    draft
}

pub(crate) fn label(tensor: &Tensor) -> Label {
    let Origin { location, composite, phase, .. } = tensor.0.origin;
    let path = tensor.0.origin.name().and_then(|name| name.get());
    Label { op: tensor.0.name(), composite, path, location, phase }
}
