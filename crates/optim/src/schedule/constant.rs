//! The same rate all the time.

use super::{Family, Schedule, check};

/// `η`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl From<f64> for Schedule {
    fn from(rate: f64) -> Schedule {
        Constant(rate).into()
    }
}

impl Family for Constant {
    fn at(&self, _: f64) -> f64 {
        self.0
    }

    fn check(&self) -> Result<(), String> {
        check::rate("the rate", self.0)
    }
}
