//! Runs a program node by node.

use std::rc::Rc;

use thalweg_ir::{
    Bits, Class, DType, Error, ErrorKind, Fragment, Op, Operand, Primitive, Result,
    program::{Bindings, Node, Program, scalar_bits},
    shape::{Type, count},
};

use super::storage;
use crate::ops::{self, Array, index::OutOfRange};

/// Elements of which it is asked first whether there is memory for them.
const LARGE: usize = 1 << 20;

/// The values of the program's outputs.
pub(super) fn run(program: &Program, bindings: &Bindings) -> Result<Vec<Rc<Vec<f64>>>> {
    let mut uses = vec![0usize; program.nodes.len()];
    for node in &program.nodes {
        node.inputs.iter().for_each(|i| uses[*i] += 1);
    }
    program.outputs.iter().for_each(|o| uses[o.node] += 1);

    let mut values: Vec<Option<Rc<Vec<f64>>>> = vec![None; program.nodes.len()];
    for (at, node) in program.nodes.iter().enumerate() {
        let value = match &node.op {
            Op::Leaf => match node.slot.and_then(|slot| bindings.leaves.get(slot)) {
                Some(region) => Rc::new(storage::load(region)?),
                None => return Err(fault(node, "a leaf without a region")),
            },
            Op::Scalar(Bits(x)) => Rc::new(vec![match node.slot.and_then(|slot| bindings.scalars.get(slot)) {
                Some(bound) => number(node.dtype, *bound),
                None => constant(node.dtype, *x),
            }]),
            // The same elements in the same order.
            Op::Reshape | Op::Detach | Op::Again(_) => input(&values, node, 0)?,
            _ => Rc::new(compute(&program.nodes, node, &values)?),
        };
        if value.len() != count(&node.shape) {
            return Err(fault(node, &format!("{} values for shape {:?}", value.len(), node.shape)));
        }
        values[at] = (uses[at] > 0).then_some(value);
        for i in &node.inputs {
            uses[*i] -= 1;
            if uses[*i] == 0 {
                values[*i] = None;
            }
        }
    }
    program
        .outputs
        .iter()
        .map(|o| values[o.node].clone().ok_or_else(|| fault(&program.nodes[o.node], "no value")))
        .collect()
}

/// The value of a number that is bound to a run: as a device gets it, but in F64.
fn number(dtype: DType, x: f64) -> f64 {
    match dtype.class() {
        Class::Float => constant(dtype, x),
        Class::Int => f64::from(scalar_bits(x, dtype) as i32),
        Class::Uint | Class::Bool => f64::from(scalar_bits(x, dtype)),
    }
}

/// The value of a number that is part of the program.
fn constant(dtype: DType, x: f64) -> f64 {
    match dtype {
        // Not rounded to 16 bits: that happens to what is computed with it.
        DType::F16 | DType::BF16 => DType::F32.round(x),
        _ => dtype.round(x),
    }
}

fn input(values: &[Option<Rc<Vec<f64>>>], node: &Node, i: usize) -> Result<Rc<Vec<f64>>> {
    let value = node.inputs.get(i).and_then(|at| values.get(*at)).and_then(Clone::clone);
    value.ok_or_else(|| fault(node, &format!("input {i} has no value")))
}

/// The value of one node that computes something, rounded to its dtype.
fn compute(nodes: &[Node], node: &Node, values: &[Option<Rc<Vec<f64>>>]) -> Result<Vec<f64>> {
    let held: Vec<Rc<Vec<f64>>> = (0..node.inputs.len()).map(|i| input(values, node, i)).collect::<Result<_>>()?;
    let of = |i: usize| &nodes[node.inputs[i]];
    let x: Vec<Array> = held.iter().enumerate().map(|(i, v)| Array { data: v, shape: &of(i).shape }).collect();
    let need = match &node.op {
        Op::Leaf | Op::Scalar(_) | Op::Iota(_) | Op::Concat(_) | Op::Pack(_) => 0,
        Op::Random => 4,
        Op::Select => 3,
        Op::Binary(_) | Op::Matmul | Op::Conv(_) | Op::ConvInput(_) | Op::ConvWeight(_) | Op::Gather(_) => 2,
        _ => 1,
    };
    if x.len() < need {
        return Err(fault(node, &format!("{} inputs, not {need}", x.len())));
    }
    let shape = &node.shape;
    if count(shape) > LARGE && Vec::<f64>::new().try_reserve_exact(count(shape)).is_err() {
        let problem = format!("no memory for {} elements of shape {shape:?}, in {}", count(shape), node.label);
        return Err(Error::new(node.op.name(), ErrorKind::Memory(problem)));
    }
    let range = |e: OutOfRange| {
        let OutOfRange { index, axis, extent } = e;
        node.label.error(ErrorKind::Index { index, axis, extent })
    };
    let mut y = match &node.op {
        Op::Leaf | Op::Scalar(_) => return Err(fault(node, "not a computation")),
        Op::Reshape | Op::Detach | Op::Again(_) => x[0].data.to_vec(),
        Op::Iota(axis) => ops::movement::iota(*axis, shape),
        Op::Random => {
            let word = |i: usize| x[i].data[0] as u32;
            ops::random::random(count(shape), [word(0), word(1)], word(2), word(3))
        }
        Op::Unary(op) => ops::unary::unary(*op, x[0].data),
        Op::Binary(op) => ops::binary::binary(*op, of(0).dtype, x[0].data, x[1].data),
        Op::Select => ops::binary::select(x[0].data, x[1].data, x[2].data),
        Op::Cast => ops::cast::cast(of(0).dtype, node.dtype, x[0].data),
        Op::Reduce(op, axes) => ops::reduce::reduce(*op, axes, of(0).dtype, x[0]),
        Op::Permute(perm) => ops::movement::permute(perm, x[0]),
        Op::Expand => ops::movement::expand(shape, x[0]),
        Op::Slice { start, step } => ops::movement::slice(start, step, shape, x[0]),
        Op::Pad { before, fill } => ops::movement::pad(before, node.dtype.round(fill.0), shape, x[0]),
        Op::Windows { window, fill, aligned } => {
            ops::windows::windows(window, node.dtype.round(fill.0), *aligned, shape, x[0])
        }
        Op::WindowsAdjoint(window) => ops::windows::windows_adjoint(window, shape, x[0]),
        Op::Matmul => ops::matmul::matmul(x[0], x[1]),
        Op::Conv(conv) => ops::conv::conv(conv, shape, x[0], x[1]),
        Op::ConvInput(conv) => ops::conv::conv_input(conv, shape, x[0], x[1]),
        Op::ConvWeight(conv) => ops::conv::conv_weight(conv, shape, x[0], x[1]),
        Op::Gather(axis) => ops::index::gather(*axis, x[0], x[1]).map_err(range)?,
        Op::Concat(axis) => ops::concat::concat(*axis, &x),
        Op::Part(primitive, k) => part(nodes, node, (primitive, *k), &x)?,
        Op::Pack(offsets) => ops::concat::pack(offsets, count(shape), &x),
    };
    // A view of a number is one.
    if node.dtype != DType::F64 && !node.op.is_view() {
        y.iter_mut().for_each(|y| *y = node.dtype.round(*y));
    }
    Ok(y)
}

/// One result of a primitive.
fn part(nodes: &[Node], node: &Node, (primitive, k): (&Primitive, usize), x: &[Array]) -> Result<Vec<f64>> {
    let results = match primitive {
        Primitive::Scan(of) => {
            let step: &Fragment = of.step.program().ok_or_else(|| fault(node, "no step"))?;
            ops::scan::scan(of, x, |taken| fragment(step, taken))?
        }
        other => {
            let operands: Vec<Operand<'_>> = x.iter().map(|x| Operand { data: x.data, shape: x.shape }).collect();
            let types: Vec<Type> = node.inputs.iter().map(|i| nodes[*i].type_of()).collect();
            other.reference(&operands, &types).ok_or_else(|| fault(node, "no definition"))?
        }
    };
    results.into_iter().nth(k).ok_or_else(|| fault(node, "no such result"))
}

/// What a piece of a program gives.
fn fragment(of: &Fragment, taken: &[&[f64]]) -> Result<Vec<Vec<f64>>> {
    let mut values: Vec<Option<Rc<Vec<f64>>>> = Vec::with_capacity(of.nodes.len());
    for node in &of.nodes {
        let value = match (&node.op, node.slot) {
            (Op::Leaf, Some(slot)) => taken[slot].to_vec(),
            (Op::Scalar(Bits(x)), _) => vec![constant(node.dtype, *x)],
            _ => compute(&of.nodes, node, &values)?,
        };
        values.push(Some(Rc::new(value)));
    }
    of.outputs
        .iter()
        .map(|id| values[*id].as_ref().map(|v| v.to_vec()).ok_or_else(|| fault(&of.nodes[*id], "no value")))
        .collect()
}

/// An error at a node, named by its label: op, parameter path and source position.
fn fault(node: &Node, problem: &str) -> Error {
    Error::new(node.op.name(), ErrorKind::Device(format!("{problem}, in {}", node.label)))
}
