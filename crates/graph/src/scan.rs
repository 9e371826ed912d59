//! A step, recorded once and walked over sequences: recurrent nets of any length are as large a graph as one step.

mod piece;
mod recorded;
mod sums;

use std::{panic::Location, sync::Arc};

use thalweg_ir::{Error, ErrorKind, Result, op::scan::Part, shape::Type};

use crate::{device::Device, tensor::Tensor};

use recorded::{Scanned, Step, of_rows, to_rows};

/// `(carry, y_t) = f(carry, x_t)` for `t = 0 … T-1`: gives the last carry, and the `y_t` stacked. A carry keeps its shape and dtype.
///
/// `f` runs once, on tensors that have no value yet; what it computes is one step, and all steps together are planned like one. What it
/// takes from outside (parameters, say) is the same in all steps, a draw too: a dropout inside drops the same in every step. What
/// depends on neither carry nor sequences is computed once.
///
/// The gradient walks backwards over the steps, and computes each again from its carry and from what it gave: a `y` that the gradient
/// needs is read back, and of a step nothing else is kept until then. A value that takes long to compute, like a product, is better
/// given than computed twice, whether or not anybody else reads it.
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
