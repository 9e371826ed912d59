//! Cases of the common layout: inputs, upstream gradients, outputs, gradients.

use anyhow::{Context, Result};
use serde_json::Value;
use thalweg_graph::{DType, Tensor};

use super::{
    attrs::Attrs,
    blocks_sequence,
    call::{Call, Rule, Table},
    compare::{Tol, describe, is_rounded, share, variant_name},
    layers_attention, layers_rnn, layers_vision, losses, ops_attention, ops_conv, ops_elementwise, ops_index,
    ops_interp, ops_matmul, ops_norm, ops_order, ops_pool, ops_rearrange, ops_reduce, ops_scatter, ops_shape,
    outcome::{Outcome, Run, Stop},
};

/// Every op that the framework has, by the index's names.
const TABLES: &[Table] = &[
    ops_elementwise::UNARY,
    ops_elementwise::BINARY,
    ops_elementwise::WITH_ATTRS,
    ops_elementwise::ARITHMETIC,
    ops_elementwise::SOFTMAX,
    ops_reduce::REDUCTIONS,
    ops_reduce::OTHERS,
    ops_order::ORDER,
    ops_shape::VIEWS,
    ops_shape::JOINS,
    ops_rearrange::REARRANGE,
    ops_matmul::MATMUL,
    ops_conv::CONV,
    ops_pool::POOL,
    ops_index::INDEX,
    ops_scatter::SCATTER,
    ops_norm::NORM,
    ops_attention::ATTENTION,
    ops_interp::INTERP,
    layers_attention::LAYERS,
    blocks_sequence::BLOCKS,
    layers_rnn::RECURRENT,
    losses::LOSSES,
    losses::CTC,
    layers_vision::BLOCKS,
];

fn rule(op: &str) -> Option<Rule> {
    TABLES.iter().flat_map(|t| t.iter()).find(|(name, _)| *name == op).map(|(_, rule)| *rule)
}

/// Whether the case can be held against its reference in this variant: the index lists the variant, or gives a tolerance
/// for it, or everything is exact (comparisons and positions, whose only reference stands under f64).
pub fn has_variant(case: &Value, dtype: DType) -> bool {
    let name = variant_name(dtype);
    let listed = case["variants"].as_array().is_some_and(|v| v.iter().any(|v| v == name));
    let tol = |t: &Value| t == "exact" || t.get(name).is_some();
    let allowed = case["tol"].as_object().is_some_and(|t| !t.is_empty() && t.values().all(tol));
    listed || (dtype == DType::F32 && allowed)
}

/// Runs one case.
pub fn run(run: &Run, case: &Value) -> Result<Outcome> {
    let op = case["op"].as_str().context("a case without op")?;
    let Some(rule) = rule(op) else {
        return Ok(Outcome::Unsupported(format!("op {op}")));
    };
    match evaluate(run, case, rule) {
        Ok(found) => hold(run, case, &found),
        Err(Stop::Unsupported(what)) => Ok(Outcome::Unsupported(what)),
        Err(Stop::Wrong(error)) => Ok(Outcome::Failed { share: f64::INFINITY, why: format!("{error:#}") }),
    }
}

/// `out.<name>` and `grad.<name>` with their values.
fn evaluate(run: &Run, case: &Value, rule: Rule) -> Result<Vec<(String, Vec<f64>)>, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let mut inputs = Vec::new();
    for (input, spec) in case["inputs"].as_object().context("a case without inputs")? {
        let tensor = run.store.get(&format!("{name}/in.{input}"))?.upload(run.device, run.dtype);
        let tracked = spec["grad"].as_bool().unwrap_or(false);
        inputs.push((input.clone(), if tracked { tensor.track() } else { tensor }));
    }
    let shape = |spec: &Value| -> Vec<usize> {
        let extents = spec["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
        extents.iter().filter_map(|d| d.as_u64().map(|d| d as usize)).collect()
    };
    let outputs = case["outputs"].as_object().context("a case without outputs")?;
    let outputs: Vec<(String, Vec<usize>)> = outputs.iter().map(|(name, spec)| (name.clone(), shape(spec))).collect();
    let call = Call::new(run.device, run.dtype, Attrs::new(&case["attrs"]), inputs, outputs);
    let results = rule(&call)?;
    if let Some(unread) = call.attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    if let Some(unread) = call.unread() {
        return Err(Stop::Unsupported(format!("input {unread}")));
    }
    if results.len() != call.outputs.len() {
        return Err(Stop::wrong(format!("{} outputs, not {}", results.len(), call.outputs.len())));
    }

    let mut found = Vec::new();
    let mut total: Option<Tensor> = None;
    for ((output, shape), y) in call.outputs.iter().zip(&results) {
        y.check()?;
        if y.shape() != shape {
            return Err(Stop::wrong(format!("output {output} has shape {:?}, not {shape:?}", y.shape())));
        }
        if let Some(up) = run.store.find(&format!("{name}/up.{output}")) {
            let up = up.upload(run.device, run.dtype);
            let part = (y * up).cast(wide(run.dtype)).sum(..);
            total = Some(total.map_or(part.clone(), |t| t + &part));
        }
    }
    let grads = match total {
        Some(total) => Some(total.backward()?),
        None => None,
    };
    for ((output, _), y) in call.outputs.iter().zip(&results) {
        found.push((format!("out.{output}"), y.to_vec::<f64>()?));
    }
    for wanted in case["grads"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let wanted = wanted.as_str().context("a gradient without name")?;
        let x = &call.leaf(wanted).with_context(|| format!("no input {wanted}"))?;
        let grads = grads.as_ref().with_context(|| format!("no upstream gradient for {wanted}"))?;
        // No path from the loss to the input is a gradient of zero.
        let values = match grads.get(x) {
            Some(grad) if grad.shape() != x.shape() && grad.check().is_ok() => {
                return Err(Stop::wrong(format!(
                    "gradient {wanted} has shape {:?}, not {:?}",
                    grad.shape(),
                    x.shape()
                )));
            }
            Some(grad) => grad.to_vec::<f64>()?,
            None => vec![0.0; x.count()],
        };
        found.push((format!("grad.{wanted}"), values));
    }
    Ok(found)
}

/// Sums of 16-bit products would overflow: only the loss itself is widened.
fn wide(dtype: DType) -> DType {
    if dtype == DType::F64 { dtype } else { DType::F32 }
}

/// Holds everything found against the reference.
fn hold(run: &Run, case: &Value, found: &[(String, Vec<f64>)]) -> Result<Outcome> {
    let name = case["name"].as_str().context("a case without name")?;
    let variant = variant_name(run.dtype);
    let (mut worst, mut wrong) = (0.0f64, Vec::new());
    for (tensor, got) in found {
        // f16 has a reference of its own, of rounded inputs; integers stand under f64 only; where not-a-number and
        // infinities are the point, f32 has its own too.
        let special = case["advisory"].as_bool().unwrap_or(false) && run.dtype == DType::F32;
        let own = run.store.find(&format!("{name}/{variant}/{tensor}")).filter(|_| special || run.dtype == DType::F16);
        let want = match own {
            Some(want) => want,
            None => run.store.get(&format!("{name}/f64/{tensor}"))?,
        };
        let tol = Tol::of(&case["tol"], tensor, variant)?.with_context(|| format!("no tolerance for {tensor}"))?;
        let rounded = run.dtype == DType::F64 && is_rounded(case["op"].as_str().unwrap_or_default(), tensor);
        let tol = match run.store.find(&format!("{name}/up.y")).filter(|_| rounded) {
            Some(up) => tol.of_rounded(up.values.iter().fold(0.0, |most, up| most.max(up.abs()))),
            None => tol,
        };
        let share = share(got, &want.values, tol, run.dtype);
        worst = worst.max(share);
        if share > 1.0 {
            wrong.push(format!("{tensor}: {}", describe(got, &want.values, tol, run.dtype)));
        }
    }
    Ok(match wrong.is_empty() {
        true => Outcome::Passed { share: worst },
        false => Outcome::Failed { share: worst, why: wrong.join("; ") },
    })
}
