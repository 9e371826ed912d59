//! What a training run gives, and how two of them are compared.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::DType;
use thalweg_nn::Losses;

use super::{
    compare::{Tol, variant_name},
    holds::{Holds, need},
    models::Model,
    outcome::{Outcome, Run, Stop},
    training::Training,
};

/// What training gives.
pub struct Curve {
    /// Of every step.
    losses: Vec<f64>,
    /// Norms of gradients before they are clipped, where the case has them.
    norms: Vec<f64>,
    /// The gradients of the first step, by the parameters' names.
    pub first: Vec<(String, Vec<f64>)>,
    /// The weights ahead of each step and behind the last, of each parameter in the order of `first`.
    pub weights: Vec<Vec<Vec<f64>>>,
    /// The last running statistics.
    buffers: Vec<(String, Vec<f64>)>,
    /// Loss and right answers over all data after the last step, in evaluation mode.
    evaluated: [Option<f64>; 2],
}

impl Curve {
    /// Trains; `ahead` is called before each step.
    pub fn trained<M: Model>(
        mut training: Training<M>,
        case: &Value,
        mut ahead: impl FnMut(&M, usize) -> Result<(), Stop>,
    ) -> Result<Curve, Stop> {
        let first = training.gradients(0)?;
        let (mut losses, mut norms, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for step in 0..training.steps() {
            ahead(&training.net, step)?;
            weights.push(now(&training.net)?);
            let (loss, norm) = training.step(step, case["total_norm_before_clip"].is_array())?;
            losses.push(loss);
            norms.extend(norm);
        }
        weights.push(now(&training.net)?);
        let buffers = training.net.buffers().into_iter();
        let buffers = buffers.map(|(name, s)| Ok((name.into(), s.tensor().to_vec()?))).collect::<Result<_, Stop>>()?;
        let mut evaluated = [None, None];
        if published_number(case, ["loss_all", "eval_loss_all"]).is_some() {
            let (logits, y) = training.evaluate()?;
            let right = logits.argmax(-1).eq(&y).cast(DType::I32).sum(..).item()?;
            evaluated = [Some(logits.cross_entropy(&y).item()?), Some(right)];
        }
        Ok(Curve { losses, norms, first, weights, buffers, evaluated })
    }

    /// What the reference gave in f64.
    pub fn published(run: &Run, case: &Value, net: &impl Model) -> Result<Curve, Stop> {
        let name = case["name"].as_str().context("a case without name")?;
        let get =
            |what: &str| -> Result<Vec<f64>, Stop> { Ok(run.store.get(&format!("{name}/f64/{what}"))?.values.clone()) };
        let all = |what: &str, names: Vec<String>| -> Result<Vec<_>, Stop> {
            names.into_iter().map(|part| Ok((part.clone(), get(&format!("{what}.{part}"))?))).collect()
        };
        let params = || net.named().into_iter().map(|(param, _)| param).collect::<Vec<_>>();
        let numbers = |list: &Value| list.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        Ok(Curve {
            losses: get("loss")?,
            norms: numbers(&case["total_norm_before_clip"]),
            first: all("grad0", params())?,
            weights: vec![all("final", params())?.into_iter().map(|(_, values)| values).collect()],
            buffers: all("buffer", net.buffers().into_iter().map(|(buffer, _)| buffer.into()).collect())?,
            evaluated: [["loss_all", "eval_loss_all"], ["correct_all", "eval_correct_all"]]
                .map(|names| published_number(case, names)),
        })
    }
}

/// The values of the parameters.
fn now(net: &impl Model) -> Result<Vec<Vec<f64>>, Stop> {
    net.named().into_iter().map(|(_, p)| Ok(p.tensor().to_vec()?)).collect()
}

fn published_number(case: &Value, names: [&str; 2]) -> Option<f64> {
    names.iter().find_map(|name| case["final"][*name].as_f64())
}

/// Holds one curve against another by the case's tolerances. The first step is held tightly; rounding grows along the rest.
pub fn compare(run: &Run, case: &Value, got: &Curve, want: &Curve) -> Result<Outcome, Stop> {
    let variant = variant_name(run.dtype);
    let is_noise = |part: &str| rounding_only(run, case, part);
    let mut holds = Holds::default();
    for ((param, got), (_, want)) in got.first.iter().zip(&want.first) {
        let tol = need(&case["grad0_tol"], param, variant)?;
        holds.check(run, &format!("first gradient of {param}"), got, want, tol);
    }
    let first = 1.min(got.losses.len()).min(want.losses.len());
    holds.check(run, "first loss", &got.losses[..first], &want.losses[..first], loss_tol(case, variant, true)?);
    let tol = loss_tol(case, variant, false)?;
    holds.check(run, "losses", &got.losses, &want.losses, tol);
    holds.check(run, "gradient norms", &got.norms, &want.norms, tol);
    let last = got.weights.last().zip(want.weights.last()).context("a curve without weights")?;
    let last = got.first.iter().zip(last.0.iter().zip(last.1)).filter(|((param, _), _)| !is_noise(param));
    for ((param, _), (got, want)) in last {
        holds.check(run, &format!("last {param}"), got, want, need(&case["final_param_tol"], param, variant)?);
    }
    for ((buffer, got), (_, want)) in got.buffers.iter().zip(&want.buffers).filter(|((name, _), _)| !is_noise(name)) {
        holds.check(run, buffer, got, want, buffer_tol(run));
    }
    // What is noise in a running mean is noise in evaluation.
    if !got.buffers.iter().any(|(buffer, _)| is_noise(buffer)) {
        let ([got_loss, got_right], [want_loss, want_right]) = (got.evaluated, want.evaluated);
        if let (Some(got), Some(want)) = (got_loss, want_loss) {
            holds.check(run, "loss over all data", &[got], &[want], tol);
        }
        // In f32 a sample between two classes may go either way.
        if let (Some(got), Some(want), DType::F64) = (got_right, want_right, run.dtype) {
            holds.check(run, "right answers", &[got], &[want], Tol::Exact);
        }
    }
    Ok(holds.outcome())
}

fn loss_tol(case: &Value, variant: &str, first: bool) -> Result<Tol, Stop> {
    let key = match (variant, first) {
        ("f64", _) => "f64",
        (_, true) => "f32_first_step",
        (_, false) => "f32_all_steps",
    };
    Ok(Tol::parse(case["loss_tol"].get(key).with_context(|| format!("no loss tolerance {key}"))?)?)
}

/// Running statistics have no allowance in the index: as much as it gives the weights.
fn buffer_tol(run: &Run) -> Tol {
    match run.dtype {
        DType::F64 => Tol::Within { rtol: 1e-7, atol: 1e-8 },
        _ => Tol::Within { rtol: 1e-3, atol: 1e-4 },
    }
}

/// Whether a part holds nothing but rounding noise: the gradient of a bias ahead of a normalisation is zero, and what an
/// adaptive rule makes of its rounding is arbitrary, in the reference's f64 run too. In f32 the noise is large enough to show
/// in the running mean, which the bias moves.
pub fn rounding_only(run: &Run, case: &Value, part: &str) -> bool {
    let adaptive = case["attrs"]["optimizer"].as_str().is_some_and(|o| o.to_lowercase().starts_with("adam"));
    let noise = |param: &str| {
        let first = run.store.find(&format!("{}/f64/grad0.{param}", case["name"].as_str().unwrap_or_default()));
        first.is_some_and(|g| g.values.iter().all(|v| v.abs() < 1e-12))
    };
    adaptive && (noise(part) || (run.dtype != DType::F64 && part == "bn_running_mean" && noise("conv1_b")))
}
