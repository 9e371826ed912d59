//! From little to the rate. More of them are [`Linear`](super::Linear) from 0 or any other rate, [`Geometric`](super::Geometric)
//! from a share of it, and [`constant_factor`](super::constant_factor).

use super::{Family, check};

/// `η min(1, (t + 1) / W)`: no step is wasted on a rate of 0.
///
/// # Source
/// Goyal et al. 2017, arXiv:1706.02677, §2.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// η.
    pub to: f64,
    /// W.
    pub over: f64,
}

/// `η (1 - exp(-(1 - β2) (t + 1)))`: as fast as the second moment of Adam fills.
///
/// # Source
/// Ma & Yarats 2021, arXiv:1910.04209, §5: untuned exponential warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SaturatingWarmUp {
    /// η.
    pub to: f64,
    /// β2.
    pub beta2: f64,
}

impl Family for WarmUp {
    fn at(&self, t: f64) -> f64 {
        if t + 1.0 >= self.over { self.to } else { self.to * (t + 1.0) / self.over }
    }

    fn check(&self) -> Result<(), String> {
        check::rate("to", self.to)?;
        check::length("over", self.over)
    }

    fn length(&self) -> f64 {
        self.over
    }
}

impl Family for SaturatingWarmUp {
    fn at(&self, t: f64) -> f64 {
        -self.to * (-(1.0 - self.beta2) * (t + 1.0)).exp_m1()
    }

    fn check(&self) -> Result<(), String> {
        check::rate("to", self.to)?;
        check::of((0.0..1.0).contains(&self.beta2), "beta2", self.beta2, "in [0, 1)")
    }
}
