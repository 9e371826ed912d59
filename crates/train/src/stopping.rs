//! An end to training when a figure no longer gets better.

use std::{
    cell::{Cell, RefCell},
    fmt,
    time::{Duration, Instant},
};

use thalweg_graph::{
    Error, ErrorKind, Module, Result,
    module::snapshot::{Loading, Snapshot, Stateful, Value, matching},
};
use thalweg_optim::{Goal, Threshold};

/// When to stop:
///
/// ```text
/// wait ← 0 if v beats the best so far by min_delta (and the baseline, if there is one), else wait + 1
/// stop: wait ≥ patience,  or 100 (v / best - 1) > generalisation_loss,  or the time is over
/// ```
///
/// ```ignore
/// let stop = EarlyStopping { patience: 5, ..EarlyStopping::default() }.watch(&net)?;
/// for epoch in 0.. {
///     train(epoch)?;
///     if stop.report(evaluate(&test, 100, &device, forward)?.loss)? {
///         break;
///     }
/// }
/// stop.restore()?; // the weights of the best report
/// ```
///
/// # Source
/// Prechelt 1998, "Early stopping — but when?" (the generalisation loss).
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Which way the figure is to go.
    pub goal: Goal,
    /// How many reports in a row may be no better.
    pub patience: u64,
    /// By how much a report must be better.
    pub min_delta: f64,
    /// How many reports are not judged at first.
    pub start_from: u64,
    /// What must be beaten at all.
    pub baseline: Option<f64>,
    /// How far above its best a loss may be, in percent.
    pub generalisation_loss: Option<f64>,
    /// How long it may take.
    pub time: Option<Duration>,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping {
            goal: Goal::Min,
            patience: 10,
            min_delta: 0.0,
            start_from: 0,
            baseline: None,
            generalisation_loss: None,
            time: None,
        }
    }
}

impl EarlyStopping {
    /// Follows reports, and keeps the weights of the best one, on the host.
    ///
    /// # Errors
    /// No patience, or a `min_delta` that is negative or no number.
    #[track_caller]
    pub fn watch<M: Module>(self, net: &M) -> Result<Stopping<'_, M>> {
        if self.patience == 0 || !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            let problem = format!("{self:?}: needs a patience, and a min_delta that is not negative");
            return Err(Error::new("early_stopping", ErrorKind::Invalid(problem)));
        }
        let now = Now { best: self.goal.worst(), best_at: 0, wait: 0, reports: 0 };
        let best_weights = RefCell::new(Snapshot::new());
        Ok(Stopping {
            settings: self,
            net,
            now: Cell::new(now),
            best_weights,
            since: Cell::new((Instant::now(), Duration::ZERO)),
        })
    }
}

/// Follows reports, and keeps the weights of the best one. As a part of a checkpoint it goes on where it was.
pub struct Stopping<'a, M> {
    settings: EarlyStopping,
    net: &'a M,
    now: Cell<Now>,
    best_weights: RefCell<Snapshot>,
    /// Since when it runs, and how long it had run before.
    since: Cell<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    best: f64,
    /// Which report was best, from 0.
    best_at: u64,
    /// Reports in a row that were no better.
    wait: u64,
    reports: u64,
}

impl<M: Module> Stopping<'_, M> {
    /// Notes a figure; whether to stop. Waits for the device when it is the best so far. NaN is no better.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn report(&self, figure: f64) -> Result<bool> {
        let EarlyStopping { goal, patience, min_delta, start_from, baseline, generalisation_loss, time } =
            self.settings;
        let Now { mut best, mut best_at, mut wait, reports } = self.now.get();
        let by = Threshold::Absolute(min_delta);
        if reports >= start_from {
            wait += 1;
            if goal.is_better(figure, best, by) {
                self.keep()?;
                (best, best_at) = (figure, reports);
                if baseline.is_none_or(|baseline| goal.is_better(figure, baseline, by)) {
                    wait = 0;
                }
            }
        }
        self.now.set(Now { best, best_at, wait, reports: reports + 1 });
        let lost = generalisation_loss.is_some_and(|limit| 100.0 * (figure / best - 1.0) > limit);
        Ok(wait >= patience || lost || time.is_some_and(|limit| self.elapsed() >= limit))
    }

    /// The best figure, and which report it was, from 0; `None` before there was one.
    pub fn best(&self) -> Option<(f64, u64)> {
        let Now { best, best_at, .. } = self.now.get();
        best.is_finite().then_some((best, best_at))
    }

    /// Brings the weights and running statistics back to the best report. Does nothing before there was one.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn restore(&self) -> Result<()> {
        matching(self.net, &self.best_weights.borrow())?.loading.commit()
    }

    /// Weights and running statistics; whether it trains, and where its random streams are, is not the report's.
    #[track_caller]
    fn keep(&self) -> Result<()> {
        let mut all = Snapshot::new();
        self.net.save(&mut all)?;
        *self.best_weights.borrow_mut() = arrays(&all, "");
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        let (since, before) = self.since.get();
        since.elapsed() + before
    }
}

/// The tensors of a snapshot whose names begin so.
fn arrays(of: &Snapshot, prefix: &str) -> Snapshot {
    let mut arrays = Snapshot::new();
    for (name, value) in of.iter().filter(|(_, value)| matches!(value, Value::Array(_))) {
        if let Some(name) = name.strip_prefix(prefix) {
            arrays.insert(name, value.clone());
        }
    }
    arrays
}

const BEST: &str = "#best";
const COUNTS: &str = "#counts";
const SECONDS: &str = "#seconds";
const WEIGHTS: &str = "best.";

impl<M: Module> Stateful for Stopping<'_, M> {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let Now { best, best_at, wait, reports } = self.now.get();
        to.insert(BEST, Value::Number(best));
        to.insert(COUNTS, Value::Words(vec![best_at, wait, reports]));
        to.insert(SECONDS, Value::Number(self.elapsed().as_secs_f64()));
        for (name, value) in self.best_weights.borrow().iter() {
            to.insert(format!("{WEIGHTS}{name}"), value.clone());
        }
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let (best, [best_at, wait, reports]) = (from.number(BEST)?, from.words(COUNTS)?);
        let before = Duration::try_from_secs_f64(from.number(SECONDS)?).unwrap_or_default();
        let weights = arrays(from, WEIGHTS);
        // They fit the model, or nothing is loaded.
        let left = matching(self.net, &weights)?.left;
        if let Some(left) = left.first() {
            let problem = format!("there is '{WEIGHTS}{left}', which the model has not");
            return Err(Error::new("load", ErrorKind::Invalid(problem)));
        }
        let mut loading = Loading::new();
        loading.then(move || {
            self.now.set(Now { best, best_at, wait, reports });
            self.since.set((Instant::now(), before));
            *self.best_weights.borrow_mut() = weights;
            Ok(())
        });
        Ok(loading)
    }
}

impl<M> fmt::Debug for Stopping<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stopping({:?}; {:?})", self.settings, self.now.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_graph::{Device, Param, Tensor};

    use super::*;

    const METRICS: [f64; 8] = [1.0, 0.8, 0.7, 0.699, 0.698, 0.697, 0.6, 0.61];

    fn param() -> Param {
        Param::new(Tensor::from_slice(&Device::new(Arc::new(StrictCpu::new())), &[0.0f32], [1])).unwrap()
    }

    fn set(net: &Param, value: f64) {
        net.set(&(net.tensor() * 0.0 + value)).unwrap();
    }

    /// After which report it stops, and which one was best.
    fn run(settings: EarlyStopping, metrics: &[f64]) -> (Option<usize>, Option<(f64, u64)>) {
        let net = param();
        let stop = settings.watch(&net).unwrap();
        let at = metrics.iter().position(|figure| stop.report(*figure).unwrap());
        (at, stop.best())
    }

    #[test]
    fn stops_where_the_specification_does() {
        let settings = |patience| EarlyStopping { patience, min_delta: 0.01, ..EarlyStopping::default() };
        assert_eq!(run(settings(3), &METRICS), (Some(5), Some((0.7, 2))));
        assert_eq!(run(settings(4), &METRICS), (None, Some((0.6, 6))));
        let lost = |limit| EarlyStopping { generalisation_loss: Some(limit), ..EarlyStopping::default() };
        assert_eq!(run(lost(9.9), &[0.7, 0.77]).0, Some(1));
        assert_eq!(run(lost(10.1), &[0.7, 0.77]).0, None);
    }

    #[test]
    fn reports_may_come_before_it_judges_and_must_beat_the_baseline() {
        let usual = || EarlyStopping { patience: 2, ..EarlyStopping::default() };
        assert_eq!(
            run(EarlyStopping { start_from: 3, ..usual() }, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
            (Some(5), Some((0.4, 3)))
        );
        // Better all the time, but not than the baseline.
        assert_eq!(run(EarlyStopping { baseline: Some(0.5), ..usual() }, &[0.9, 0.8, 0.4]), (Some(1), Some((0.8, 1))));
        assert_eq!(
            run(EarlyStopping { goal: Goal::Max, ..usual() }, &[0.5, 0.6, f64::NAN, 0.6]),
            (Some(3), Some((0.6, 1)))
        );
        assert_eq!(run(EarlyStopping { time: Some(Duration::ZERO), ..usual() }, &[0.5]).0, Some(0));
        assert!(EarlyStopping { patience: 0, ..usual() }.watch(&param()).is_err());
    }

    #[test]
    fn the_best_weights_come_back_also_in_a_resumed_run() {
        let settings = || EarlyStopping { patience: 3, min_delta: 0.01, ..EarlyStopping::default() };
        let net = param();
        let stop = settings().watch(&net).unwrap();
        stop.restore().unwrap();
        assert_eq!(stop.best(), None);
        for (i, figure) in METRICS[..4].iter().enumerate() {
            set(&net, i as f64);
            assert!(!stop.report(*figure).unwrap());
        }
        let mut saved = Snapshot::new();
        stop.save(&mut saved).unwrap();

        let again = param();
        again.freeze(true);
        let resumed = settings().watch(&again).unwrap();
        resumed.load(&saved).unwrap();
        assert!(!resumed.report(METRICS[4]).unwrap() && resumed.report(METRICS[5]).unwrap());
        for (stop, net) in [(&stop, &net), (&resumed, &again)] {
            stop.restore().unwrap();
            assert_eq!((net.tensor().to_vec::<f64>().unwrap(), stop.best()), (vec![2.0], Some((0.7, 2))));
        }
        assert!(again.is_frozen());
    }
}
