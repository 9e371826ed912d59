//! One device against the strict executor: values and gradients.

use thalweg_graph::{DType, Device, Result, Rng, Tensor, shape::count};

use crate::{Case, Draw, Seed, strict};

/// How far f32 results may be apart, as a share of the largest magnitude in the tensor.
#[derive(Clone, Copy, Debug)]
pub struct Tol(pub f64);

impl Tol {
    /// Rounding of a chain of elementwise functions, each within a few units in the last place.
    pub const ELEMENTWISE: Tol = Tol(32.0 * f32::EPSILON as f64);

    /// Rounding of a sum of `terms` terms in any order: `ε · √terms`, times a few for the terms' own errors.
    pub fn reduction(terms: usize) -> Tol {
        Tol(Tol::ELEMENTWISE.0 + 4.0 * f64::from(f32::EPSILON) * (terms as f64).sqrt())
    }
}

/// Runs a case on `device` and on the strict executor in F32 and compares its value and its gradients.
pub fn assert_agree(device: &Device, case: &Case, seed: Seed) {
    let mut rng = Rng::seed(seed.0);
    let values: Vec<Vec<f64>> = case.inputs.iter().map(|d| d.values(&mut rng)).collect();
    let run = |device: &Device| -> Result<Vec<(String, Vec<f64>)>> {
        let inputs: Vec<Tensor> = case
            .inputs
            .iter()
            .zip(&values)
            .map(|(draw, v)| {
                let tensor = draw.tensor(device, v, DType::F32);
                if draw.is_float() { tensor.track() } else { tensor }
            })
            .collect();
        let y = (case.f)(&inputs);
        let mut found = vec![("value".to_string(), y.to_vec::<f64>()?)];
        if y.is_tracked() && y.dtype().is_float() {
            let mut rng = Rng::seed(seed.0 + 1);
            let upstream: Vec<f64> = (0..count(y.shape())).map(|_| rng.normal()).collect();
            let upstream = Draw::Uniform(y.shape().to_vec(), 0.0, 0.0).tensor(device, &upstream, DType::F32);
            let grads = y.backward_from(&upstream)?;
            for (i, x) in inputs.iter().enumerate() {
                if let Some(g) = grads.get(x) {
                    found.push((format!("gradient {i}"), g.to_vec::<f64>()?));
                }
            }
        }
        Ok(found)
    };
    let want = run(&strict()).unwrap_or_else(|e| panic!("{} on strict: {e}", case.name));
    let got = run(device).unwrap_or_else(|e| panic!("{} on {device}: {e}", case.name));
    assert_eq!(want.len(), got.len(), "{}: other gradients on {device}", case.name);
    for ((what, want), (_, got)) in want.iter().zip(&got) {
        assert_close(&format!("{} on {device}, {what}", case.name), got, want, case.tol);
    }
}

fn assert_close(name: &str, got: &[f64], want: &[f64], tol: Tol) {
    assert_eq!(got.len(), want.len(), "{name}: number of elements");
    // Inputs and upstreams are of order 1: where everything cancels, so are the terms that did.
    let scale = want.iter().filter(|w| w.is_finite()).fold(1e-3f64, |m, w| m.max(w.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got == want || (got.is_nan() && want.is_nan());
        assert!(
            same || (got - want).abs() <= tol.0 * scale,
            "{name}: element {i} is {got:e}, not {want:e} (allowed {:e})",
            tol.0 * scale
        );
    }
}
