//! A smaller rate when a figure no longer gets better.

use std::cell::Cell;

use thalweg_graph::{
    Error, ErrorKind, Result,
    module::snapshot::{Loading, Snapshot, Stateful, Value},
};

use crate::goal::{Goal, Threshold};

/// When to reduce the rate, and by how much:
///
/// ```text
/// bad ← 0 if v is better than the best so far, else bad + 1
/// bad ← 0 during the reports of a cooldown
/// bad > patience:  η ← max(η factor, min),  unless that changes it by eps at most;  a cooldown begins
/// ```
///
/// ```
/// use thalweg_optim::Plateau;
/// let rate = Plateau { patience: 1, factor: 0.5, ..Plateau::default() }.start(0.1)?;
/// let rates = [1.0, 0.9, 0.95, 0.95, 0.8].map(|loss| rate.report(loss));
/// assert_eq!(rates, [0.1, 0.1, 0.1, 0.05, 0.05]);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// Which way the figure is to go.
    pub goal: Goal,
    /// By what the rate is multiplied.
    pub factor: f64,
    /// How many reports in a row may be no better.
    pub patience: u64,
    /// What is better.
    pub threshold: Threshold,
    /// How many reports after a reduction are not judged.
    pub cooldown: u64,
    /// The smallest rate.
    pub min: f64,
    /// The least change that is made.
    pub eps: f64,
}

impl Default for Plateau {
    fn default() -> Plateau {
        let threshold = Threshold::Relative(1e-4);
        Plateau { goal: Goal::Min, factor: 0.1, patience: 10, threshold, cooldown: 0, min: 0.0, eps: 1e-8 }
    }
}

impl Plateau {
    /// A rate that follows reports, from this one on: `opt.set_lr(rate.report(loss))?` once an epoch.
    ///
    /// # Errors
    /// A factor that is not in `(0, 1)`; a rate that is none.
    #[track_caller]
    pub fn start(self, rate: f64) -> Result<PlateauRate> {
        let problem = if !(self.factor > 0.0 && self.factor < 1.0) {
            format!("factor = {} is not in (0, 1)", self.factor)
        } else if !(rate >= 0.0 && rate.is_finite()) {
            format!("{rate} is no learning rate")
        } else {
            let best = self.goal.worst();
            return Ok(PlateauRate { settings: self, now: Cell::new(Now { rate, best, bad: 0, cooling: 0 }) });
        };
        Err(Error::new("plateau", ErrorKind::Invalid(problem)))
    }
}

/// A rate that follows reports. As a part of a checkpoint it goes on where it was.
#[derive(Clone, Debug)]
pub struct PlateauRate {
    settings: Plateau,
    now: Cell<Now>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    rate: f64,
    best: f64,
    /// Reports in a row that were no better.
    bad: u64,
    /// Reports that are not judged yet.
    cooling: u64,
}

impl PlateauRate {
    /// The rate now.
    pub fn rate(&self) -> f64 {
        self.now.get().rate
    }

    /// The rate after one more figure. One that is NaN is no better.
    pub fn report(&self, figure: f64) -> f64 {
        let Plateau { goal, factor, patience, threshold, cooldown, min, eps } = self.settings;
        let Now { mut rate, mut best, mut bad, mut cooling } = self.now.get();
        if goal.is_better(figure, best, threshold) {
            (best, bad) = (figure, 0);
        } else {
            bad += 1;
        }
        if cooling > 0 {
            (cooling, bad) = (cooling - 1, 0);
        }
        if bad > patience {
            let less = (rate * factor).max(min);
            if rate - less > eps {
                rate = less;
            }
            (cooling, bad) = (cooldown, 0);
        }
        self.now.set(Now { rate, best, bad, cooling });
        rate
    }
}

const RATE: &str = "#rate";
const BEST: &str = "#best";
const COUNTS: &str = "#counts";

impl Stateful for PlateauRate {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let Now { rate, best, bad, cooling } = self.now.get();
        to.insert(RATE, Value::Number(rate));
        to.insert(BEST, Value::Number(best));
        to.insert(COUNTS, Value::Words(vec![bad, cooling]));
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let (rate, best, [bad, cooling]) = (from.number(RATE)?, from.number(BEST)?, from.words(COUNTS)?);
        let mut loading = Loading::new();
        loading.then(move || {
            self.now.set(Now { rate, best, bad, cooling });
            Ok(())
        });
        Ok(loading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [f64; 15] = [1.0, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.5, 0.6, 0.7, 0.8, 0.9];
    const RATES: [f64; 15] =
        [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025, 0.025, 0.0125, 0.0125];

    fn start() -> PlateauRate {
        Plateau { factor: 0.5, patience: 2, cooldown: 1, ..Plateau::default() }.start(0.1).unwrap()
    }

    #[test]
    fn falls_where_the_figure_stands_still() {
        let rate = start();
        assert_eq!(METRICS.map(|figure| rate.report(figure)), RATES);
        let up = Plateau { goal: Goal::Max, patience: 0, ..Plateau::default() }.start(1.0).unwrap();
        assert_eq!(
            [0.5, 0.6, 0.6, f64::NAN].map(|figure| (100.0 * up.report(figure)).round()),
            [100.0, 100.0, 10.0, 1.0]
        );
    }

    #[test]
    fn goes_on_where_it_was_saved() {
        for at in 0..METRICS.len() {
            let (rate, again) = (start(), start());
            for figure in &METRICS[..at] {
                rate.report(*figure);
            }
            let mut saved = Snapshot::new();
            rate.save(&mut saved).unwrap();
            again.report(-7.0);
            again.load(&saved).unwrap();
            assert_eq!(again.rate(), rate.rate());
            let rest: Vec<f64> = METRICS[at..].iter().map(|figure| again.report(*figure)).collect();
            assert_eq!(rest, RATES[at..], "saved before report {at}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_told() {
        let problem = |plateau: Plateau, rate| plateau.start(rate).unwrap_err().to_string();
        assert!(problem(Plateau { factor: 1.0, ..Plateau::default() }, 0.1).contains("factor = 1 is not in (0, 1)"));
        assert!(problem(Plateau::default(), f64::NAN).contains("NaN is no learning rate"));
    }
}
