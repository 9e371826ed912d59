//! Counts per family and variant, for people and as JSON lines.

use serde_json::json;

use super::outcome::Outcome;

/// What came out of one family in one variant.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub unsupported: usize,
    /// Advisory cases that differ: told, not failed.
    pub advisory: usize,
    /// Unsupported cases that the allow-list does not name.
    pub unlisted: usize,
    /// The worst error as a share of tolerance.
    pub worst: f64,
    pub worst_case: String,
    /// Lines to print.
    pub notes: Vec<String>,
}

impl Tally {
    /// Counts one case.
    pub fn add(&mut self, case: &str, outcome: Outcome, advisory: bool, listed: bool) {
        let share = match &outcome {
            Outcome::Passed { share } | Outcome::Failed { share, .. } => *share,
            Outcome::Unsupported(_) => 0.0,
        };
        if share > self.worst && !advisory {
            (self.worst, self.worst_case) = (share, case.into());
        }
        match outcome {
            Outcome::Passed { .. } => self.passed += 1,
            Outcome::Failed { why, .. } if advisory => {
                self.advisory += 1;
                self.notes.push(format!("  advisory {case}: {why}"));
            }
            Outcome::Failed { why, .. } => {
                self.failed += 1;
                self.notes.push(format!("  FAILED {case}: {why}"));
            }
            Outcome::Unsupported(what) => {
                self.unsupported += 1;
                if !listed {
                    self.unlisted += 1;
                    self.notes.push(format!("  unsupported {case}: {what}"));
                }
            }
        }
    }

    /// Whether the run may end well.
    pub fn good(&self) -> bool {
        self.failed == 0 && self.unlisted == 0
    }

    /// Prints the family's line.
    pub fn print(&self, family: &str, device: &str, variant: &str, as_json: bool) {
        if as_json {
            // JSON has no infinity: an error without bound is null.
            println!(
                "{}",
                json!({"family": family, "device": device, "variant": variant, "passed": self.passed,
                    "failed": self.failed, "unsupported": self.unsupported, "worst": self.worst})
            );
            self.notes.iter().for_each(|n| eprintln!("{n}"));
            return;
        }
        let worst = match self.worst_case.as_str() {
            "" => String::new(),
            case => format!("  worst {:.3} of tolerance ({case})", self.worst),
        };
        println!(
            "{family:18} {variant:5} passed {:4}  failed {:3}  unsupported {:3}  advisory {:2}{worst}",
            self.passed, self.failed, self.unsupported, self.advisory
        );
        self.notes.iter().for_each(|n| println!("{n}"));
    }
}
