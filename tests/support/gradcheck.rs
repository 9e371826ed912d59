//! Gradients against finite differences, in f64 on the strict executor, along one random direction.
//!
//! With `D(h) = (L(x + h d) - L(x - h d)) / 2h` and `L(x) = Σ f(x) · u` for a random upstream `u`,
//! `(4 D(h) - D(2h)) / 3 = Σ ∂L/∂x · d + O(h⁴)` (Richardson's extrapolation).

use thalweg_graph::{DType, Device, Result, Rng, Tensor, shape::count};

use crate::{Case, Draw, Seed, strict};

const H: f64 = 1e-5;

/// Holds the gradient of a case against finite differences.
pub fn check_gradient(case: &Case, seed: Seed) {
    let (numeric, analytic) = derivative(case, seed, &|x, _| Ok((case.f)(x)));
    assert_close(&case.name, "gradient", numeric, analytic);
}

/// Holds the gradient of the gradient against finite differences of the gradient.
pub fn check_second(case: &Case, seed: Seed) {
    // L'(x) = Σ ∂L/∂x · v for a fixed random v: a function of x whose gradient is a product with the Hessian.
    let directional = |x: &[Tensor], rng: &mut Rng| {
        let y = (case.f)(x);
        let upstream = random(y.device(), y.shape(), rng);
        let grads = (y * upstream).sum(..).backward()?;
        let mut sum = Tensor::scalar(x[0].device(), 0.0, DType::F64);
        for x in x.iter().filter(|x| x.dtype() == DType::F64) {
            let v = random(x.device(), x.shape(), rng);
            if let Some(g) = grads.get(x) {
                sum += (g * v).sum(..);
            }
        }
        Ok(sum)
    };
    let (numeric, analytic) = derivative(case, seed, &directional);
    assert_close(&case.name, "second derivative", numeric, analytic);
}

/// The derivative of `Σ f · u` along a random direction, by differences and by `backward`.
fn derivative(case: &Case, seed: Seed, f: &dyn Fn(&[Tensor], &mut Rng) -> Result<Tensor>) -> (f64, f64) {
    let device = strict();
    let mut rng = Rng::seed(seed.0);
    let values: Vec<Vec<f64>> = case.inputs.iter().map(|d| d.values(&mut rng)).collect();
    let directions: Vec<Vec<f64>> = values.iter().map(|v| v.iter().map(|_| rng.normal()).collect()).collect();
    // Every evaluation draws the same upstream.
    let loss = |t: f64| -> Result<(Tensor, Vec<Tensor>)> {
        let mut rng = Rng::seed(seed.0.wrapping_add(1));
        let inputs = case.inputs.iter().zip(values.iter().zip(&directions)).map(|(draw, (v, d))| {
            let moved: Vec<f64> = v.iter().zip(d).map(|(v, d)| v + t * d).collect();
            let tensor = draw.tensor(&device, if draw.is_float() { &moved } else { v }, DType::F64);
            if draw.is_float() { tensor.track() } else { tensor }
        });
        let inputs: Vec<Tensor> = inputs.collect();
        let y = f(&inputs, &mut rng)?;
        y.check()?;
        Ok(((&y * random(&device, y.shape(), &mut rng)).sum(..), inputs))
    };
    let value = |t: f64| loss(t).and_then(|(l, _)| l.item()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let difference = |h: f64| (value(h) - value(-h)) / (2.0 * h);
    let numeric = (4.0 * difference(H) - difference(2.0 * H)) / 3.0;

    let analytic = || -> Result<f64> {
        let (l, inputs) = loss(0.0)?;
        if !l.is_tracked() {
            return Ok(0.0);
        }
        let grads = l.backward()?;
        let mut sum = 0.0;
        for (x, d) in inputs.iter().zip(&directions) {
            if let Some(g) = grads.get(x) {
                assert_eq!(g.shape(), x.shape(), "{}: shape of a gradient", case.name);
                sum += g.to_vec::<f64>()?.iter().zip(d).map(|(g, d)| g * d).sum::<f64>();
            }
        }
        Ok(sum)
    };
    (numeric, analytic().unwrap_or_else(|e| panic!("{}: {e}", case.name)))
}

fn random(device: &Device, shape: &[usize], rng: &mut Rng) -> Tensor {
    let values: Vec<f64> = (0..count(shape)).map(|_| rng.normal()).collect();
    Draw::Uniform(shape.to_vec(), 0.0, 0.0).tensor(device, &values, DType::F64)
}

fn assert_close(name: &str, what: &str, numeric: f64, analytic: f64) {
    // What is left is of order h⁴ times the fifth derivative, which counts only close to a pole, and rounding over h: 1e-10.
    let scale = numeric.abs().max(analytic.abs()).max(1.0);
    assert!((numeric - analytic).abs() <= 2e-7 * scale, "{name}: {what} is {analytic}, but differences give {numeric}");
}
