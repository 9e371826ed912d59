//! One device against the strict executor: values and gradients.

use thalweg_graph::{DType, Device, Result, Rng, Tensor, shape::count};

use crate::{Case, Draw, Seed, Tol, strict};

/// By how much of themselves inputs are moved to see how much that moves a result.
const NUDGE: f64 = 1e-6;

/// Runs a case on `device` and on the strict executor in F64, and compares its value and its gradients.
///
/// Where terms cancel, what is left may be small and its error is not: rounding the inputs, or what is computed on the way,
/// would change it. How much is measured, by nudging the inputs and by rounding every node to F32, and a result may be off
/// by that much more.
pub fn assert_agree(device: &Device, case: &Case, seed: Seed) {
    let mut rng = Rng::seed(seed.0);
    let mut values: Vec<Vec<f64>> = case.inputs.iter().map(|d| d.values(&mut rng)).collect();
    let strict = strict();
    let reference = |values: &[Vec<f64>], float: DType, nudge: f64| {
        run(&strict, float, case, values, seed, nudge).unwrap_or_else(|e| panic!("{} on strict: {e}", case.name))
    };
    let want = reference(&values, DType::F64, 0.0);
    let rounded = reference(&values, DType::F32, 0.0);
    let got =
        run(device, DType::F32, case, &values, seed, 0.0).unwrap_or_else(|e| panic!("{} on {device}: {e}", case.name));
    for (_, values) in case.inputs.iter().zip(&mut values).filter(|(draw, _)| draw.is_float()) {
        values.iter_mut().for_each(|v| *v *= 1.0 + NUDGE * rng.normal());
    }
    let moved = reference(&values, DType::F64, NUDGE);
    assert_eq!(want.len(), got.len(), "{}: other gradients on {device}", case.name);
    for (i, (what, want)) in want.iter().enumerate() {
        let by = distance(want, &moved[i].1) / NUDGE + distance(want, &rounded[i].1) / f64::from(f32::EPSILON);
        assert_close(&format!("{} on {device}, {what}", case.name), &got[i].1, want, case.tol, by);
    }
}

/// The value of a case and its gradients for a random upstream, which is nudged as well.
fn run(
    device: &Device,
    float: DType,
    case: &Case,
    values: &[Vec<f64>],
    seed: Seed,
    nudge: f64,
) -> Result<Vec<(String, Vec<f64>)>> {
    let draw = |(draw, values): (&Draw, &Vec<f64>)| {
        let tensor = draw.tensor(device, values, float);
        if draw.is_float() { tensor.track() } else { tensor }
    };
    let inputs: Vec<Tensor> = case.inputs.iter().zip(values).map(draw).collect();
    let y = (case.f)(&inputs);
    let mut found = vec![("value".to_string(), y.to_vec::<f64>()?)];
    if y.is_tracked() && y.dtype().is_float() {
        let mut rng = Rng::seed(seed.0.wrapping_add(1));
        let upstream: Vec<f64> = (0..count(y.shape())).map(|_| DType::F32.round(rng.normal())).collect();
        let upstream: Vec<f64> = upstream.into_iter().map(|v| v * (1.0 + nudge * rng.normal())).collect();
        let upstream = Draw::Uniform(y.shape().to_vec(), 0.0, 0.0).tensor(device, &upstream, y.dtype());
        let grads = y.backward_from(&upstream)?;
        for (i, x) in inputs.iter().enumerate() {
            if let Some(g) = grads.get(x) {
                found.push((format!("gradient {i}"), g.to_vec::<f64>()?));
            }
        }
    }
    for ((x, draw), values) in inputs.iter().zip(&case.inputs).zip(values) {
        assert_eq!(x.to_vec::<f64>()?, *values, "{}: {draw:?} was written to on {device}", case.name);
    }
    Ok(found)
}

/// The largest difference that is a number.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).filter(|d| d.is_finite()).fold(0.0, f64::max)
}

fn assert_close(name: &str, got: &[f64], want: &[f64], tol: Tol, moved: f64) {
    assert_eq!(got.len(), want.len(), "{name}: number of elements");
    let scale = want.iter().filter(|w| w.is_finite()).fold(0.0f64, |m, w| m.max(w.abs())).max(moved);
    // Inputs and upstreams are of order 1, and so are terms that cancel altogether: each is rounded by that much.
    let allowed = (tol.0 * scale).max(0.5 * f64::from(f32::EPSILON));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got == want || (got.is_nan() && want.is_nan());
        assert!(
            same || (got - want).abs() <= allowed,
            "{name}: element {i} is {got:e}, not {want:e} (allowed {allowed:e})"
        );
    }
}
