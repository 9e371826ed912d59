//! Initialisers: moments and bounds of one draw, orthogonality, patterns.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{Param, Rng};
use thalweg_nn::{Conv2d, Fan, Init, Linear, Nonlinearity};

use super::{
    attrs::Attrs,
    compare::Tol,
    holds::Holds,
    outcome::{Outcome, Run, Stop},
};

/// Draws once, and holds the numbers against whatever the case knows of them.
pub fn run(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let attrs = Attrs::new(&case["attrs"]);
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).context("a case without shape")?;
    let weight = weight(run, case["op"].as_str().unwrap_or_default(), &attrs, &shape)?;
    let w = weight.tensor().to_vec::<f64>()?;
    let mut holds = Holds::default();
    match case["op"].as_str().unwrap_or_default() {
        "orthogonal" => orthogonal(run, &mut holds, case, &w, &shape, attrs.need("gain")?)?,
        "sparse" => sparse(&mut holds, &w, &shape, attrs.need("sparsity")?, attrs.need("std")?),
        "constant" => holds.check(run, "value", &w, &vec![attrs.need("value")?; w.len()], Tol::Exact),
        "dirac" | "eye" => {
            let want = run.store.get(case["output"].as_str().context("a pattern without output")?)?;
            holds.check(run, "pattern", &w, &want.values, Tol::Exact);
        }
        _ => moments(run, &mut holds, case, &w)?,
    }
    match attrs.unread() {
        Some(unread) => Err(Stop::Unsupported(format!("attribute {unread}"))),
        None => Ok(holds.outcome()),
    }
}

fn weight(run: &Run, op: &str, attrs: &Attrs, shape: &[usize]) -> Result<Param, Stop> {
    let rng = &mut Rng::seed(0);
    Ok(match (op, shape) {
        // What a layer has when nothing is said.
        ("default", &[out, inputs]) => Linear::new(inputs, out).init(run.device, rng)?.weight,
        ("default", &[out, inputs, h, w]) => Conv2d::new(inputs, out, [h, w]).init(run.device, rng)?.weight,
        _ => init(op, attrs)?.param(run.device, shape, rng)?,
    })
}

fn init(op: &str, attrs: &Attrs) -> Result<Init, Stop> {
    Ok(match op {
        "uniform" => Init::UniformIn { low: attrs.need("a")?, high: attrs.need("b")? },
        "normal" => Init::NormalOf { mean: attrs.need("mean")?, std: attrs.need("std")? },
        "trunc_normal" => Init::TruncatedNormal {
            mean: attrs.need("mean")?,
            std: attrs.need("std")?,
            low: attrs.need("a")?,
            high: attrs.need("b")?,
        },
        "xavier_uniform" => Init::xavier_uniform(attrs.need("gain")?),
        "xavier_normal" => Init::xavier_normal(attrs.need("gain")?),
        "kaiming_uniform" => Init::he_uniform(fan(attrs)?, nonlinearity(attrs)?),
        "kaiming_normal" => Init::he_normal(fan(attrs)?, nonlinearity(attrs)?),
        "orthogonal" => Init::Orthogonal { gain: attrs.need("gain")? },
        "constant" => Init::Constant(attrs.need("value")?),
        "dirac" => Init::Dirac { groups: attrs.sizes("groups")?.and_then(|g| g.first().copied()).unwrap_or(1) },
        "eye" => Init::Eye,
        "sparse" => Init::Sparse { sparsity: attrs.need("sparsity")?, std: attrs.need("std")? },
        other => return Err(Stop::Unsupported(format!("op {other}"))),
    })
}

fn fan(attrs: &Attrs) -> Result<Fan, Stop> {
    match attrs.word("mode", "fan_in")?.as_str() {
        "fan_in" => Ok(Fan::In),
        "fan_out" => Ok(Fan::Out),
        other => Err(Stop::Unsupported(format!("attribute mode = {other}"))),
    }
}

fn nonlinearity(attrs: &Attrs) -> Result<Nonlinearity, Stop> {
    let slope = attrs.number_or("a", 0.0)?;
    match attrs.word("nonlinearity", "leaky_relu")?.as_str() {
        "linear" => Ok(Nonlinearity::Linear),
        "sigmoid" => Ok(Nonlinearity::Sigmoid),
        "tanh" => Ok(Nonlinearity::Tanh),
        "relu" => Ok(Nonlinearity::Relu),
        "leaky_relu" => Ok(Nonlinearity::LeakyRelu(slope)),
        "selu" => Ok(Nonlinearity::Selu),
        other => Err(Stop::Unsupported(format!("attribute nonlinearity = {other}"))),
    }
}

fn moments(run: &Run, holds: &mut Holds, case: &Value, w: &[f64]) -> Result<(), Stop> {
    let number = |key: &str| case[key].as_f64().with_context(|| format!("a case without {key}"));
    let within = |atol| Tol::Within { rtol: 0.0, atol };
    let mean = w.iter().sum::<f64>() / w.len() as f64;
    holds.check(run, "mean", &[mean], &[number("mean")?], within(number("mean_tol")?));
    holds.check(run, "variance", &[variance(w, mean)], &[number("var")?], within(number("var_tol")?));
    if let Some([low, high]) = case["bounds"].as_array().map(Vec::as_slice) {
        let bound = |of: &Value| Ok::<_, Stop>(run.dtype.round(of.as_f64().context("a bound that is no number")?));
        let (low, high) = (bound(low)?, bound(high)?);
        let min = w.iter().copied().fold(f64::INFINITY, f64::min);
        let max = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        holds.must(low <= min && max <= high, || format!("{min} to {max} is not within {low} to {high}"));
        let (below, above) = (number("expect_min_below")?, number("expect_max_above")?);
        holds.must(min < below && max > above, || format!("{min} to {max} does not reach {below} and {above}"));
    }
    Ok(())
}

fn variance(w: &[f64], mean: f64) -> f64 {
    w.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / w.len() as f64
}

/// Products of all pairs of rows, or of columns where there are fewer.
fn orthogonal(run: &Run, holds: &mut Holds, case: &Value, w: &[f64], shape: &[usize], gain: f64) -> Result<(), Stop> {
    let rows = shape[0];
    let cols = w.len() / rows;
    let (few, long) = (rows.min(cols), rows.max(cols));
    let at = |i: usize, k: usize| if rows <= cols { w[i * cols + k] } else { w[k * cols + i] };
    let pairs = || (0..few).flat_map(|i| (0..few).map(move |j| (i, j)));
    let products: Vec<f64> = pairs().map(|(i, j)| (0..long).map(|k| at(i, k) * at(j, k)).sum()).collect();
    let want: Vec<f64> = pairs().map(|(i, j)| if i == j { gain * gain } else { 0.0 }).collect();
    let atol = case["tol"]["f32"].as_f64().context("no tolerance")?;
    holds.check(run, "products", &products, &want, Tol::Within { rtol: 0.0, atol });
    Ok(())
}

/// As many zeros in each column, and about the deviation in the rest: within five standard errors.
fn sparse(holds: &mut Holds, w: &[f64], shape: &[usize], sparsity: f64, std: f64) {
    let (rows, cols) = (shape[0], shape[1]);
    let want = (sparsity * rows as f64).ceil() as usize;
    for col in 0..cols {
        let zeros = (0..rows).filter(|row| w[row * cols + col] == 0.0).count();
        holds.must(zeros == want, || format!("column {col} has {zeros} zeros, not {want}"));
    }
    let rest: Vec<f64> = w.iter().copied().filter(|w| *w != 0.0).collect();
    let got = variance(&rest, 0.0).sqrt();
    let allowed = 5.0 * std / (2.0 * rest.len() as f64).sqrt();
    holds.must((got - std).abs() <= allowed, || format!("a standard deviation of {got}, not {std}"));
}
