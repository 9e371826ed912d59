//! Cosines that come again. One that falls once is [`Cosine`](super::Cosine).

use std::f64::consts::PI;

use super::{Cosine, Family, check};

/// `b + ½ (a - b) (1 + cos(π t / T))`, down and up again for ever: PyTorch's `CosineAnnealingLR` behind its `T_max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineWave {
    /// a.
    pub from: f64,
    /// b.
    pub to: f64,
    /// T, half a wave.
    pub half: f64,
}

/// Warm restarts: [`Cosine`]s one after another, of lengths `T_i = T_0 mult^i`, from `a δ^i` to `b`.
///
/// # Source
/// Loshchilov & Hutter 2017, arXiv:1608.03983, §3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restarts {
    /// a.
    pub from: f64,
    /// b.
    pub to: f64,
    /// T_0.
    pub first: f64,
    /// How much longer each is than the one before.
    pub mult: f64,
    /// δ.
    pub decay: f64,
}

impl Restarts {
    /// Of equal length, from the same rate to 0.
    pub fn new(from: f64, first: f64) -> Restarts {
        Restarts { from, to: 0.0, first, mult: 1.0, decay: 1.0 }
    }
}

impl Family for CosineWave {
    fn at(&self, t: f64) -> f64 {
        // Modulo the wave first: the cosine of a large number has lost digits.
        let q = t.rem_euclid(2.0 * self.half) / self.half;
        self.to + 0.5 * (self.from - self.to) * (1.0 + (PI * q).cos())
    }

    fn check(&self) -> Result<(), String> {
        check::rate("from", self.from)?;
        check::rate("to", self.to)?;
        check::positive("half", self.half)
    }
}

impl Family for Restarts {
    fn at(&self, t: f64) -> f64 {
        let (mut since, mut over, mut from) = (t, self.first, self.from);
        if self.mult == 1.0 {
            let turns = (t / over).floor();
            (since, from) = (t - turns * over, from * self.decay.powf(turns));
        }
        // By counting and not by a logarithm, which would round at the very boundaries.
        while since >= over {
            since -= over;
            over *= self.mult;
            from *= self.decay;
        }
        Cosine { from, to: self.to, over }.at(since)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("from", self.from)?;
        check::rate("to", self.to)?;
        check::positive("first", self.first)?;
        check::of(self.mult >= 1.0 && self.mult.is_finite(), "mult", self.mult, "at least 1")?;
        check::rate("decay", self.decay)
    }
}
