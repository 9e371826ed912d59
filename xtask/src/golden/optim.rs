//! Optimizers on given gradients: the parameters after every step, the states after the last; clipping.

use anyhow::Context;
use serde_json::{Value, json};
use thalweg_graph::{Param, Tensor};
use thalweg_optim::Average;

use super::{
    attrs::Attrs,
    compare::{Tol, variant_name},
    holds::{Holds, need},
    outcome::{Outcome, Run, Stop},
    rule::{kept, optimizer, rule},
    store::Stored,
};

/// Runs a trajectory.
pub fn trajectory(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let start = stored(run, &case["params"])?;
    let grads = match case["op"].as_str() {
        Some("SparseAdam") => vec![by_rows(&stored(run, &case["grads"])?, &start)?],
        _ => stored(run, &case["grads"])?,
    };
    let params = start.iter().map(|p| Param::new(p.upload(run.device, run.dtype))).collect::<Result<Vec<_>, _>>()?;
    let mut opt = optimizer(case["op"].as_str().unwrap_or_default(), &attrs, &params)?;
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    // One group for each parameter, with some settings of its own.
    for (i, own) in case["groups"].as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate() {
        let mut settings = case["attrs"].clone();
        for (name, value) in own.as_object().context("a group without settings")? {
            settings[name] = value.clone();
        }
        let attrs = Attrs::new(&settings);
        opt = opt.group(i.to_string().as_str(), rule(case["op"].as_str().unwrap_or_default(), &attrs)?)?;
    }
    let want: Vec<&Stored> =
        (0..start.len()).map(|i| run.store.get(&format!("{name}/f64/p{i}"))).collect::<Result<_, _>>()?;
    let mut holds = Holds::default();
    let tol = |i: usize| need(&case["tol"], &format!("p{i}"), variant_name(run.dtype));
    for step in 0..case["steps"].as_u64().context("a case without steps")? as usize {
        let loss = linear(run, &params, &grads.iter().map(|g| g.row(step)).collect::<Vec<_>>());
        opt.step(&loss)?;
        for (i, param) in params.iter().enumerate() {
            let got = param.tensor().to_vec::<f64>()?;
            holds.check(run, &format!("p{i} after step {step}"), &got, &want[i].row(step).values, tol(i)?);
        }
    }
    for state in case["state"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (param, state) = state.as_str().and_then(|s| s.split_once('.')).context("a state without parameter")?;
        let i: usize = param.trim_start_matches('p').parse().context("a state of no parameter")?;
        let got = kept(&opt, state, &i.to_string())?.ok_or_else(|| Stop::Unsupported(format!("state {state}")))?;
        let want = run.store.get(&format!("{name}/f64/state.{param}.{state}"))?;
        // The index gives parameters an allowance, and states none of their own.
        holds.check(run, &format!("{state} of {param}"), &got, &want.values, tol(i)?);
    }
    Ok(holds.outcome())
}

/// Runs a clipping: a step of plain gradient descent with rate 1 from zero leaves minus the clipped gradient.
pub fn clipping(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let grads = stored(run, &case["grads"])?;
    let zeros = |g: &Stored| Stored { values: vec![0.0; g.values.len()], ..g.clone() };
    let params =
        grads.iter().map(|g| Param::new(zeros(g).upload(run.device, run.dtype))).collect::<Result<Vec<_>, _>>()?;
    let opt = optimizer("SGD", &Attrs::new(&json!({"lr": 1.0})), &params)?;
    let by_norm = case["op"] == "clip_grad_norm";
    let opt = if by_norm {
        opt.clip_norm_of(attrs.need("max_norm")?, attrs.number_or("norm_type", 2.0)?)
    } else {
        opt.clip_value(attrs.need("clip_value")?)
    };
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let loss = linear(run, &params, &grads);
    opt.step(&loss)?;
    let tol = Tol::parse(case["tol"].get(variant_name(run.dtype)).context("no tolerance")?)?;
    let mut holds = Holds::default();
    for (i, param) in params.iter().enumerate() {
        let got: Vec<f64> = param.tensor().to_vec::<f64>()?.iter().map(|p| -p).collect();
        holds.check(run, &format!("g{i}"), &got, &run.store.get(&format!("{name}/f64/g{i}"))?.values, tol);
    }
    if let (true, Some(norm)) = (by_norm, case["total_norm"].as_f64()) {
        holds.check(run, "total norm", &[opt.report()?.grad_norm], &[norm], tol);
    }
    Ok(holds.outcome())
}

/// Runs an average over parameters after each of a run's steps.
pub fn average(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let attrs = Attrs::new(&case["attrs"]);
    let text = |key: &str| case[key].as_str().with_context(|| format!("a case without {key}"));
    let (over, want) = (run.store.get(text("over")?)?, stored(run, &case["outputs"])?);
    let start = match case["start"].as_str() {
        Some(start) => run.store.get(start)?.clone(),
        None => over.row(0),
    };
    let param = Param::new(start.upload(run.device, run.dtype))?;
    let average = match case["op"].as_str() {
        Some("ema") => Average::exponential(&param, attrs.need("decay")?)?,
        _ => Average::mean(&param)?,
    };
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let tol = Tol::parse(case["tol"].get(variant_name(run.dtype)).context("no tolerance")?)?;
    let mut holds = Holds::default();
    for step in 0..over.shape[0] {
        param.set(&over.row(step).upload(run.device, run.dtype))?;
        average.update()?;
        let got = average.during(|| param.tensor().to_vec::<f64>())??;
        holds.check(run, &format!("the average after step {step}"), &got, &want[0].row(step).values, tol);
    }
    Ok(holds.outcome())
}

/// The gradients of steps that are zero but for some rows: their numbers, and what is added to them.
fn by_rows(given: &[Stored], start: &[Stored]) -> Result<Stored, Stop> {
    let ([ids, rows], [table]) = (given, start) else { return Err(Stop::wrong("no rows, or no table")) };
    let (steps, width, len) = (ids.shape[0], table.shape[1], table.values.len());
    let mut values = vec![0.0; steps * len];
    for (i, id) in ids.values.iter().enumerate() {
        let to = i / ids.shape[1] * len + *id as usize * width;
        values[to..to + width].iter_mut().zip(&rows.values[i * width..]).for_each(|(to, g)| *to += g);
    }
    Ok(Stored { kind: rows.kind, dtype: rows.dtype, shape: [&[steps], &table.shape[..]].concat(), values })
}

/// `Σ p · g`, whose gradient is `g`.
fn linear(run: &Run, params: &[Param], grads: &[Stored]) -> Tensor {
    let zero = Tensor::scalar(run.device, 0.0, run.dtype);
    params.iter().zip(grads).fold(zero, |l, (p, g)| l + (p.tensor() * g.upload(run.device, run.dtype)).sum(..))
}

fn stored(run: &Run, names: &Value) -> Result<Vec<Stored>, Stop> {
    let names = names.as_array().context("a case without parameters or gradients")?;
    let one = |name: &Value| Ok(run.store.get(name.as_str().context("a name that is no text")?)?.clone());
    names.iter().map(one).collect()
}
