//! A rate that follows the batch size.

use std::fmt;

use super::{Family, Schedule, Worth, check};

/// How the rate follows the batch size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coupling {
    /// Not at all: GPT-3.
    None,
    /// `η B / B_0`: SGD, Goyal et al. 2017, arXiv:1706.02677.
    Linear {
        /// B_0, at which the rate is η.
        at: f64,
    },
    /// `η √(B / B_0)`: adaptive rules.
    Sqrt {
        /// B_0, at which the rate is η.
        at: f64,
    },
    /// `η / (1 + B_noise / B)`, where η is the rate of large batches: McCandlish et al. 2018, arXiv:1812.06162.
    Noise {
        /// B_noise.
        scale: f64,
    },
}

impl Coupling {
    /// The rate at a batch size.
    pub fn rate(&self, rate: f64, batch: f64) -> f64 {
        match self {
            Coupling::None => rate,
            Coupling::Linear { at } => rate * batch / at,
            Coupling::Sqrt { at } => rate * (batch / at).sqrt(),
            Coupling::Noise { scale } => rate / (1.0 + scale / batch),
        }
    }
}

/// A schedule whose rate follows the batch size of each step: see [`Family::coupled`].
#[derive(Clone, PartialEq)]
pub struct Coupled {
    /// The rate that is coupled.
    pub schedule: Box<Schedule>,
    /// How it follows.
    pub coupling: Coupling,
    /// What it follows.
    pub batch: Worth,
}

impl Family for Coupled {
    fn at(&self, t: f64) -> f64 {
        self.coupling.rate(self.schedule.at(t), self.batch.of_step(t))
    }

    fn check(&self) -> Result<(), String> {
        self.schedule.check()?;
        self.batch.check("samples of a step")?;
        match self.coupling {
            Coupling::None => Ok(()),
            Coupling::Linear { at } | Coupling::Sqrt { at } => check::positive("the batch size of the rate", at),
            Coupling::Noise { scale } => check::rate("the noise scale", scale),
        }
    }

    fn length(&self) -> f64 {
        self.schedule.length()
    }
}

impl fmt::Debug for Coupled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.coupled(Coupling::{:?}, {:?})", self.schedule, self.coupling, self.batch)
    }
}
