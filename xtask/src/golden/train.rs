//! Training curves replayed: the loss of every step, the first gradients, the last weights.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{DType, Module, Tensor};
use thalweg_nn::{CrossEntropy, Losses, Reduction};
use thalweg_optim::Select;

use super::{
    attrs::Attrs,
    compare::{Tol, variant_name},
    holds::{Holds, need},
    models::{Cnn, Data, Mlp, Model},
    models_sequence::{CharLm, Forecaster},
    outcome::{Outcome, Run, Stop},
    rule::{optimizer, rule},
};

/// Runs a curve of the model that the family describes.
pub fn curve(run: &Run, family: &Value, case: &Value) -> Result<Outcome, Stop> {
    match family["family"].as_str() {
        Some("train_mlp") => replay(run, case, Mlp::new(run)?),
        Some("train_cnn") => replay(run, case, Cnn::new(run)?),
        Some("train_lstm") => replay(run, case, Forecaster::new(run, family)?),
        Some("train_charlm") => replay(run, case, CharLm::new(run, family)?),
        other => Err(Stop::Unsupported(format!("model of {}", other.unwrap_or("nothing")))),
    }
}

fn replay<M: Model>(run: &Run, case: &Value, net: M) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let variant = variant_name(run.dtype);
    let mut settings = case["attrs"].clone();
    let rates: Option<Vec<f64>> = case["lr"].as_array().map(|all| all.iter().filter_map(Value::as_f64).collect());
    if let Some(first) = rates.as_ref().and_then(|rates| rates.first()) {
        settings["lr"] = (*first).into();
    }
    let attrs = Attrs::new(&settings);
    let micro = attrs.sizes("micro_batches")?.and_then(|m| m.first().copied()).unwrap_or(1);
    let mut opt = optimizer(&attrs.word("optimizer", "")?, &attrs, &net)?;
    match attrs.word("weight_decay_on", "all")?.as_str() {
        "all" => {}
        "tensors of two or more axes" => {
            settings["weight_decay"] = 0.0.into();
            let rule = rule(&attrs.word("optimizer", "")?, &Attrs::new(&settings))?;
            opt = opt.group(Select::by(|_, param| param.shape().len() < 2), rule)?;
        }
        other => return Err(Stop::Unsupported(format!("attribute weight_decay_on = {other}"))),
    }
    if rates.is_some() {
        // The words describe the list.
        attrs.get("schedule");
    }
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    if let Some(norm) = case["clip_grad_norm"].as_f64() {
        opt = opt.clip_norm(norm);
    }
    let data = Data::new(run, case)?;
    let mut holds = Holds::default();
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..data.steps() {
        let loss = loss(run, &net, &data, step, micro)?;
        if step == 0 {
            let grads = loss.backward()?;
            for (param, p) in &net.named() {
                let got = grads.get(&p.tensor()).with_context(|| format!("no gradient of {param}"))?.to_vec::<f64>()?;
                let want = &run.store.get(&format!("{name}/f64/grad0.{param}"))?.values;
                holds.check(
                    run,
                    &format!("first gradient of {param}"),
                    &got,
                    want,
                    need(&case["grad0_tol"], param, variant)?,
                );
            }
        }
        // Not by a schedule on the device, which has rates in f32.
        if let Some(rate) = rates.as_ref().and_then(|rates| rates.get(step)) {
            opt.set_lr(*rate)?;
        }
        opt.step(&loss)?;
        losses.push(loss.item()?);
        if case["total_norm_before_clip"].is_array() {
            norms.push(opt.report()?.grad_norm);
        }
    }
    compare_losses(run, case, &losses, &run.store.get(&format!("{name}/f64/loss"))?.values, &mut holds)?;
    if let Some(want) = case["total_norm_before_clip"].as_array() {
        let want: Vec<f64> = want.iter().filter_map(Value::as_f64).collect();
        holds.check(run, "gradient norms", &norms, &want, loss_tol(case, variant, false)?);
    }
    for (param, p) in &net.named() {
        if rounding_only(run, case, param) {
            continue;
        }
        let want = &run.store.get(&format!("{name}/f64/final.{param}"))?.values;
        let tol = need(&case["final_param_tol"], param, variant)?;
        holds.check(run, &format!("last {param}"), &p.tensor().to_vec::<f64>()?, want, tol);
    }
    for (buffer, state) in net.buffers() {
        if rounding_only(run, case, buffer) {
            continue;
        }
        let want = &run.store.get(&format!("{name}/f64/buffer.{buffer}"))?.values;
        holds.check(run, buffer, &state.tensor().to_vec::<f64>()?, want, buffer_tol(run));
    }
    evaluate(run, case, &net, &data, &mut holds)?;
    Ok(holds.outcome())
}

/// The loss of a batch; in micro batches the sum of their sums of cross-entropy over the batch's size.
fn loss<M: Model>(run: &Run, net: &M, data: &Data, step: usize, micro: usize) -> Result<Tensor, Stop> {
    if micro <= 1 {
        let (x, y) = data.step(step)?;
        return Ok(net.loss(&x, &y));
    }
    let rows = data.batch(step)?;
    let whole = rows.len();
    let sum = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let mut total = Tensor::scalar(run.device, 0.0, run.dtype);
    for part in rows.chunks(whole.div_ceil(micro)) {
        let (x, y) = data.rows(run.device, run.dtype, part)?;
        total += sum.loss(&net.forward(&x), &y) * (1.0 / whole as f64);
    }
    Ok(total)
}

/// The first step is held tightly; rounding grows along the rest.
fn compare_losses(run: &Run, case: &Value, got: &[f64], want: &[f64], holds: &mut Holds) -> Result<(), Stop> {
    let variant = variant_name(run.dtype);
    let first = 1.min(got.len());
    holds.check(run, "first loss", &got[..first], &want[..first], loss_tol(case, variant, true)?);
    holds.check(run, "losses", got, want, loss_tol(case, variant, false)?);
    Ok(())
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
fn rounding_only(run: &Run, case: &Value, part: &str) -> bool {
    let adaptive = case["attrs"]["optimizer"].as_str().is_some_and(|o| o.to_lowercase().starts_with("adam"));
    let noise = |param: &str| {
        let first = run.store.find(&format!("{}/f64/grad0.{param}", case["name"].as_str().unwrap_or_default()));
        first.is_some_and(|g| g.values.iter().all(|v| v.abs() < 1e-12))
    };
    adaptive && (noise(part) || (run.dtype != DType::F64 && part == "bn_running_mean" && noise("conv1_b")))
}

/// Loss and right answers over all data after the last step, in evaluation mode. The count is held in f64 only: in f32 a
/// sample between two classes may go either way.
fn evaluate<M: Model>(run: &Run, case: &Value, net: &M, data: &Data, holds: &mut Holds) -> Result<(), Stop> {
    let number = |keys: [&str; 2]| keys.iter().find_map(|k| case["final"][*k].as_f64());
    if case["final"].as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    Module::eval(net);
    let (x, y) = data.rows(run.device, run.dtype, &data.all()?)?;
    let logits = net.forward(&x);
    // What is noise in a running mean is noise in evaluation.
    if net.buffers().iter().any(|(buffer, _)| rounding_only(run, case, buffer)) {
        return Ok(());
    }
    if let Some(want) = number(["loss_all", "eval_loss_all"]) {
        let tol = loss_tol(case, variant_name(run.dtype), false)?;
        holds.check(run, "loss over all data", &[logits.cross_entropy(&y).item()?], &[want], tol);
    }
    if let (Some(want), DType::F64) = (number(["correct_all", "eval_correct_all"]), run.dtype) {
        let right = logits.argmax(-1).eq(&y).cast(DType::I32).sum(..).item()?;
        holds.check(run, "right answers", &[right], &[want], Tol::Exact);
    }
    Ok(())
}
