//! A recorded scan, and its gradient: a scan the other way.

use std::{collections::HashMap, panic::Location, sync::Arc};

use thalweg_ir::{
    DType, Op, Primitive, Result,
    op::{
        compound::Compound,
        scan::{Part, Scan, row},
    },
    shape::Type,
};

use super::{
    piece::Piece,
    sums::{Later, Sums},
};
use crate::{
    autodiff::walk,
    device::Device,
    tensor::{Rule, Tensor},
};

/// What a recorded step takes and gives, as tensors without values.
pub struct Step {
    pub carries: Vec<Tensor>,
    pub sequences: Vec<Tensor>,
    /// Of each carry what the next step takes.
    pub next: Vec<Tensor>,
    pub ys: Vec<Tensor>,
}

/// A recorded scan.
pub struct Scanned {
    op: Scan,
    /// One of its results, of which all others are siblings.
    first: Tensor,
}

impl Scanned {
    pub fn record(
        step: &Arc<Step>,
        carries: &[Tensor],
        sequences: &[Tensor],
        (steps, reverse): (usize, bool),
        device: &Device,
        location: &'static Location<'static>,
    ) -> Scanned {
        let taken: Vec<&Tensor> = step.carries.iter().chain(&step.sequences).collect();
        let given: Vec<&Tensor> = step.next.iter().chain(&step.ys).collect();
        let Piece { fragment, constants } = Piece::of(&taken, &given);
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
        let part = Op::Part(Primitive::Scan(op.clone()).into(), 0);
        Scanned { op, first: Tensor::ruled(part, inputs, shape, dtype, device, rule, location) }
    }

    /// A result. Those that nobody asks for are not computed.
    pub fn result(&self, part: Part) -> Tensor {
        let k = self.op.number(part);
        self.first.sibling(k, self.op.outputs(&[])[k].clone())
    }

    /// The gradients of the inputs, by a walk the other way over what each step took and gave and the gradients of what it gave. Its
    /// carries are the gradients of the carries; those of the constants are summed over the steps, behind the walk where that is less
    /// work.
    fn vjp(&self, step: &Step, gs: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Scan { carries, sequences, steps, reverse, .. } = self.op;
        let (inputs, device, location) = (self.first.inputs(), self.first.device(), self.first.0.origin.location);
        let constants = &inputs[carries + sequences..];
        let taken = |like: &Tensor| Tensor::taken(like.type_of(), device, location);
        let g = |part: Part| gs[self.op.number(part)].clone();
        // Row t of the carries before every step is what step t took, or row t + 1; the row left is the end.
        let rows = |of: &Tensor| if reverse { of.narrow(0, 1, steps) } else { of.clone() };
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
        // What a step gave is read again where its gradient needs it, and what only that needed is not computed again.
        for (y, of) in step.ys.iter().enumerate() {
            if back.sequences.iter().all(|sequence| sequence.id() != of.id()) {
                back.sequence(of, self.result(Part::Row(y)));
            }
        }

        let from: Vec<(&Tensor, &Tensor)> =
            given.into_iter().zip(&upstream).filter(|(given, _)| given.is_tracked()).collect();
        // Of a step back, what it reads again of the step is a sequence, and no more to be differentiated than another.
        let stops: Vec<u64> = constants.iter().chain(&step.sequences).map(Tensor::id).collect();
        let mut grads = walk(&from, &stops)?;
        for (flow, carry) in flows.iter().zip(&step.carries) {
            if let Some((number, beside)) = flow {
                let grad = grads.remove(carry).unwrap_or_else(|| carry.zeros_like());
                back.next[*number] = Some(ended(&beside.iter().fold(grad, |sum, more| sum + more)));
            }
        }
        let of_sequences: Vec<Option<usize>> = (0..sequences)
            .map(|s| {
                let grad = grads.remove(&step.sequences[s]).filter(|_| inputs[carries + s].is_tracked())?;
                back.ys.push(grad);
                Some(back.ys.len() - 1)
            })
            .collect();
        let mut sums = back.sums(steps, &step.next);
        let mut of_constants: Vec<Option<Sum>> = constants.iter().map(|_| None).collect();
        // The largest first: what is kept for them is there for the others.
        let mut order: Vec<usize> = (0..constants.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(constants[*i].count()));
        for i in order {
            let Some(grad) = grads.remove(&constants[i]).filter(|_| constants[i].is_tracked()) else { continue };
            let grad = grad.widened();
            of_constants[i] = Some(match sums.sum(&grad) {
                Some(later) => Sum::Rows(later),
                None => {
                    let zero = Tensor::full(device, 0.0, grad.shape(), grad.dtype());
                    let sum = taken(&grad);
                    let number = back.carry(sum.clone(), zero);
                    back.next[number] = Some(sum + grad);
                    Sum::Carry(number)
                }
            });
        }
        back.ys.extend(sums.kept);

        let (ys, walked) = (back.ys.clone(), back.sequences.clone());
        let known = back.rows.clone();
        let Some(scanned) = back.record((steps, !reverse), device, location) else {
            return Ok(vec![None; inputs.len()]);
        };
        let end = |number: usize| scanned.result(Part::End(number));
        let rows: Vec<Tensor> = (0..ys.len()).map(|y| scanned.result(Part::Row(y))).collect();
        // What a step gave is what the next one took.
        let next = |c: usize| self.result(Part::Before(c)).narrow(0, usize::from(!reverse), steps);
        let next: Vec<Tensor> = (0..carries).map(next).collect();
        let whole = step.next.iter().zip(&next).chain(walked.iter().zip(&known)).chain(ys.iter().zip(&rows));
        let whole: HashMap<u64, Tensor> = whole.map(|(of, rows)| (of.id(), of_rows(rows, of.shape()))).collect();
        let of_carries = flows.iter().map(|flow| flow.as_ref().map(|(number, _)| end(*number)));
        let of_sequences = of_sequences.iter().zip(&inputs[carries..]).map(|(y, sequence)| {
            let unread = (sequence.shape()[0] - steps) as isize;
            y.map(|y| rows[y].pad(&[(0, unread), (0, 0)], 0.0))
        });
        let of_constants = of_constants.into_iter().zip(constants).map(|(sum, constant)| {
            let sum = match sum? {
                Sum::Rows(later) => later(&whole),
                Sum::Carry(number) => end(number),
            };
            Some(sum.cast(constant.dtype()))
        });
        Ok(of_carries.chain(of_sequences).chain(of_constants).collect())
    }
}

/// A gradient that goes back over steps, 0 where it has vanished. A processor takes a hundred times as long for an operation on numbers
/// below the normal ones, and what is nearly as small makes such numbers with the next weight.
fn ended(gradient: &Tensor) -> Tensor {
    const VANISHED: f32 = f32::MIN_POSITIVE / f32::EPSILON;
    match gradient.dtype() {
        DType::F32 => gradient.abs().lt(f64::from(VANISHED)).where_(0.0, gradient),
        _ => gradient.clone(),
    }
}

/// How the gradient of a constant is summed over the steps.
enum Sum {
    /// Behind the walk, from rows that it has kept.
    Rows(Later),
    /// From step to step, in this carry.
    Carry(usize),
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

    /// Sums over so many steps of what it walks over, of what it gives, and of the carries that the steps gave.
    fn sums(&self, steps: usize, next: &[Tensor]) -> Sums {
        Sums::new(steps, self.sequences.iter().chain(&self.ys).chain(next))
    }

    /// The scan, unless there is nothing to compute.
    fn record(self, along: (usize, bool), device: &Device, location: &'static Location<'static>) -> Option<Scanned> {
        let Back { carries, starts, next, sequences, rows, ys } = self;
        if carries.is_empty() && ys.is_empty() {
            return None;
        }
        let next: Vec<Tensor> =
            next.into_iter().zip(&carries).map(|(next, carry)| next.unwrap_or_else(|| carry.clone())).collect();
        let given: Vec<&Tensor> = next.iter().chain(&ys).collect();
        let read = Piece::reads(&[&carries[..], &sequences].concat(), &given);
        // What is not read is not kept.
        let walked = sequences.into_iter().zip(rows).filter(|(sequence, _)| read.contains(&sequence.id()));
        let (sequences, rows): (Vec<Tensor>, Vec<Tensor>) = walked.unzip();
        let step = Arc::new(Step { carries, sequences, next, ys });
        Some(Scanned::record(&step, &starts, &rows, along, device, location))
    }
}

/// `[T, ..]` as rows whose length is a multiple of what kernels read at once.
#[track_caller]
pub fn to_rows(x: &Tensor) -> Tensor {
    let (steps, elements) = (x.shape()[0], x.shape()[1..].iter().product());
    let more = row(elements) - elements;
    x.reshape([steps, elements]).pad(&[(0, 0), (0, more as isize)], 0.0)
}

/// Back: rows as `[T, ..]`.
#[track_caller]
pub fn of_rows(rows: &Tensor, shape: &[usize]) -> Tensor {
    let elements: usize = shape.iter().product();
    rows.narrow(1, 0, elements).reshape([&rows.shape()[..1], shape].concat())
}
