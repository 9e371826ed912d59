//! Many comparisons with one result.

use serde_json::Value;

use super::{
    compare::{Tol, describe, share},
    outcome::{Outcome, Run, Stop},
};

/// The comparisons of one case so far.
#[derive(Debug, Default)]
pub struct Holds {
    worst: f64,
    wrong: Vec<String>,
}

impl Holds {
    /// Holds values against a reference.
    pub fn check(&mut self, run: &Run, what: &str, got: &[f64], want: &[f64], tol: Tol) {
        let share = share(got, want, tol, run.dtype);
        self.worst = self.worst.max(share);
        if share > 1.0 {
            self.wrong.push(format!("{what}: {}", describe(got, want, tol, run.dtype)));
        }
    }

    /// Something that must be so.
    pub fn must(&mut self, so: bool, what: impl FnOnce() -> String) {
        if !so {
            self.worst = f64::INFINITY;
            self.wrong.push(what());
        }
    }

    /// The case's result.
    pub fn outcome(self) -> Outcome {
        match self.wrong.is_empty() {
            true => Outcome::Passed { share: self.worst },
            false => {
                let more = self.wrong.len().saturating_sub(3);
                let mut why = self.wrong.into_iter().take(3).collect::<Vec<_>>().join("; ");
                if more > 0 {
                    why += &format!("; and {more} more");
                }
                Outcome::Failed { share: self.worst, why }
            }
        }
    }
}

/// A tolerance that must be in the index.
pub fn need(tol: &Value, key: &str, variant: &str) -> Result<Tol, Stop> {
    Tol::of(tol, key, variant)?.ok_or_else(|| Stop::wrong(format!("no tolerance for {key} in {variant}")))
}
