//! Mixed precision: curves that must stay close to the reference's, loss scales and skipped steps that must be equal.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{DType, Grads, Param, Precision, Tensor};
use thalweg_nn::Losses;

use super::{
    attrs::Attrs,
    compare::Tol,
    holds::Holds,
    models::{Data, Mlp, Model},
    outcome::{Outcome, Run, Stop},
    rule::{optimizer, scaling},
};

/// Runs a curve in mixed precision.
pub fn curve(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let precision = match attrs.word("dtype", "")?.as_str() {
        "bf16" => Precision::MixedBf16,
        "f16" => Precision::MixedF16,
        other => return Err(Stop::Unsupported(format!("attribute dtype = {other}"))),
    };
    let device = run.device.with_precision(precision);
    let run = &Run { device: &device, ..*run };
    let net = Mlp::new(run)?;
    let mut opt = optimizer(&attrs.word("optimizer", "")?, &attrs, &net)?;
    if precision == Precision::MixedF16 {
        opt = opt.loss_scale(scaling(&attrs)?)?;
    }
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let data = Data::new(run, case)?;
    let (infinite, skipped) = (steps(&case["inf_at"]), steps(&case["skipped"]));
    let mut holds = Holds::default();
    let (mut losses, mut scales) = (Vec::new(), Vec::new());
    for step in 0..data.steps() {
        let (x, y) = data.rows(run.device, run.dtype, &data.batch(step)?)?;
        let loss = net.forward(&x).cross_entropy(&y);
        let before = values(&net)?;
        if infinite.contains(&step) {
            let grads = opt.backward(&loss)?;
            let grads = poisoned(run, &net, grads)?;
            opt.apply(&grads)?;
        } else {
            opt.step(&loss)?;
        }
        losses.push(loss.item()?);
        let report = opt.report()?;
        scales.push(report.loss_scale);
        let due = skipped.iter().filter(|s| **s <= step).count() as u64;
        holds.must(report.skipped == due, || format!("{} steps skipped up to step {step}, not {due}", report.skipped));
        let moved = before != values(&net)?;
        holds.must(moved != skipped.contains(&step), || format!("step {step} moved the weights: {moved}"));
    }
    let tol = Tol::parse(&case["loss_tol"])?;
    holds.check(run, "losses", &losses, &run.store.get(&format!("{name}/f32/loss"))?.values, tol);
    if let Some(want) = case["scale"].as_array() {
        let want: Vec<f64> = want.iter().filter_map(Value::as_f64).collect();
        holds.check(run, "loss scales", &scales, &want, Tol::Exact);
    }
    Ok(holds.outcome())
}

/// Runs a sequence of loss scales: gradients that are not finite at the given steps, alternately inf and NaN.
pub fn sequence(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let attrs = Attrs::new(&case["attrs"]);
    let bad = steps(&case["inf_or_nan_at"]);
    let param = Param::new(Tensor::from_slice(run.device, &[1.0f32, 2.0, 3.0], [3]))?;
    let sgd = Attrs::new(&serde_json::json!({"lr": 1e-3}));
    let opt = optimizer("SGD", &sgd, &param)?.loss_scale(scaling(&attrs)?)?;
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let mut scales = Vec::new();
    for step in 0..case["steps"].as_u64().context("a case without steps")? as usize {
        let wrong = if step % 2 == 0 { f32::INFINITY } else { f32::NAN };
        let factor = [0.5, if bad.contains(&step) { wrong } else { 0.25 }, -1.0];
        let loss = (param.tensor() * Tensor::from_slice(run.device, &factor, [3])).sum(..);
        opt.step(&loss)?;
        scales.push(opt.report()?.loss_scale);
    }
    let want: Vec<f64> = case["scale"].as_array().context("no scales")?.iter().filter_map(Value::as_f64).collect();
    let mut holds = Holds::default();
    holds.check(run, "loss scales", &scales, &want, Tol::of(&case["tol"], "f32", "f32")?.unwrap_or(Tol::Exact));
    let weights = param.tensor().to_vec::<f64>()?;
    holds.must(weights.iter().all(|w| w.is_finite()), || format!("weights {weights:?}"));
    Ok(holds.outcome())
}

/// The first parameter's gradient made infinite at its first element.
fn poisoned(run: &Run, net: &Mlp, grads: Grads) -> Result<Grads, Stop> {
    let (_, first) = net.named().into_iter().next().context("a model without parameters")?;
    let shape = first.shape();
    let mut mask = vec![0.0f32; shape.iter().product()];
    mask[0] = f32::INFINITY;
    let mask = Tensor::from_slice(run.device, &mask, shape.as_slice());
    Ok(grads.map(|g| if g.shape() == mask.shape() { g.cast(DType::F32) + &mask } else { g.clone() }))
}

fn values(net: &Mlp) -> Result<Vec<Vec<f64>>, Stop> {
    Ok(net.named().iter().map(|(_, p)| p.tensor().to_vec()).collect::<Result<_, _>>()?)
}

fn steps(list: &Value) -> Vec<usize> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|s| s.as_u64().map(|s| s as usize))
        .collect()
}
