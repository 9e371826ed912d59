//! Recomputation: a part of a graph whose intermediate values are computed again in the backward pass instead of being kept.

use std::collections::BTreeMap;

use smallvec::smallvec;
use thalweg_ir::{
    ErrorKind, Op,
    map::{Map, Set},
};

use crate::{
    autodiff::walk,
    tensor::{Rule, Tensor, next_id},
};

/// `f(inputs)`, whose intermediate values the backward pass computes again instead of keeping them: less memory for some time.
///
/// What is differentiated through `f` is the recorded graph, computed twice; `f` itself runs once, so draws (dropout) are the same
/// both times, and states (running statistics) are set once. Gradients have the same bits as without; in mixed precision, in which
/// what is kept is rounded, they are as good. Nothing is computed again for a part whose value was read before `backward`, beyond what
/// that has let go of.
///
/// # Errors
/// The error that an input or the result carries.
///
/// # Source
/// Chen et al. 2016, arXiv:1604.06174.
#[track_caller]
pub fn checkpoint(inputs: &[&Tensor], f: impl FnOnce(&[Tensor]) -> Tensor) -> Tensor {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let first = next_id();
    let y = f(&inputs);
    if y.check().is_err() || !y.is_tracked() {
        return y;
    }
    // What the part reads: whatever was there before it began. A gradient goes to each.
    let (mut seen, mut stack, mut sources) = (Set::default(), vec![y.clone()], BTreeMap::new());
    while let Some(node) = stack.pop() {
        if !seen.insert(node.id()) {
            continue;
        }
        match node.id() < first || matches!(node.0.op, Op::Leaf) {
            true => drop(sources.insert(node.id(), node)),
            false => stack.extend(node.inputs()),
        }
    }
    if sources.contains_key(&y.id()) {
        return y;
    }
    let (shape, dtype, device) = (y.shape().to_vec(), y.dtype(), y.device().clone());
    let inputs = std::iter::once(y).chain(sources.into_values()).collect();
    // The first input is what it shows; the others are what that was computed from, to which gradients go.
    let rule = Rule::new("checkpoint", |inputs, y, g| vjp(y, inputs, g));
    Tensor::ruled(Op::Detach, inputs, shape, dtype, &device, rule, std::panic::Location::caller())
}

/// The gradients of a checkpoint's inputs: its part is recorded again on sources that no pass takes for the old ones, and
/// differentiated.
fn vjp(node: &Tensor, inputs: &[Tensor], g: &Tensor) -> Result<Vec<Option<Tensor>>, ErrorKind> {
    let (y, sources) = (&inputs[0], &inputs[1..]);
    let mut copies: Map<u64, Tensor> = Map::default();
    let mut again = Vec::with_capacity(sources.len());
    for source in sources {
        let (shape, dtype, device) = (source.shape().to_vec(), source.dtype(), source.device());
        let op = Op::Again(node.id());
        let copy = Tensor::node(op, smallvec![source.clone()], shape, dtype, device, source.0.origin.location);
        copies.insert(source.id(), copy.clone());
        again.push(copy);
    }
    let mut part: BTreeMap<u64, Tensor> = BTreeMap::new();
    let mut stack = vec![y.clone()];
    while let Some(node) = stack.pop() {
        if !copies.contains_key(&node.id()) && part.insert(node.id(), node.clone()).is_none() {
            stack.extend(node.inputs());
        }
    }
    for (id, old) in part {
        let copy = old.again(old.inputs().iter().map(|input| copies[&input.id()].clone()).collect());
        copies.insert(id, copy);
    }
    let stops: Vec<u64> = again.iter().map(Tensor::id).collect();
    let mut grads = walk(&[(&copies[&y.id()], g)], &stops).map_err(|e| e.kind().clone())?;
    let of_source = |copy: &Tensor| if copy.is_tracked() { grads.remove(copy) } else { None };
    Ok(std::iter::once(None).chain(again.iter().map(of_source)).collect())
}
