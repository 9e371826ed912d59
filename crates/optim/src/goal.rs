//! What counts as better.

/// Which way a figure is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Down, as a loss.
    Min,
    /// Up, as an accuracy.
    Max,
}

/// By how much a figure must beat the best one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// By this share of it.
    Relative(f64),
    /// By this.
    Absolute(f64),
}

impl Goal {
    /// What every number is better than.
    pub fn worst(self) -> f64 {
        match self {
            Goal::Min => f64::INFINITY,
            Goal::Max => f64::NEG_INFINITY,
        }
    }

    /// Whether a figure is better than the best one. NaN never is.
    pub fn is_better(self, figure: f64, best: f64, by: Threshold) -> bool {
        match (self, by) {
            (Goal::Min, Threshold::Relative(share)) => figure < best * (1.0 - share),
            (Goal::Min, Threshold::Absolute(much)) => figure < best - much,
            (Goal::Max, Threshold::Relative(share)) => figure > best * (1.0 + share),
            (Goal::Max, Threshold::Absolute(much)) => figure > best + much,
        }
    }
}
