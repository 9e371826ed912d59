//! `cargo xtask golden`: runs a folder of reference vectors, whose format is described in the README beside them.

mod all;
mod allow;
mod amp;
mod args;
mod attrs;
mod blocks_sequence;
mod call;
mod case;
mod compare;
mod curve;
mod formula;
mod holds;
mod init;
mod kinks;
mod layer;
mod layers_attention;
mod layers_rnn;
mod layers_vision;
mod lbfgs;
mod losses;
mod models;
mod models_sequence;
mod ops_attention;
mod ops_cast;
mod ops_conv;
mod ops_elementwise;
mod ops_index;
mod ops_interp;
mod ops_matmul;
mod ops_norm;
mod ops_order;
mod ops_pool;
mod ops_rearrange;
mod ops_reduce;
mod ops_scatter;
mod ops_shape;
mod optim;
mod optim_mlp;
mod outcome;
mod report;
mod rule;
mod schedules;
mod slicing;
mod store;
mod train;
mod training;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use thalweg_device::DeviceExt;
use thalweg_graph::{DType, Device};

pub use self::args::GoldenArgs;
use self::{
    allow::Allow,
    outcome::{Outcome, Run, Stop},
    report::Tally,
    store::Store,
};

/// Runs the folder. An error when a case fails, or is unsupported without being listed.
pub fn run(args: GoldenArgs) -> Result<()> {
    if args.all {
        return all::run(&args);
    }
    let device = open(&args)?;
    let allow = args.allow_unsupported.as_deref().map(Allow::open).transpose()?.unwrap_or_default();
    let index = json(&args.dir.join("index.json"))?;
    let families = index["families"].as_array().context("index.json has no families")?;
    let (mut good, mut total) = (true, Tally::default());
    for entry in families {
        let family = entry["family"].as_str().context("a family without name")?;
        if !args.family.as_deref().is_none_or(|f| allow::matches(f, family)) {
            continue;
        }
        if args.skip.as_deref().is_some_and(|s| allow::matches(s, family)) {
            eprintln!("{family}: left out by --skip");
            continue;
        }
        let cases = json(&args.dir.join(entry["index"].as_str().context("a family without index")?))?;
        let store = match entry["file"].as_str() {
            Some(file) => Store::open(&args.dir.join(file))?,
            None => Store::default(),
        };
        for dtype in variants(&device) {
            let name = compare::variant_name(dtype);
            if args.variant.as_deref().is_some_and(|v| v != name) {
                continue;
            }
            let run = Run { device: &device, dtype, store: &store };
            if let Some(tally) = run_family(&args, &allow, family, &cases, &run)? {
                tally.print(family, &label(&args), name, args.json);
                good &= tally.good();
                total.passed += tally.passed;
                total.failed += tally.failed;
                total.unsupported += tally.unsupported;
                total.advisory += tally.advisory;
            }
        }
    }
    if !args.json {
        total.print("all", &label(&args), "", false);
    }
    if !good {
        bail!("golden: cases failed, or are unsupported and not listed");
    }
    Ok(())
}

fn run_family(args: &GoldenArgs, allow: &Allow, family: &str, index: &Value, run: &Run) -> Result<Option<Tally>> {
    let mut tally = Tally::default();
    let mut any = false;
    for case in index["cases"].as_array().context("a family without cases")? {
        let name = case["name"].as_str().context("a case without name")?;
        if !args.case.as_deref().is_none_or(|c| allow::matches(c, name)) {
            continue;
        }
        let Some(outcome) = catch_unwind(AssertUnwindSafe(|| dispatch(run, index, case)))
            .unwrap_or_else(|_| Some(Ok(Outcome::Failed { share: f64::INFINITY, why: "panicked".into() })))
        else {
            continue;
        };
        any = true;
        let outcome = outcome.unwrap_or_else(|e| Outcome::Failed { share: f64::INFINITY, why: format!("{e:#}") });
        let reason = if let Outcome::Unsupported(reason) = &outcome { reason.as_str() } else { "" };
        let listed = allow.names(family, name, case["op"].as_str().unwrap_or_default(), reason);
        tally.add(name, outcome, case["advisory"].as_bool().unwrap_or(false), listed);
    }
    Ok(any.then_some(tally))
}

/// Runs a case by what it looks like; `None` where the index has nothing for this variant.
fn dispatch(run: &Run, family: &Value, case: &Value) -> Option<Result<Outcome>> {
    if case["inputs"].is_object() {
        return case::has_variant(case, run.dtype).then(|| case::run(run, case));
    }
    let op = case["op"].as_str().unwrap_or("none");
    let plain = run.dtype == DType::F32;
    let result = match op {
        _ if family["family"] == "schedules" && run.dtype != DType::F16 => schedules::run(run, case),
        "LBFGS" if family["family"] == "optim_lbfgs" && run.dtype != DType::F16 => lbfgs::run(run, case),
        // Weights are f32, whatever the device can do.
        _ if family["family"] == "init" && plain => init::run(run, case),
        "cast" if case["input"].is_string() => return plain.then(|| ops_cast::run(run, case).transpose()).flatten(),
        "train" if run.dtype != DType::F16 => train::curve(run, family, case),
        // Mixed precision starts from f32 weights.
        "train_autocast" | "train_loss_scaled" if plain => amp::curve(run, case),
        "loss_scale" if plain => amp::sequence(run, case),
        "clip_grad_norm" | "clip_grad_value" if run.dtype != DType::F16 => optim::clipping(run, case),
        "ema" | "swa" if run.dtype != DType::F16 => optim::average(run, case),
        _ if family["family"] == "optim_mlp" && run.dtype != DType::F16 => optim_mlp::run(run, case),
        _ if case["params"].is_array() && case["steps"].is_u64() && run.dtype != DType::F16 => {
            optim::trajectory(run, case)
        }
        _ if plain => Err(Stop::Unsupported(format!("op {op}"))),
        _ => return None,
    };
    Some(Ok(match result {
        Ok(outcome) => outcome,
        Err(Stop::Unsupported(what)) => Outcome::Unsupported(what),
        Err(Stop::Wrong(error)) => Outcome::Failed { share: f64::INFINITY, why: format!("{error:#}") },
    }))
}

/// The variants that a device can run.
fn variants(device: &Device) -> Vec<DType> {
    match device.properties().f64 {
        // The strict executor rounds after each op; the f16 reference accumulates in wider numbers between its ends.
        true => vec![DType::F64, DType::F32],
        false => vec![DType::F32, DType::F16],
    }
}

fn label(args: &GoldenArgs) -> String {
    if args.strict { format!("{}-strict", args.device) } else { args.device.clone() }
}

fn open(args: &GoldenArgs) -> Result<Device> {
    match (args.strict, args.device.as_str()) {
        (true, "cpu" | "strict") => Ok(Device::strict()),
        (true, _) => bail!("--strict is for --device cpu"),
        (false, name) => Ok(Device::named(name)?),
    }
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
