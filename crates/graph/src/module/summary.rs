//! A model as a table: its layers, what they give, and what they cost.
//!
//! What belongs to which layer is read off the recorded graph. A contraction is that of the layer whose parameter is nearest. What a
//! layer gives is what the last op gives that reads one of its parameters (or of its parts'): the bias of a convolution, the offset of a
//! norm. So models are plain structs, and no layer has to tell that it is one.

use std::collections::HashMap;

use thalweg_ir::{Op, Result, shape::count};

use super::{Param, Path, State, Visitor};
use crate::{
    multiply_adds::{Recorded, history},
    ops::random::Stream,
    tensor::{Role, Tensor, next_id},
    variable::rehearsed,
};

/// What a model is made of and what it costs, by layer. Printed, it is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The model itself, then its parts, each with its own behind it.
    pub layers: Vec<LayerSummary>,
    /// Bytes of what it was given.
    pub input_bytes: usize,
}

/// A row of a [`Summary`]. Numbers are its own, without those of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// Where it is in the model: `layer1.0.conv1`; empty for the model itself.
    pub name: String,
    /// The type of the struct: `Conv2d`.
    pub kind: &'static str,
    /// How many rows it is a part of.
    pub depth: usize,
    /// The shape of what it gives, the last time if it is called several times. `None` of what reads no parameter and no state.
    pub output: Option<Vec<usize>>,
    /// Bytes of that, for a layer that is made of no others: what the gradient will keep of it, about.
    pub output_bytes: usize,
    /// Elements of its parameters. A tied one counts where it is first.
    pub params: usize,
    /// Those that are frozen.
    pub frozen: usize,
    /// Bytes of its parameters.
    pub param_bytes: usize,
    /// Products that its contractions sum, see [`multiply_adds`](crate::multiply_adds()).
    pub multiply_adds: u64,
}

impl LayerSummary {
    fn new(path: &str, kind: &'static str, depth: usize) -> LayerSummary {
        LayerSummary {
            name: path.into(),
            kind,
            depth,
            output: None,
            output_bytes: 0,
            params: 0,
            frozen: 0,
            param_bytes: 0,
            multiply_adds: 0,
        }
    }

    /// Whether this is a part of it.
    pub(super) fn has(&self, path: &str) -> bool {
        self.name.is_empty() || path.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl Summary {
    /// Elements of all parameters.
    pub fn params(&self) -> usize {
        self.layers.iter().map(|layer| layer.params).sum()
    }

    /// Those that a step may move.
    pub fn trainable(&self) -> usize {
        self.params() - self.layers.iter().map(|layer| layer.frozen).sum::<usize>()
    }

    /// Bytes of all parameters.
    pub fn param_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.param_bytes).sum()
    }

    /// Multiply-adds of one forward pass.
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiply_adds).sum()
    }

    /// Bytes of what the layers give.
    pub fn output_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.output_bytes).sum()
    }

    /// The layer of a name.
    pub fn layer(&self, name: &str) -> Option<&LayerSummary> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// The same with no rows deeper than this: what was in them is counted where they belong. The model itself has depth 0.
    pub fn to_depth(&self, depth: usize) -> Summary {
        let mut layers: Vec<LayerSummary> = Vec::new();
        for layer in &self.layers {
            match layers.last_mut() {
                Some(outer) if layer.depth > depth => {
                    outer.output_bytes += layer.output_bytes;
                    outer.params += layer.params;
                    outer.frozen += layer.frozen;
                    outer.param_bytes += layer.param_bytes;
                    outer.multiply_adds += layer.multiply_adds;
                }
                _ => layers.push(layer.clone()),
            }
        }
        Summary { layers, input_bytes: self.input_bytes }
    }
}

/// Of a model of this type, whose parts `visit` shows, and of what `forward` makes of some input. What it sets is forgotten, and its random
/// streams stay where they are.
pub(super) fn of<T: AsRef<[Tensor]>>(
    kind: &'static str,
    visit: impl FnOnce(&mut dyn Visitor),
    forward: impl FnOnce() -> T,
) -> Result<Summary> {
    let mut parts = Parts { layers: vec![LayerSummary::new("", kind, 0)], ..Parts::default() };
    visit(&mut parts);
    let first = next_id();
    let streams: Vec<(Stream, [u64; 3])> = parts.streams.drain(..).map(|s| (s.clone(), s.state())).collect();
    let outputs = rehearsed(forward);
    streams.into_iter().for_each(|(stream, state)| stream.set_state(state));
    let outputs = outputs.as_ref();
    outputs.iter().try_for_each(Tensor::check)?;
    let nodes = history(outputs);
    Ok(parts.count(first, &nodes, outputs))
}

/// The layers of a model, and whose every parameter and state is.
#[derive(Default)]
struct Parts {
    layers: Vec<LayerSummary>,
    /// Of a parameter or a state, by its key, the row.
    owners: HashMap<u64, usize>,
    /// The same by the name of a parameter, as nodes know it.
    names: HashMap<String, usize>,
    streams: Vec<Stream>,
}

impl Parts {
    /// The innermost row that a part at this path is in.
    fn around(&self, path: &str) -> usize {
        self.layers.iter().rposition(|layer| layer.has(path)).unwrap_or(0)
    }

    fn owns(&mut self, path: &Path, key: u64) -> Option<&mut LayerSummary> {
        let row = self.around(path.as_str());
        self.names.entry(path.as_str().into()).or_insert(row);
        let is_new = !self.owners.contains_key(&key);
        is_new.then(|| {
            self.owners.insert(key, row);
            &mut self.layers[row]
        })
    }
}

impl Visitor for Parts {
    fn module(&mut self, path: &Path, kind: &'static str) {
        let path = path.as_str();
        // A layer that is an enum of layers has the name of the one that it is.
        match self.layers.iter_mut().rfind(|layer| layer.name == path) {
            Some(same) => same.kind = if path.is_empty() { same.kind } else { kind },
            None => {
                let depth = self.layers[self.around(path)].depth + 1;
                self.layers.push(LayerSummary::new(path, kind, depth));
            }
        }
    }

    fn param(&mut self, path: &Path, param: &Param) {
        param.0.name().set(path.as_str());
        let (leaf, frozen) = (param.0.leaf(), param.0.is_frozen());
        if let Some(layer) = self.owns(path, param.0.key()) {
            layer.params += leaf.count();
            layer.param_bytes += leaf.count() * leaf.dtype().size_bytes();
            layer.frozen += if frozen { leaf.count() } else { 0 };
        }
    }

    fn state(&mut self, path: &Path, state: &State) {
        let _ = self.owns(path, state.0.key());
    }

    fn stream(&mut self, _: &Path, stream: &Stream) {
        self.streams.push(stream.clone());
    }
}

/// What a node is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Numbers, positions, draws.
    Constant,
    /// Parameters or states of a row, and constants.
    Of(usize),
    /// The input.
    Input,
}

impl Parts {
    /// Fills the rows. Nodes with smaller ids than `first` were made before.
    fn count(mut self, first: u64, nodes: &[Recorded], outputs: &[Tensor]) -> Summary {
        let mut made: HashMap<u64, Made> = HashMap::with_capacity(nodes.len());
        let mut last: Vec<Option<&Tensor>> = vec![None; self.layers.len()];
        let mut given: HashMap<u64, usize> = HashMap::new();
        for recorded in nodes {
            let Recorded { node, inputs, .. } = recorded;
            let of: Vec<Made> = inputs.iter().map(|input| made[&input.id()]).collect();
            let owned = of.iter().copied().find(|made| matches!(made, Made::Of(_)));
            let is = match &node.0.role {
                Role::Variable(version) => self.owners.get(&version.key()).map_or(Made::Constant, |row| Made::Of(*row)),
                _ if owned.is_none() && (node.id() < first || matches!(node.0.op, Op::Leaf)) => Made::Input,
                _ if of.contains(&Made::Input) => Made::Input,
                // What weights are applied to is an input, also if it is a constant.
                _ if applies(&node.0.op) && of.contains(&Made::Constant) => Made::Input,
                _ => owned.unwrap_or(Made::Constant),
            };
            if node.id() >= first {
                let outside = inputs.iter().filter(|input| input.id() < first && made[&input.id()] == Made::Input);
                given.extend(outside.map(|input| (input.id(), input.count() * input.dtype().size_bytes())));
            }
            made.insert(node.id(), is);
            if is == Made::Input {
                let rows = of.iter().filter_map(|made| if let Made::Of(row) = made { Some(*row) } else { None });
                rows.for_each(|row| last[row] = Some(node));
            }
            let near = node.0.origin.name().and_then(|name| name.get());
            let row = near.and_then(|name| self.names.get(&*name)).copied().unwrap_or(0);
            self.layers[row].multiply_adds += recorded.multiply_adds();
        }
        for row in 0..self.layers.len() {
            let is_part = |other: &usize| *other == row || self.layers[row].has(&self.layers[*other].name);
            let parts: Vec<usize> = (row..self.layers.len()).filter(is_part).collect();
            let output = parts.iter().filter_map(|part| last[*part]).max_by_key(|node| node.id());
            let output = output.map(|node| unpacked(node, nodes));
            let layer = &mut self.layers[row];
            layer.output = output.map(|node| node.shape().to_vec());
            if let (Some(output), [_]) = (output, parts.as_slice()) {
                layer.output_bytes = count(output.shape()) * output.dtype().size_bytes();
            }
        }
        self.layers[0].output = outputs.first().map(|output| output.shape().to_vec());
        Summary { layers: self.layers, input_bytes: given.into_values().sum() }
    }
}

/// Whether an op applies one operand to another.
fn applies(op: &Op) -> bool {
    op.is_contraction() || matches!(op, Op::Gather(_) | Op::Part(..))
}

/// A result of a primitive, in the shape in which it is used: a scan gives rows.
fn unpacked<'a>(node: &'a Tensor, nodes: &'a [Recorded]) -> &'a Tensor {
    let mut shown = node;
    while matches!(node.0.op, Op::Part(..)) {
        let mut readers = nodes.iter().filter(|reader| reader.inputs.iter().any(|input| input.same(shown)));
        match (readers.next(), readers.next()) {
            (Some(only), None) if only.node.0.op.is_view() => shown = &only.node,
            _ => break,
        }
    }
    shown
}
