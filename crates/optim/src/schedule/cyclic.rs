//! Triangles.

use super::{Family, check};

/// How high the triangles of [`Cyclic`] are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Peaks {
    /// All the same: `triangular`.
    Equal,
    /// Each half as high as the one before: `triangular2`.
    Halved,
    /// `γ^t` of the first: `exp_range`.
    Exponential(f64),
}

/// `low + (high - low) h s`, where `h` rises from 0 to 1 over `up` and falls to 0 again over `down`, and `s` is what [`Peaks`] say.
///
/// # Source
/// Smith 2017, arXiv:1506.01186; half a cycle of 2 to 10 epochs is recommended there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cyclic {
    /// Where every cycle begins and ends.
    pub low: f64,
    /// Where the first one has its peak.
    pub high: f64,
    /// How long it rises.
    pub up: f64,
    /// How long it falls.
    pub down: f64,
    /// How high the later ones are.
    pub peaks: Peaks,
}

impl Cyclic {
    /// Triangles of one height that rise as long as they fall.
    pub fn new(low: f64, high: f64, half: f64) -> Cyclic {
        Cyclic { low, high, up: half, down: half, peaks: Peaks::Equal }
    }

    /// The momentum that goes with it: high where the rate is low, and the other way round.
    #[must_use]
    pub fn momentum(self, low: f64, high: f64) -> Cyclic {
        Cyclic { low: high, high: low, ..self }
    }
}

impl Family for Cyclic {
    fn at(&self, t: f64) -> f64 {
        let whole = self.up + self.down;
        let cycle = (t / whole).floor();
        let t_cur = t - cycle * whole;
        let height = if t_cur < self.up { t_cur / self.up } else { (whole - t_cur) / self.down };
        let scale = match self.peaks {
            Peaks::Equal => 1.0,
            Peaks::Halved => 0.5f64.powf(cycle),
            Peaks::Exponential(gamma) => gamma.powf(t),
        };
        self.low + (self.high - self.low) * height * scale
    }

    fn check(&self) -> Result<(), String> {
        check::rate("low", self.low)?;
        check::rate("high", self.high)?;
        check::length("up", self.up)?;
        check::positive("down", self.down)?;
        match self.peaks {
            Peaks::Exponential(gamma) => check::of((0.0..=1.0).contains(&gamma), "gamma", gamma, "in [0, 1]"),
            _ => Ok(()),
        }
    }
}
