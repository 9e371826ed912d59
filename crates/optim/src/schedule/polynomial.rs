//! A power of what is left.

use super::{Family, check};

/// `b + (a - b) (1 - min(t, T) / T)^p`; with cycles, `T` is the first multiple of itself that is not behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// a.
    pub from: f64,
    /// b.
    pub to: f64,
    /// T.
    pub over: f64,
    /// p.
    pub power: f64,
    /// Whether it rises again when it has come to its end, each time to less.
    pub cycle: bool,
}

impl Polynomial {
    /// From a rate to 0, without cycles.
    pub fn new(from: f64, over: f64, power: f64) -> Polynomial {
        Polynomial { from, to: 0.0, over, power, cycle: false }
    }
}

impl Family for Polynomial {
    fn at(&self, t: f64) -> f64 {
        let over = if self.cycle { self.over * (t / self.over).ceil().max(1.0) } else { self.over };
        if t >= over {
            return self.to;
        }
        self.to + (self.from - self.to) * (1.0 - t / over).powf(self.power)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("from", self.from)?;
        check::rate("to", self.to)?;
        check::positive("over", self.over)?;
        check::positive("power", self.power)
    }

    fn length(&self) -> f64 {
        if self.cycle { f64::INFINITY } else { self.over }
    }
}
