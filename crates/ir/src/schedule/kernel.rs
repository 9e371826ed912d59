//! A kernel: nodes computed together, and the code that does it.

use super::{
    coordinates::Coordinates,
    emit::{Emitter, MAX_INSTS, Trouble},
    form::Form,
    graph::{Graph, NodeId},
    ir::{Array, Contract, LaunchKind, Linear, Loop, Store, Whole},
    operand::operand,
};
use crate::{
    map::Map,
    op::Op,
    shape::{Type, count},
};

/// Nodes computed by one launch.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Materialised nodes, ascending.
    pub members: Vec<NodeId>,
    /// The points it runs over.
    pub domain: Domain,
}

/// The points that a kernel runs over.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Extents without those of 1, and which of them are reduced.
    Points { dims: Vec<usize>, reduced: Vec<bool> },
    /// A contraction's output.
    Contraction(NodeId),
    /// Results of a primitive, of which this is one.
    Whole(NodeId),
}

impl Kernel {
    /// A node that is computed alone.
    pub fn of(graph: &Graph, id: NodeId) -> Kernel {
        let node = &graph.nodes[id];
        let domain = match &node.op {
            op if op.is_contraction() => Domain::Contraction(id),
            Op::Part(..) => Domain::Whole(id),
            Op::Reduce(_, axes) => {
                let shape = &graph.nodes[node.inputs[0]].shape;
                let wide: Vec<usize> = (0..shape.len()).filter(|d| shape[*d] != 1).collect();
                Domain::Points {
                    dims: wide.iter().map(|d| shape[*d]).collect(),
                    reduced: wide.iter().map(|d| axes.contains(d)).collect(),
                }
            }
            _ => {
                let dims = without_ones(&node.shape);
                Domain::Points { reduced: vec![false; dims.len()], dims }
            }
        };
        Kernel { members: vec![id], domain }
    }
}

/// Splits of loop coordinates after which a kernel gives up and reads from a buffer instead.
const MAX_SPLITS: usize = 4;

/// The launch of a kernel, with node ids for buffers.
pub fn emit_kernel(
    graph: &Graph,
    kernel: &Kernel,
    in_buffer: &dyn Fn(NodeId) -> bool,
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    if let Domain::Whole(_) = kernel.domain {
        return whole(graph, &kernel.members, in_buffer, stores);
    }
    let mut splits: Vec<(usize, usize)> = Vec::new();
    loop {
        match emit_split(graph, kernel, &splits, in_buffer, stores) {
            Err(Trouble::Split { coordinate, inner, source }) => match splits.len() {
                MAX_SPLITS => return Err(Trouble::Materialise(source)),
                _ if matches!(kernel.domain, Domain::Contraction(_)) => return Err(Trouble::Materialise(source)),
                _ => splits.push((coordinate, inner)),
            },
            done => return done,
        }
    }
}

/// Results of a primitive: everything it reads must be in a buffer.
fn whole(
    graph: &Graph,
    members: &[NodeId],
    in_buffer: &dyn Fn(NodeId) -> bool,
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    let node = &graph.nodes[members[0]];
    let Op::Part(op, _) = &node.op else { return Err(Trouble::Elsewhere) };
    // Another shape is no other memory.
    let source = |mut id: NodeId| {
        while graph.nodes[id].op.is_alias() && !in_buffer(id) {
            id = graph.nodes[id].inputs[0];
        }
        id
    };
    if let Some(missing) = node.inputs.iter().map(|i| source(*i)).find(|i| !in_buffer(*i)) {
        return Err(Trouble::Materialise(missing));
    }
    let array = |id: NodeId| Array { buf: id, shape: graph.nodes[id].shape.to_vec() };
    let types: Vec<Type> = node.inputs.iter().map(|i| graph.nodes[*i].type_of()).collect();
    let mut outputs = vec![None; op.outputs(&types).len()];
    for id in members.iter().filter(|id| stores(**id)) {
        if let Op::Part(_, k) = graph.nodes[*id].op {
            outputs[k] = Some(array(*id));
        }
    }
    let inputs = node.inputs.iter().map(|i| Array { buf: source(*i), ..array(*i) }).collect();
    Ok(LaunchKind::Whole(Whole { op: (**op).clone(), inputs, outputs }))
}

/// Loop coordinates over the points of a domain: for each its domain axis, extent and step along the axis; how many are
/// not reduced, which come first. `splits` are applied in order.
fn coordinates(dims: &[usize], reduced: &[bool], splits: &[(usize, usize)]) -> (Vec<(usize, usize, usize)>, usize) {
    let kept = (0..dims.len()).filter(|d| !reduced[*d]);
    let order = kept.chain((0..dims.len()).filter(|d| reduced[*d]));
    let mut coordinates: Vec<(usize, usize, usize)> = order.map(|d| (d, dims[d], 1)).collect();
    for (c, inner) in splits {
        let (d, extent, step) = coordinates[*c];
        coordinates.splice(*c..=*c, [(d, extent / inner, step * inner), (d, *inner, step)]);
    }
    let outer = coordinates.iter().filter(|(d, ..)| !reduced[*d]).count();
    (coordinates, outer)
}

fn emit_split(
    graph: &Graph,
    kernel: &Kernel,
    splits: &[(usize, usize)],
    in_buffer: &dyn Fn(NodeId) -> bool,
    stores: &dyn Fn(NodeId) -> bool,
) -> Result<LaunchKind, Trouble> {
    let contract = match &kernel.domain {
        Domain::Points { .. } | Domain::Whole(_) => None,
        Domain::Contraction(id) => Some((*id, Coordinates::of(graph, *id))),
    };
    let mut split = 0;
    let (extents, dims): (Vec<usize>, Vec<Linear>) = match (&kernel.domain, &contract) {
        (Domain::Points { dims, reduced }, _) => {
            let (order, outer) = coordinates(dims, reduced, splits);
            split = outer;
            let axis = |d: usize| Linear {
                offset: 0,
                coef: order.iter().map(|(of, _, step)| if *of == d { *step as i64 } else { 0 }).collect(),
            };
            (order.iter().map(|(_, extent, _)| *extent).collect(), (0..dims.len()).map(axis).collect())
        }
        (Domain::Contraction(_), Some((id, c))) => {
            let shape = &graph.nodes[*id].shape;
            let wide = c.output.iter().zip(shape).filter(|(_, n)| **n != 1).map(|(l, _)| l.clone()).collect();
            ([&c.batch[..], &c.m, &c.n].concat(), wide)
        }
        (Domain::Contraction(_), None) | (Domain::Whole(_), _) => return Err(Trouble::Elsewhere),
    };
    let mut emitter = Emitter::new(graph, extents.clone(), in_buffer);
    let reduced: Vec<bool> = match &kernel.domain {
        Domain::Points { reduced, .. } => reduced.clone(),
        Domain::Contraction(_) | Domain::Whole(_) => vec![false; dims.len()],
    };
    let rows: Vec<&Linear> = dims.iter().zip(&reduced).filter(|(_, r)| !**r).map(|(l, _)| l).collect();
    let all: Vec<&Linear> = dims.iter().collect();
    let spread = |shape: &[usize], over: &[&Linear], zero: &Linear| -> Vec<Linear> {
        let mut next = over.iter();
        shape
            .iter()
            .map(|n| if *n == 1 { zero.clone() } else { next.next().map_or(zero.clone(), |l| (*l).clone()) })
            .collect()
    };
    let zero = emitter.zero();
    let mut at: Map<NodeId, Vec<Linear>> = Map::default();
    for id in &kernel.members {
        let node = &graph.nodes[*id];
        let own = without_ones(&node.shape);
        let row_level = matches!(node.op, Op::Reduce(..)) || (own.len() == rows.len() && own.len() != all.len());
        let forms = spread(&node.shape, if row_level { &rows } else { &all }, &zero);
        emitter.member(*id, &forms);
        if let Op::Reduce(_, _) = node.op {
            let operand = spread(&graph.nodes[node.inputs[0]].shape, &all, &zero);
            emitter.operand(*id, operand.into_iter().map(Form::plain).collect());
        }
        at.insert(*id, forms);
    }
    emitter.contraction = contract.as_ref().map(|(id, _)| *id);
    for id in &kernel.members {
        emitter.compute(*id, &at[id], stores(*id))?;
    }
    debug_assert!(emitter.body.insts.len() <= MAX_INSTS);
    let body = std::mem::take(&mut emitter.body);
    Ok(match (&kernel.domain, contract) {
        (Domain::Points { .. }, _) => {
            let nest = Loop { outer: extents[..split].to_vec(), inner: extents[split..].to_vec(), body };
            // One number per row has one place per row; spread over the row it is a launch of its own.
            let levels = nest.levels();
            let spreads = |s: &Store| levels[s.value].per_row && s.at.coef[split..].iter().any(|c| *c != 0);
            if nest.body.stores.iter().any(spreads) {
                return Err(Trouble::Elsewhere);
            }
            LaunchKind::Loop(nest)
        }
        (_, Some((id, c))) => {
            let inputs = &graph.nodes[id].inputs;
            let mut body = body;
            let mut side = |(input, forms): &(usize, Vec<Form>), extents: [&[usize]; 3], others: &[usize]| {
                let of = (inputs[*input], &forms[..]);
                let mut operand = operand(graph, in_buffer, of, &extents.concat(), count(others))?;
                operand.body.checks_to(&mut body);
                match operand.body.reads().iter().any(|buf| kernel.members.contains(buf)) {
                    true => Err(Trouble::Elsewhere),
                    false => Ok(operand),
                }
            };
            let a = side(&c.a, [&c.batch, &c.m, &c.k], &c.n)?;
            let b = side(&c.b, [&c.batch, &c.k, &c.n], &c.m)?;
            LaunchKind::Contract(Contract { kind: c.kind, batch: c.batch, m: c.m, n: c.n, k: c.k, a, b, body })
        }
        _ => return Err(Trouble::Elsewhere),
    })
}

/// The extents that are not 1.
pub fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|n| *n != 1).collect()
}
