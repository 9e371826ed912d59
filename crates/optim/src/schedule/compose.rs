//! Schedules of schedules. They print as the methods that make them.

use std::fmt;

use super::{Family, Schedule, check};

/// One schedule, and from somewhere on the next one: see [`Family::until`].
#[derive(Clone, PartialEq)]
pub struct Until {
    /// The one before.
    pub first: Box<Schedule>,
    /// Where the next one begins.
    pub at: f64,
    /// The next one, by progress since then.
    pub next: Box<Schedule>,
}

/// The product of two schedules: see [`Family::times`].
#[derive(Clone, PartialEq)]
pub struct Product {
    /// The one.
    pub one: Box<Schedule>,
    /// The other.
    pub other: Box<Schedule>,
}

/// A schedule within bounds: see [`Family::clamp`].
#[derive(Clone, PartialEq)]
pub struct Clamp {
    /// What is bounded.
    pub schedule: Box<Schedule>,
    /// The least it gives.
    pub low: f64,
    /// The most it gives.
    pub high: f64,
}

impl Family for Until {
    fn at(&self, t: f64) -> f64 {
        if t < self.at { self.first.at(t) } else { self.next.at(t - self.at) }
    }

    fn check(&self) -> Result<(), String> {
        if self.at == f64::INFINITY {
            return Err(format!("{:?} does not end: say until(..) when {:?} is to begin", self.first, self.next));
        }
        check::length("until", self.at)?;
        self.first.check()?;
        self.next.check()
    }

    fn length(&self) -> f64 {
        self.at + self.next.length()
    }
}

impl Family for Product {
    fn at(&self, t: f64) -> f64 {
        self.one.at(t) * self.other.at(t)
    }

    fn check(&self) -> Result<(), String> {
        self.one.check()?;
        self.other.check()
    }

    fn length(&self) -> f64 {
        match (&*self.one, &*self.other) {
            (Schedule::Constant(_), other) | (other, Schedule::Constant(_)) => other.length(),
            (one, other) => one.length().max(other.length()),
        }
    }
}

impl Family for Clamp {
    fn at(&self, t: f64) -> f64 {
        // Not f64::clamp, which panics where the bounds are the wrong way round: check() tells that.
        self.schedule.at(t).max(self.low).min(self.high)
    }

    fn check(&self) -> Result<(), String> {
        check::rate("low", self.low)?;
        check::of(self.high >= self.low, "high", self.high, "at least the lower bound")?;
        self.schedule.check()
    }

    fn length(&self) -> f64 {
        self.schedule.length()
    }
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.until({:?}, {:?})", self.first, self.at, self.next)
    }
}

impl fmt::Debug for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.times({:?})", self.one, self.other)
    }
}

impl fmt::Debug for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.clamp({:?}, {:?})", self.schedule, self.low, self.high)
    }
}
