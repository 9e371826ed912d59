//! A step, recorded once and walked over sequences: recurrent nets of any length are as large a graph as one step.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::Location,
    sync::Arc,
};

use thalweg_ir::{
    Error, ErrorKind, Fragment, Node, Op, Primitive, Result,
    op::{
        compound::Compound,
        scan::{Part, Scan, row},
    },
    shape::Type,
};

use crate::{
    autodiff::walk,
    device::Device,
    eval::label,
    tensor::{Role, Rule, Tensor},
};

/// What a recorded step takes and gives, as tensors without values.
struct Step {
    carries: Vec<Tensor>,
    sequences: Vec<Tensor>,
    /// Of each carry what the next step takes.
    next: Vec<Tensor>,
    ys: Vec<Tensor>,
}

/// `(carry, y_t) = f(carry, x_t)` for `t = 0 … T-1`: gives the last carry, and the `y_t` stacked. A carry keeps its shape and dtype.
///
/// `f` runs once, on tensors that have no value yet; what it computes is one step, and all steps together are planned like one. What it
/// takes from outside (parameters, say) is the same in all steps, a draw too: a dropout inside drops the same in every step. What
/// depends on neither carry nor sequences is computed once.
///
/// The gradient walks backwards over the steps, and computes each again from its carry: of a step nothing else is kept.
///
/// ```
/// # use thalweg_graph::{Tensor, scan};
/// # fn sums(zero: &Tensor, xs: &Tensor) -> thalweg_graph::Result<Tensor> {
/// let (carry, ys) = scan(&[zero], &[xs], |carry, x| {
///     let sum = &carry[0] + &x[0];
///     (vec![sum.clone()], vec![sum])
/// })?;
/// # Ok(ys[0].clone()) }
/// ```
///
/// # Shapes
/// Carries `[..]`, sequences `[T, ..]`; `f` sees `[..]` of each → carries `[..]`, `[T, ..]` of each `y`
/// # Errors
/// The error that an input or a result of `f` carries; neither carry nor sequence; sequences of several lengths; a carry that changes
/// shape or dtype; a value that `f` reads.
///
/// # Source
/// JAX's `lax.scan`.
#[track_caller]
pub fn scan(
    carries: &[&Tensor],
    sequences: &[&Tensor],
    f: impl Fn(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    scan_along(carries, sequences, false, f)
}

/// As [`scan`], from the last step to the first; `y_t` stands at `t` all the same.
///
/// # Errors
/// As [`scan`].
#[track_caller]
pub fn scan_back(
    carries: &[&Tensor],
    sequences: &[&Tensor],
    f: impl Fn(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    scan_along(carries, sequences, true, f)
}

#[track_caller]
fn scan_along(
    carries: &[&Tensor],
    sequences: &[&Tensor],
    reverse: bool,
    f: impl Fn(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let location = Location::caller();
    for tensor in carries.iter().chain(sequences) {
        tensor.check()?;
    }
    let invalid = |problem: String| Error::at("scan", ErrorKind::Invalid(problem), location, None);
    let Some(first) = carries.iter().chain(sequences).next() else {
        return Err(invalid("has neither a carry nor a sequence".into()));
    };
    let device = Device::meet(first.device(), carries.iter().chain(sequences).map(|t| t.device()));
    let steps = match sequences.first() {
        Some(x) => x.dim(0)?,
        None => return Err(invalid("has no sequence, and so no number of steps; walk over `Tensor::arange`".into())),
    };
    if let Some(other) = sequences.iter().find(|x| x.shape().first() != Some(&steps)) {
        let shape = other.shape().to_vec();
        let problem = format!("is another number of steps than {steps}");
        return Err(Error::at("scan", ErrorKind::Shape { shape, problem }, location, None));
    }
    let carries: Vec<Tensor> = carries.iter().map(|carry| (*carry).clone()).collect();
    if device.eager() && steps > 0 {
        return one_by_one(carries, sequences, (steps, reverse), location, f);
    }
    let taken = |of: Type| Tensor::taken(of, &device, location);
    let of_step = |x: &&Tensor| Type { shape: x.shape()[1..].to_vec(), dtype: x.dtype() };
    let (carry, rows): (Vec<Tensor>, Vec<Tensor>) =
        (carries.iter().map(|c| taken(c.type_of())).collect(), sequences.iter().map(|x| taken(of_step(x))).collect());
    let (next, ys) = f(&carry, &rows);
    check_step(&carry, &next, &ys, location)?;
    if steps == 0 {
        let nothing = |y: &Tensor| Tensor::full(&device, 0.0, [&[0], y.shape()].concat(), y.dtype());
        return Ok((carries, ys.iter().map(nothing).collect()));
    }
    let sequences: Vec<Tensor> = sequences.iter().map(|x| to_rows(x)).collect();
    let step = Arc::new(Step { carries: carry, sequences: rows, next, ys });
    let scanned = Scanned::record(&step, &carries, &sequences, (steps, reverse), &device, location);
    let ends = (0..carries.len()).map(|c| scanned.result(Part::End(c))).collect();
    let ys = step.ys.iter().enumerate().map(|(y, of)| of_rows(&scanned.result(Part::Row(y)), of.shape())).collect();
    Ok((ends, ys))
}

/// An error if a step does not give what the next one takes, or gives what cannot be computed.
fn check_step(carry: &[Tensor], next: &[Tensor], ys: &[Tensor], location: &'static Location<'static>) -> Result<()> {
    let invalid = |problem: String| Err(Error::at("scan", ErrorKind::Invalid(problem), location, None));
    if next.len() != carry.len() {
        return invalid(format!("takes {} carries, and its step gives {}", carry.len(), next.len()));
    }
    for result in next.iter().chain(ys) {
        result.check()?;
    }
    for (i, (before, after)) in carry.iter().zip(next).enumerate() {
        if before.type_of() != after.type_of() {
            let text = |t: &Tensor| format!("{} {:?}", t.dtype(), t.shape());
            return invalid(format!("carry {i} is {}, and a step makes it {}", text(before), text(after)));
        }
    }
    Ok(())
}

/// Every step by a call: for those who want to see a value as soon as it is there.
#[track_caller]
fn one_by_one(
    mut carry: Vec<Tensor>,
    sequences: &[&Tensor],
    (steps, reverse): (usize, bool),
    location: &'static Location<'static>,
    f: impl Fn(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let at = |t: usize| -> Vec<Tensor> { sequences.iter().map(|x| x.narrow(0, t, 1).squeeze(0)).collect() };
    let mut lines: Vec<Vec<Tensor>> = Vec::new();
    for i in 0..steps {
        let (next, ys) = f(&carry, &at(if reverse { steps - 1 - i } else { i }));
        check_step(&carry, &next, &ys, location)?;
        carry = next;
        lines.resize(ys.len(), Vec::new());
        lines.iter_mut().zip(ys).for_each(|(line, y)| line.push(y));
    }
    if reverse {
        lines.iter_mut().for_each(|line| line.reverse());
    }
    Ok((carry, lines.iter().map(|line| Tensor::stack(line, 0)).collect()))
}

/// `[T, ..]` as rows whose length is a multiple of what kernels read at once.
#[track_caller]
fn to_rows(x: &Tensor) -> Tensor {
    let (steps, elements) = (x.shape()[0], x.shape()[1..].iter().product());
    let more = row(elements) - elements;
    x.reshape([steps, elements]).pad(&[(0, 0), (0, more as isize)], 0.0)
}

/// Back: rows as `[T, ..]`.
#[track_caller]
fn of_rows(rows: &Tensor, shape: &[usize]) -> Tensor {
    let elements: usize = shape.iter().product();
    rows.narrow(1, 0, elements).reshape([&rows.shape()[..1], shape].concat())
}

/// A recorded scan.
struct Scanned {
    op: Scan,
    /// One of its results, of which all others are siblings.
    first: Tensor,
}

impl Scanned {
    fn record(
        step: &Arc<Step>,
        carries: &[Tensor],
        sequences: &[Tensor],
        (steps, reverse): (usize, bool),
        device: &Device,
        location: &'static Location<'static>,
    ) -> Scanned {
        let Piece { fragment, constants } = Piece::of(step);
        let (carried, walked) = (carries.len(), sequences.len());
        let op = Scan { step: fragment.recorded(), carries: carried, sequences: walked, steps, reverse };
        let inputs = carries.iter().chain(sequences).chain(&constants).cloned().collect();
        let outputs = op.outputs(&[]);
        let (of, by) = (op.clone(), step.clone());
        let rule = Rule::joint("scan", outputs.len(), move |y, gs| {
            let scanned = Scanned { op: of.clone(), first: y.clone() };
            scanned.vjp(&by, gs).map_err(|error| error.kind().clone())
        });
        let Type { shape, dtype } = outputs[0].clone();
        let part = Op::Part(Primitive::Scan(op.clone()), 0);
        Scanned { op, first: Tensor::ruled(part, inputs, shape, dtype, device, rule, location) }
    }

    /// A result. Those that nobody asks for are not computed.
    fn result(&self, part: Part) -> Tensor {
        let k = self.op.number(part);
        self.first.sibling(k, self.op.outputs(&[])[k].clone())
    }

    /// The gradients of the inputs, by a walk the other way over what each step took and the gradients of what it gave: its carries are
    /// the gradients of the carries, and the sums of those of the constants.
    fn vjp(&self, step: &Step, gs: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Scan { carries, sequences, steps, reverse, .. } = self.op;
        let (inputs, device, location) = (self.first.inputs(), self.first.device(), self.first.0.origin.location);
        let constants = &inputs[carries + sequences..];
        let taken = |like: &Tensor| Tensor::taken(like.type_of(), device, location);
        let g = |part: Part| gs[self.op.number(part)].clone();
        // Row t of the carries before every step is what step t took; the row left is the end.
        let rows = |of: &Tensor| of.narrow(0, usize::from(reverse), steps);
        let last = if reverse { 0 } else { steps };

        let mut back = Back::default();
        let (mut given, mut upstream): (Vec<&Tensor>, Vec<Tensor>) = Default::default();
        let mut flows: Vec<Option<(usize, Option<Tensor>)>> = Vec::new();
        for (c, next) in step.next.iter().enumerate() {
            if !next.dtype().is_float() {
                flows.push(None);
                continue;
            }
            // What flows into a carry from outside: into its end, and, where somebody differentiates this, into each row.
            let (end, before) = (g(Part::End(c)), g(Part::Before(c)));
            let of_end = before.as_ref().map(|g| of_rows(&g.narrow(0, last, 1), next.shape()).squeeze(0));
            let start = match (end, of_end) {
                (Some(a), Some(b)) => a + b,
                (Some(g), None) | (None, Some(g)) => g,
                (None, None) => Tensor::full(device, 0.0, next.shape(), next.dtype()),
            };
            let flow = taken(next);
            let beside = before.map(|g| {
                let beside = taken(next);
                back.sequence(&beside, rows(&g));
                beside
            });
            given.push(next);
            upstream.push(flow.clone());
            flows.push(Some((back.carry(flow, start), beside)));
        }
        for (y, of) in step.ys.iter().enumerate() {
            if let Some(g) = g(Part::Row(y)).filter(|_| of.dtype().is_float()) {
                let flow = taken(of);
                back.sequence(&flow, g);
                given.push(of);
                upstream.push(flow);
            }
        }
        for (c, carry) in step.carries.iter().enumerate() {
            back.sequence(carry, rows(&self.result(Part::Before(c))));
        }
        for (s, sequence) in step.sequences.iter().enumerate() {
            back.sequence(sequence, inputs[carries + s].clone());
        }

        let from: Vec<(&Tensor, &Tensor)> =
            given.into_iter().zip(&upstream).filter(|(given, _)| given.is_tracked()).collect();
        let stops: Vec<u64> = constants.iter().map(Tensor::id).collect();
        let mut grads = walk(&from, &stops)?;
        for (flow, carry) in flows.iter().zip(&step.carries) {
            if let Some((number, beside)) = flow {
                let grad = grads.remove(carry).unwrap_or_else(|| carry.zeros_like());
                back.next[*number] = Some(beside.iter().fold(grad, |sum, more| sum + more));
            }
        }
        let of_sequences: Vec<Option<usize>> = (0..sequences)
            .map(|s| {
                let grad = grads.remove(&step.sequences[s]).filter(|_| inputs[carries + s].is_tracked())?;
                back.ys.push(grad);
                Some(back.ys.len() - 1)
            })
            .collect();
        let sums: Vec<Option<usize>> = constants
            .iter()
            .map(|constant| {
                let grad = grads.remove(constant).filter(|_| constant.is_tracked())?.widened();
                let zero = Tensor::full(device, 0.0, grad.shape(), grad.dtype());
                let sum = taken(&grad);
                let number = back.carry(sum.clone(), zero);
                back.next[number] = Some(sum + grad);
                Some(number)
            })
            .collect();

        let Some(scanned) = back.record((steps, !reverse), device, location) else {
            return Ok(vec![None; inputs.len()]);
        };
        let end = |number: usize| scanned.result(Part::End(number));
        let of_carries = flows.iter().map(|flow| flow.as_ref().map(|(number, _)| end(*number)));
        let of_sequences = of_sequences.iter().map(|y| y.map(|y| scanned.result(Part::Row(y))));
        let of_constants =
            sums.iter().zip(constants).map(|(sum, constant)| sum.map(|number| end(number).cast(constant.dtype())));
        Ok(of_carries.chain(of_sequences).chain(of_constants).collect())
    }
}

/// A step back in the making, with what it is to walk over.
#[derive(Default)]
struct Back {
    carries: Vec<Tensor>,
    starts: Vec<Tensor>,
    next: Vec<Option<Tensor>>,
    sequences: Vec<Tensor>,
    rows: Vec<Tensor>,
    ys: Vec<Tensor>,
}

impl Back {
    /// One more carry; gives its number. What the next step takes is said later.
    fn carry(&mut self, taken: Tensor, start: Tensor) -> usize {
        self.carries.push(taken);
        self.starts.push(start);
        self.next.push(None);
        self.next.len() - 1
    }

    /// One more sequence, and what a step takes of it.
    fn sequence(&mut self, taken: &Tensor, rows: Tensor) {
        self.sequences.push(taken.clone());
        self.rows.push(rows);
    }

    /// The scan, unless there is nothing to compute.
    fn record(self, along: (usize, bool), device: &Device, location: &'static Location<'static>) -> Option<Scanned> {
        let Back { carries, starts, next, sequences, rows, ys } = self;
        if carries.is_empty() && ys.is_empty() {
            return None;
        }
        let next = next.into_iter().zip(&carries).map(|(next, carry)| next.unwrap_or_else(|| carry.clone())).collect();
        let step = Arc::new(Step { carries, sequences, next, ys });
        Some(Scanned::record(&step, &starts, &rows, along, device, location))
    }
}

/// A step as a piece of a program, and what it reads that is the same in all steps.
struct Piece {
    fragment: Fragment,
    constants: Vec<Tensor>,
}

impl Piece {
    fn of(step: &Step) -> Piece {
        let taken: Vec<&Tensor> = step.carries.iter().chain(&step.sequences).collect();
        let given: Vec<&Tensor> = step.next.iter().chain(&step.ys).collect();
        let all = reachable(&given);
        // What depends on what the step takes is done in every step.
        let mut varies: HashSet<u64> = taken.iter().map(|t| t.id()).collect();
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
            let is_taken = matches!(tensor.0.role, Role::Taken) && varies.contains(&tensor.id());
            if is_taken || inside.contains_key(&tensor.id()) {
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
            leaves.clone().enumerate().map(|(slot, leaf)| node(leaf, Op::Leaf, vec![], Some(slot))).collect();
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
}

fn node(tensor: &Tensor, op: Op, inputs: Vec<usize>, slot: Option<usize>) -> Node {
    let (shape, dtype, compute) = (tensor.shape().to_vec(), tensor.dtype(), tensor.0.compute);
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
