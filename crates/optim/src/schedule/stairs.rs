//! A ramp in equal steps.

use super::{Family, check};

/// `a + r ⌊t n / T⌋` up to `b`, where `n = (b - a) / r` stairs are climbed in `T`.
///
/// # Source
/// Narayanan et al. 2021, arXiv:2104.04473: how Megatron-LM raises the batch size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stairs {
    /// a.
    pub from: f64,
    /// b.
    pub to: f64,
    /// r, which fits between them a whole number of times.
    pub rise: f64,
    /// T.
    pub over: f64,
}

impl Family for Stairs {
    fn at(&self, t: f64) -> f64 {
        if t >= self.over {
            return self.to;
        }
        let stairs = ((self.to - self.from) / self.rise).round();
        self.from + self.rise * (t * stairs / self.over).floor()
    }

    fn check(&self) -> Result<(), String> {
        check::rate("from", self.from)?;
        check::rate("to", self.to)?;
        check::length("over", self.over)?;
        let stairs = (self.to - self.from) / self.rise;
        let whole = stairs >= 0.0 && (stairs - stairs.round()).abs() < 1e-9 * stairs.max(1.0);
        check::of(whole, "rise", self.rise, "a whole share of the way from the first to the last")
    }

    fn length(&self) -> f64 {
        self.over
    }
}
