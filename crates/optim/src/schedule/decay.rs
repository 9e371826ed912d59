//! Rates that fall for ever.

use super::{Family, check};

/// `η γ^⌊t / s⌋`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepDecay {
    /// η.
    pub rate: f64,
    /// s.
    pub every: f64,
    /// γ.
    pub gamma: f64,
}

/// `η γ^n`, where `n` milestones are at or behind `t`. One that is given twice counts twice.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    /// η.
    pub rate: f64,
    /// The milestones, in any order.
    pub at: Vec<f64>,
    /// γ.
    pub gamma: f64,
}

/// `η γ^t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    /// η.
    pub rate: f64,
    /// γ.
    pub gamma: f64,
}

/// `η / (1 + k t)`.
///
/// # Source
/// Robbins & Monro 1951: steps whose sum is infinite, and that of their squares is not, need `k > 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseTime {
    /// η.
    pub rate: f64,
    /// k.
    pub k: f64,
}

impl Family for StepDecay {
    fn at(&self, t: f64) -> f64 {
        self.rate * self.gamma.powf((t / self.every).floor())
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)?;
        check::positive("every", self.every)?;
        factor(self.gamma)
    }
}

impl Family for MultiStep {
    fn at(&self, t: f64) -> f64 {
        let passed = self.at.iter().filter(|milestone| **milestone <= t).count();
        self.rate * self.gamma.powf(passed as f64)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)?;
        self.at.iter().try_for_each(|milestone| check::length("a milestone", *milestone))?;
        factor(self.gamma)
    }
}

impl Family for Exponential {
    fn at(&self, t: f64) -> f64 {
        self.rate * self.gamma.powf(t)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)?;
        factor(self.gamma)
    }
}

impl Family for InverseTime {
    fn at(&self, t: f64) -> f64 {
        self.rate / (1.0 + self.k * t)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)?;
        check::rate("k", self.k)
    }
}

fn factor(gamma: f64) -> Result<(), String> {
    check::of((0.0..f64::INFINITY).contains(&gamma), "gamma", gamma, "a factor")
}
