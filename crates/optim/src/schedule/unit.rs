//! What progress is counted in.

use std::fmt;

use super::{BatchSize, Family, Schedule, check};

/// What a step is worth in samples or tokens.
#[derive(Clone, PartialEq)]
pub enum Worth {
    /// The same every time.
    Fixed(f64),
    /// What a schedule of batch sizes says.
    Batches(BatchSize),
}

/// What progress is counted in, and how many steps or what share of it a step is.
#[derive(Clone, Debug, PartialEq)]
pub enum Unit {
    /// Epochs of so many steps.
    Epochs(f64),
    /// Whole epochs of so many steps.
    WholeEpochs(f64),
    /// Samples.
    Samples(Worth),
    /// Tokens.
    Tokens(Worth),
}

/// A schedule by another unit than steps: see [`Family::in_tokens`] and the like.
#[derive(Clone, PartialEq)]
pub struct In {
    schedule: Box<Schedule>,
    unit: Unit,
}

impl In {
    pub(super) fn new(schedule: Schedule, unit: Unit) -> In {
        In { schedule: Box::new(schedule), unit }
    }
}

impl Worth {
    /// The samples of a step, by its number from 0.
    pub fn of_step(&self, step: f64) -> f64 {
        match self {
            Worth::Fixed(of) => *of,
            Worth::Batches(sizes) => sizes.of_step(step as u64) as f64,
        }
    }

    pub(super) fn check(&self, what: &str) -> Result<(), String> {
        match self {
            Worth::Fixed(of) => check::positive(what, *of),
            Worth::Batches(sizes) => sizes.check(),
        }
    }
}

impl fmt::Debug for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Worth::Fixed(of) => write!(f, "{of:?}"),
            Worth::Batches(sizes) => write!(f, "{sizes:?}"),
        }
    }
}

impl Unit {
    /// How much of it the first so many steps are.
    pub fn progress(&self, steps: f64) -> f64 {
        match self {
            Unit::Epochs(of) => steps / of,
            Unit::WholeEpochs(of) => (steps / of).floor(),
            Unit::Samples(Worth::Fixed(of)) | Unit::Tokens(Worth::Fixed(of)) => steps * of,
            Unit::Samples(Worth::Batches(sizes)) => sizes.samples_before(steps as u64),
            Unit::Tokens(Worth::Batches(sizes)) => sizes.tokens_before(steps as u64),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Unit::Epochs(of) | Unit::WholeEpochs(of) => check::positive("steps of an epoch", *of),
            Unit::Samples(worth) => worth.check("samples of a step"),
            Unit::Tokens(worth) => worth.check("tokens of a step"),
        }
    }
}

impl From<f64> for Worth {
    fn from(of: f64) -> Worth {
        Worth::Fixed(of)
    }
}

impl From<BatchSize> for Worth {
    fn from(sizes: BatchSize) -> Worth {
        Worth::Batches(sizes)
    }
}

impl Family for In {
    fn at(&self, t: f64) -> f64 {
        self.schedule.at(self.unit.progress(t))
    }

    fn check(&self) -> Result<(), String> {
        self.unit.check()?;
        self.schedule.check()
    }

    fn length(&self) -> f64 {
        let length = self.schedule.length();
        match &self.unit {
            Unit::Epochs(of) | Unit::WholeEpochs(of) => length * of,
            Unit::Samples(Worth::Fixed(of)) | Unit::Tokens(Worth::Fixed(of)) => length / of,
            Unit::Samples(Worth::Batches(sizes)) => sizes.steps_for(length, BatchSize::samples_before),
            Unit::Tokens(Worth::Batches(sizes)) => sizes.steps_for(length, BatchSize::tokens_before),
        }
    }
}

impl fmt::Debug for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.schedule)?;
        match &self.unit {
            Unit::Epochs(of) => write!(f, ".in_epochs({of:?})"),
            Unit::WholeEpochs(of) => write!(f, ".in_whole_epochs({of:?})"),
            Unit::Samples(worth) => write!(f, ".in_samples({worth:?})"),
            Unit::Tokens(worth) => write!(f, ".in_tokens({worth:?})"),
        }
    }
}
