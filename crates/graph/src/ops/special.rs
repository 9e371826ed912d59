//! Special functions that are composed, so that derivatives go on from them.

use std::f64::consts::PI;

use thalweg_ir::op::special::{BERNOULLI, STEPS};

use thalweg_ir::ErrorKind;

use crate::tensor::Tensor;

/// # Special functions
impl Tensor {
    /// `ψ₁(x) = d²/dx² ln |Γ(x)|`; ∞ at 0, -1, -2, ..
    ///
    /// `ψ₁(x) = ψ₁(x + 1) + 1 / x²`, `ψ₁(x) + ψ₁(1 - x) = π² / sin² πx`, and for large x
    /// `ψ₁(x) ≈ 1/x + 1/(2x²) + Σ B₂ₖ / x²ᵏ⁺¹`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// NIST Digital Library of Mathematical Functions, 5.15.5, 5.15.6, 5.15.8.
    #[track_caller]
    #[doc(alias = "polygamma")]
    pub fn trigamma(&self) -> Tensor {
        if self.check().is_ok() && !self.dtype().is_float() {
            return self
                .fail("trigamma", ErrorKind::DType { got: self.dtype(), problem: "is not what this is for".into() });
        }
        let x = self.wide();
        let left = x.lt(0.5);
        let y = left.where_(1.0 - &x, &x);
        let r = (&y + STEPS as f64).recip();
        let z = r.square();
        let last = r.zeros_like();
        let series = BERNOULLI.iter().rev().fold(last, |s, b| s * &z + *b);
        let far = &r + &z * 0.5 + &r * &z * series;
        let right = (0..STEPS).rev().fold(far, |sum, k| sum + (&y + k as f64).square().recip());
        // 1/2 stands in where nothing is reflected, so that no infinity is multiplied by a gradient of 0.
        let part = left.where_(&x - x.round(), 0.5);
        let reflected = ((part * PI).sin().recip() * PI).square() - &right;
        left.where_(reflected, right).cast(self.dtype())
    }
}
