//! Conversions between dtypes: `input` and `output` name stored tensors, whose dtypes say what is converted to what.

use anyhow::{Context, Result};
use safetensors::Dtype;
use serde_json::Value;
use thalweg_graph::DType;

use super::{
    compare::{Tol, describe, share},
    outcome::{Outcome, Run},
};

/// This framework's dtype; I64 is read into I32.
fn dtype(of: Dtype) -> Option<DType> {
    Some(match of {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 | Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

/// Runs one case; `None` if the device has no f64 and the case wants it.
pub fn run(run: &Run, case: &Value) -> Result<Option<Outcome>> {
    let stored = |key: &str| run.store.get(case[key].as_str().with_context(|| format!("a cast without {key}"))?);
    let (x, y) = (stored("input")?, stored("output")?);
    let (Some(from), Some(to)) = (dtype(x.dtype), dtype(y.dtype)) else {
        return Ok(Some(Outcome::Unsupported(format!("cast from {:?} to {:?}", x.dtype, y.dtype))));
    };
    if [from, to].contains(&DType::F64) && !run.device.properties().f64 {
        return Ok(None);
    }
    let got = match x.upload(run.device, from).cast(to).to_vec::<f64>() {
        Ok(got) => got,
        Err(error) => return Ok(Some(Outcome::Failed { share: f64::INFINITY, why: error.to_string() })),
    };
    let tol = Tol::parse(&case["tol"])?;
    let share = share(&got, &y.values, tol, DType::F64);
    Ok(Some(match share <= 1.0 {
        true => Outcome::Passed { share },
        false => Outcome::Failed { share, why: describe(&got, &y.values, tol, DType::F64) },
    }))
}
