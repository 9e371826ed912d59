//! Derivatives of functions of tensors, as functions.
//!
//! An argument is an independent variable of its function, whatever it was computed from: so these nest, and
//! `grad(|x| grad(f, x))` is a second derivative.

use thalweg_ir::{Error, ErrorKind, Result};

use crate::{autodiff::walk, tensor::Tensor};

/// The arguments as variables: a tracked tensor is one already, others become tracked leaves.
#[track_caller]
fn variables(xs: &[Tensor]) -> Result<Vec<Tensor>> {
    let variable = |x: &Tensor| -> Result<Tensor> {
        let x = if x.is_tracked() { x.clone() } else { x.track() };
        x.check().map(|()| x)
    };
    xs.iter().map(variable).collect()
}

/// `Σ y · upstream` differentiated by each of `xs`; zeros where it does not depend on one.
#[track_caller]
fn pull_back(y: &Tensor, upstream: &Tensor, xs: &[Tensor]) -> Result<Vec<Tensor>> {
    y.check()?;
    upstream.check()?;
    if upstream.shape() != y.shape() {
        let (lhs, rhs) = (upstream.shape().to_vec(), y.shape().to_vec());
        let problem = "differ: the upstream gradient must be shaped as the output".to_string();
        return Err(Error::new("vjp", ErrorKind::Shapes { lhs, rhs, problem }));
    }
    if !y.is_tracked() {
        return Ok(xs.iter().map(Tensor::zeros_like).collect());
    }
    let stops: Vec<u64> = xs.iter().map(Tensor::id).collect();
    let mut grads = walk(&[(y, upstream)], &stops)?;
    Ok(xs.iter().map(|x| grads.remove(x).unwrap_or_else(|| x.zeros_like())).collect())
}

/// The value of a function at `xs`, and the product of `upstream` with its Jacobian: `uᵀ ∂f/∂x` for each argument.
///
/// # Shapes
/// `upstream` as the function's value; each result as its argument.
/// # Errors
/// What the function's value carries; an upstream of another shape; an op without a gradient.
#[track_caller]
pub fn vjp(f: impl FnOnce(&[Tensor]) -> Tensor, xs: &[Tensor], upstream: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
    let xs = variables(xs)?;
    let y = f(&xs);
    let products = pull_back(&y, upstream, &xs)?;
    Ok((y, products))
}

/// The value of a scalar function at `xs`, and its gradient with respect to each argument.
///
/// # Errors
/// As [`vjp`]; a value with more than one element.
#[track_caller]
pub fn value_and_grad(f: impl FnOnce(&[Tensor]) -> Tensor, xs: &[Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
    let xs = variables(xs)?;
    let y = f(&xs);
    y.check()?;
    if y.count() != 1 {
        let problem = "is no scalar; sum it, or use vjp()".to_string();
        return Err(Error::new("grad", ErrorKind::Shape { shape: y.shape().to_vec(), problem }));
    }
    let grads = pull_back(&y, &y.ones_like(), &xs)?;
    Ok((y, grads))
}

/// The gradient of a scalar function with respect to each argument.
///
/// # Errors
/// As [`value_and_grad`].
#[track_caller]
pub fn grad(f: impl FnOnce(&[Tensor]) -> Tensor, xs: &[Tensor]) -> Result<Vec<Tensor>> {
    value_and_grad(f, xs).map(|(_, grads)| grads)
}

/// The value of a function at `xs`, and the product of its Jacobian with tangents: `Σ_i ∂f/∂x_i · v_i`.
///
/// By two reverse passes: `u ↦ uᵀ J` is linear in `u`, and its own transposed product with `v` is `J v`. Costs about three times the
/// function.
///
/// # Shapes
/// Tangents as the arguments; the result as the function's value.
/// # Errors
/// As [`vjp`]; a tangent of another shape.
#[track_caller]
pub fn jvp(f: impl FnOnce(&[Tensor]) -> Tensor, xs: &[Tensor], tangents: &[Tensor]) -> Result<(Tensor, Tensor)> {
    let xs = variables(xs)?;
    same_shapes("jvp", &xs, tangents)?;
    let y = f(&xs);
    y.check()?;
    let upstream = y.ones_like().track();
    let rows = pull_back(&y, &upstream, &xs)?;
    let along = inner("jvp", &rows, tangents)?;
    let mut products = pull_back(&along, &along.ones_like(), &[upstream])?;
    let product = products.pop().ok_or_else(|| no_arguments("jvp"))?;
    Ok((y, product))
}

/// The product of the Hessian of a scalar function with vectors: `Σ_j ∂²f/∂x_i∂x_j · v_j` for each argument, without the
/// Hessian.
///
/// # Shapes
/// Vectors and results as the arguments.
/// # Errors
/// As [`value_and_grad`]; a vector of another shape.
/// # Source
/// Pearlmutter 1994, "Fast exact multiplication by the Hessian".
#[track_caller]
pub fn hvp(f: impl FnOnce(&[Tensor]) -> Tensor, xs: &[Tensor], vectors: &[Tensor]) -> Result<Vec<Tensor>> {
    let xs = variables(xs)?;
    same_shapes("hvp", &xs, vectors)?;
    let grads = grad(f, &xs)?;
    let along = inner("hvp", &grads, vectors)?;
    pull_back(&along, &along.ones_like(), &xs)
}

/// `Σ_i ⟨a_i, b_i⟩`.
#[track_caller]
fn inner(op: &'static str, a: &[Tensor], b: &[Tensor]) -> Result<Tensor> {
    let products = a.iter().zip(b).map(|(a, b)| (a * b).sum(..));
    products.reduce(|sum, x| sum + x).ok_or_else(|| no_arguments(op))
}

#[track_caller]
fn no_arguments(op: &'static str) -> Error {
    Error::new(op, ErrorKind::Invalid("no arguments to differentiate by".into()))
}

#[track_caller]
fn same_shapes(op: &'static str, xs: &[Tensor], vectors: &[Tensor]) -> Result<()> {
    if xs.is_empty() {
        return Err(no_arguments(op));
    }
    if xs.len() != vectors.len() {
        let problem =
            format!("{} arguments and {} vectors; give one vector for each argument", xs.len(), vectors.len());
        return Err(Error::new(op, ErrorKind::Invalid(problem)));
    }
    for (x, v) in xs.iter().zip(vectors) {
        v.check()?;
        if x.shape() != v.shape() {
            let (lhs, rhs) = (x.shape().to_vec(), v.shape().to_vec());
            let problem = "differ: a vector must be shaped as its argument".to_string();
            return Err(Error::new(op, ErrorKind::Shapes { lhs, rhs, problem }));
        }
    }
    Ok(())
}
