//! Derivatives of functions, against what paper gives.

use std::sync::OnceLock;

use thalweg_graph::{
    DType, Device, Result, Tensor,
    functional::{grad, hvp, jvp, value_and_grad, vjp},
};
use thalweg_tests::strict;

/// `f(x, y) = Σ x³ y`.
fn cubic(xs: &[Tensor]) -> Tensor {
    (xs[0].square() * &xs[0] * &xs[1]).sum(..)
}

fn vector(values: &[f64]) -> Tensor {
    // Tensors of different devices do not mix, so all are of one.
    static DEVICE: OnceLock<Device> = OnceLock::new();
    Tensor::from_slice(DEVICE.get_or_init(strict), values, [values.len()])
}

#[test]
fn gradients_of_a_cubic() -> Result<()> {
    let (x, y) = (vector(&[1.0, 2.0]), vector(&[3.0, -1.0]));
    assert_eq!(x.dtype(), DType::F64);
    let (value, grads) = value_and_grad(cubic, &[x.clone(), y.clone()])?;
    assert_eq!(value.item()?, 3.0 - 8.0);
    assert_eq!(grads[0].to_vec::<f64>()?, [9.0, -12.0]);
    assert_eq!(grads[1].to_vec::<f64>()?, [1.0, 8.0]);
    Ok(())
}

#[test]
fn gradients_nest() -> Result<()> {
    let x = vector(&[2.0]);
    // d²/dx² x⁴ = 12 x², with the inner argument computed from the outer one.
    let second = grad(
        |xs| {
            let first = grad(|ys| (ys[0].square().square() * 1.0).sum(..), &[&xs[0] * 1.0]);
            first.map_or_else(|e| panic!("{e}"), |g| g[0].sum(..))
        },
        &[x],
    )?;
    assert_eq!(second[0].to_vec::<f64>()?, [48.0]);
    Ok(())
}

#[test]
fn products_with_the_jacobian_from_both_sides() -> Result<()> {
    // f(x) = (x₀ x₁, x₀²), J = [[x₁, x₀], [2 x₀, 0]].
    let f = |xs: &[Tensor]| {
        let (a, b) = (xs[0].slice(0, 0..1), xs[0].slice(0, 1..2));
        (&a * b).concat_with(&[a.square()], 0)
    };
    let x = vector(&[3.0, 5.0]);
    let (y, left) = vjp(f, std::slice::from_ref(&x), &vector(&[1.0, 10.0]))?;
    assert_eq!(y.to_vec::<f64>()?, [15.0, 9.0]);
    assert_eq!(left[0].to_vec::<f64>()?, [5.0 + 60.0, 3.0]);
    let (_, right) = jvp(f, &[x], &[vector(&[1.0, 10.0])])?;
    assert_eq!(right.to_vec::<f64>()?, [5.0 + 30.0, 6.0]);
    Ok(())
}

#[test]
fn products_with_the_hessian() -> Result<()> {
    // Of Σ x³ y: ∂²/∂x² = 6 x y, ∂²/∂x∂y = 3 x².
    let (x, y) = (vector(&[1.0, 2.0]), vector(&[3.0, -1.0]));
    let h = hvp(cubic, &[x, y], &[vector(&[1.0, 1.0]), vector(&[0.0, 2.0])])?;
    assert_eq!(h[0].to_vec::<f64>()?, [18.0, -12.0 + 24.0]);
    assert_eq!(h[1].to_vec::<f64>()?, [3.0, 12.0]);
    Ok(())
}

#[test]
fn what_does_not_depend_on_an_argument_has_gradient_zero() -> Result<()> {
    let (x, y) = (vector(&[1.0]), vector(&[2.0]));
    let grads = grad(|xs| xs[0].sum(..), &[x, y])?;
    assert_eq!(grads[1].to_vec::<f64>()?, [0.0]);
    Ok(())
}

#[test]
fn messages() {
    let x = vector(&[1.0, 2.0]);
    let error = grad(|xs| xs[0].clone(), std::slice::from_ref(&x)).unwrap_err().to_string();
    assert!(error.contains("is no scalar; sum it, or use vjp()"), "{error}");
    let error = jvp(|xs| xs[0].clone(), std::slice::from_ref(&x), &[]).unwrap_err().to_string();
    assert!(error.contains("give one vector for each argument"), "{error}");
    let error = jvp(|_| x.clone(), &[], &[]).unwrap_err().to_string();
    assert!(error.contains("no arguments to differentiate by"), "{error}");
    let error = hvp(|xs| xs[0].sum(..), std::slice::from_ref(&x), &[vector(&[1.0])]).unwrap_err().to_string();
    assert!(error.contains("a vector must be shaped as its argument"), "{error}");
}
