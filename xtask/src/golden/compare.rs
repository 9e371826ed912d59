//! Holding values against the reference.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use thalweg_graph::DType;

/// How far a value may be from the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tol {
    /// Equal.
    Exact,
    /// `|got - want| <= atol + rtol · |want|`.
    Within { rtol: f64, atol: f64 },
}

impl Tol {
    /// `"exact"` or `[rtol, atol]`.
    pub fn parse(value: &Value) -> Result<Tol> {
        match value {
            Value::String(s) if s == "exact" => Ok(Tol::Exact),
            Value::Array(pair) if pair.len() == 2 => {
                let number = |v: &Value| v.as_f64().context("a tolerance that is no number");
                Ok(Tol::Within { rtol: number(&pair[0])?, atol: number(&pair[1])? })
            }
            other => bail!("{other} is no tolerance"),
        }
    }

    /// `tol[tensor][variant]`, or none where the index has no allowance for this variant.
    pub fn of(tol: &Value, tensor: &str, variant: &str) -> Result<Option<Tol>> {
        match &tol[tensor] {
            Value::Null => Ok(None),
            Value::Object(by_variant) => by_variant.get(variant).map(Tol::parse).transpose(),
            value => Tol::parse(value).map(Some),
        }
    }
}

/// Gradients that PyTorch 2 computes with a constant rounded to f32, whatever the tensor's dtype: `1.0f / 6.0f` in
/// `hardsigmoid_backward`, and α in that of `celu`. With `δ ≤ 2⁻²⁴` the constant's error, the first is off by `δ / 6` of the
/// upstream gradient and the second, `e^(x / α)` with `x ≤ 0`, by `δ (1 - x / α) e^(x / α)` of it: neither by more than `δ`.
const ROUNDED: [(&str, &str); 2] = [("hardsigmoid", "grad.x"), ("celu", "grad.x")];

/// Whether the index's f64 numbers of a tensor are right to 2⁻²⁴ of the upstream gradient only.
pub fn is_rounded(op: &str, tensor: &str) -> bool {
    ROUNDED.contains(&(op, tensor))
}

impl Tol {
    /// This tolerance, and what a reference that is [rounded](is_rounded) adds, with the largest upstream gradient.
    pub fn of_rounded(self, upstream: f64) -> Tol {
        match self {
            Tol::Within { rtol, atol } => Tol::Within { rtol, atol: atol + upstream * 2f64.powi(-24) },
            Tol::Exact => Tol::Exact,
        }
    }
}

/// The name of a variant in the index.
pub fn variant_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "f64",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        _ => "f32",
    }
}

/// The worst error as a share of what is allowed: above 1 is wrong. `dtype` is what the reference is rounded to first.
pub fn share(got: &[f64], want: &[f64], tol: Tol, dtype: DType) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    got.iter().zip(want).map(|(got, want)| one(*got, dtype.round(*want), tol)).fold(0.0, f64::max)
}

fn one(got: f64, want: f64, tol: Tol) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    match tol {
        Tol::Within { rtol, atol } if got.is_finite() && want.is_finite() => {
            let (error, allowed) = ((got - want).abs(), atol + rtol * want.abs());
            if allowed > 0.0 { error / allowed } else { f64::INFINITY }
        }
        _ => f64::INFINITY,
    }
}

/// Where two lists differ most, for people.
pub fn describe(got: &[f64], want: &[f64], tol: Tol, dtype: DType) -> String {
    if got.len() != want.len() {
        return format!("{} values, not {}", got.len(), want.len());
    }
    let worst = |i: &usize| one(got[*i], dtype.round(want[*i]), tol);
    match (0..got.len()).max_by(|a, b| worst(a).total_cmp(&worst(b))) {
        Some(i) => {
            format!("element {i} of {} is {:e}, not {:e} ({:.3} of {tol:?})", got.len(), got[i], want[i], worst(&i))
        }
        None => "no values".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_with_the_error_and_specials_must_match() {
        let tol = Tol::Within { rtol: 0.1, atol: 1.0 };
        assert_eq!(share(&[11.0], &[10.0], tol, DType::F64), 0.5);
        assert_eq!(share(&[f64::NAN], &[f64::NAN], tol, DType::F64), 0.0);
        assert_eq!(share(&[f64::NAN], &[1.0], tol, DType::F64), f64::INFINITY);
        assert_eq!(share(&[f64::INFINITY], &[1e300], tol, DType::F32), 0.0);
        assert_eq!(share(&[1.0], &[1.0, 2.0], tol, DType::F64), f64::INFINITY);
        assert_eq!(share(&[1.0], &[1.5], Tol::Exact, DType::F64), f64::INFINITY);
    }

    #[test]
    fn tolerances_are_found_by_tensor_and_variant() {
        let tol = serde_json::json!({"out.y": {"f32": [1e-5, 2e-6]}, "out.i": "exact"});
        assert_eq!(Tol::of(&tol, "out.y", "f32").unwrap(), Some(Tol::Within { rtol: 1e-5, atol: 2e-6 }));
        assert_eq!(Tol::of(&tol, "out.i", "f16").unwrap(), Some(Tol::Exact));
        assert_eq!(Tol::of(&tol, "out.y", "f16").unwrap(), None);
        assert!(Tol::parse(&serde_json::json!([1.0])).is_err());
    }
}
