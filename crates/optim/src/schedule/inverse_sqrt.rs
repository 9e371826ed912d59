//! Rates that fall as one over a root, and need no length.

use super::{Family, check};

/// `η / √(1 + t / τ)`. Behind a warm-up of `W` steps, with `τ = W`, it is `η √(W / t)` of all steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseSqrt {
    /// η.
    pub rate: f64,
    /// τ.
    pub timescale: f64,
}

/// `s d^{-1/2} min(n^{-1/2}, n W^{-3/2})`, `n = t + 1`.
///
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762, equation 3; the scale is that of tensor2tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noam {
    /// d, the width of the model.
    pub d_model: f64,
    /// W.
    pub warm_up: f64,
    /// s.
    pub scale: f64,
}

/// `s / √max(n, k)`, `n = t + 1`: constant for `k` steps.
///
/// # Source
/// Raffel et al. 2020, arXiv:1910.10683, §3.1.2, and Chowdhery et al. 2022, arXiv:2204.02311, §5, with `s = 1` and `k = 10⁴`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootAfter {
    /// k.
    pub hold: f64,
    /// s.
    pub scale: f64,
}

impl Family for InverseSqrt {
    fn at(&self, t: f64) -> f64 {
        self.rate / (1.0 + t / self.timescale).sqrt()
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)?;
        check::positive("timescale", self.timescale)
    }
}

impl Family for Noam {
    fn at(&self, t: f64) -> f64 {
        let n = t + 1.0;
        self.scale / self.d_model.sqrt() * (1.0 / n.sqrt()).min(n / self.warm_up.powf(1.5))
    }

    fn check(&self) -> Result<(), String> {
        check::positive("d_model", self.d_model)?;
        check::positive("warm_up", self.warm_up)?;
        check::rate("scale", self.scale)
    }
}

impl Family for RootAfter {
    fn at(&self, t: f64) -> f64 {
        self.scale / (t + 1.0).max(self.hold).sqrt()
    }

    fn check(&self) -> Result<(), String> {
        check::length("hold", self.hold)?;
        check::rate("scale", self.scale)
    }
}
