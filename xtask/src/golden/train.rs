//! Training curves replayed: the loss of every step, the first gradients, the last weights.

use serde_json::Value;
use thalweg_graph::DType;

use super::{
    curve::{Curve, compare},
    kinks,
    models::{Cnn, Mlp, Model},
    models_sequence::{CharLm, Forecaster},
    outcome::{Outcome, Run, Stop},
    training::Training,
};

/// Runs a curve of the model that the family describes.
pub fn curve(run: &Run, family: &Value, case: &Value) -> Result<Outcome, Stop> {
    match family["family"].as_str() {
        Some("train_mlp") => replay(run, case, Mlp::new),
        Some("train_cnn") => replay(run, case, Cnn::new),
        Some("train_lstm") => replay(run, case, |run| Forecaster::new(run, family)),
        Some("train_charlm") => replay(run, case, |run| CharLm::new(run, family)),
        other => Err(Stop::Unsupported(format!("model of {}", other.unwrap_or("nothing")))),
    }
}

fn replay<M: Model>(run: &Run, case: &Value, model: impl Fn(&Run) -> Result<M, Stop>) -> Result<Outcome, Stop> {
    let net = model(run)?;
    let want = Curve::published(run, case, &net)?;
    let got = Curve::trained(Training::new(run, case, net)?, case, |_, _| Ok(()))?;
    let outcome = compare(run, case, &got, &want)?;
    if matches!(outcome, Outcome::Passed { .. }) || run.dtype == DType::F64 {
        return Ok(outcome);
    }
    match kinks::follow(run, case, model, &got)? {
        Some(want) => compare(run, case, &got, &want),
        None => Ok(outcome),
    }
}
