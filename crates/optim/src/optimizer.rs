//! The optimizer: update rules and the parameters that they move.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, Once,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use thalweg_graph::{
    DType, Device, Error, ErrorKind, Grads, Param, Result, State,
    module::{Module, unrecorded},
};

use crate::{
    clip::Clip,
    control::{Control, Report, UNSCALED},
    group::{Group, Rules},
    rates::{Rate, Rates},
    rule::Rule,
    saved,
    scale::LossScale,
    schedule::Schedule,
    select::Select,
    skips::Skips,
    work::{Summed, Work, lock},
};

/// Update rules at work on the parameters of a module.
///
/// Several optimizers may have parameters in common, and one may be made after another: each works on the current values.
pub struct Optimizer {
    /// All trainable parameters of the module, those frozen for now among them.
    pub(crate) params: Vec<(String, Param)>,
    pub(crate) rules: Rules,
    pub(crate) work: Mutex<Work>,
    /// Running statistics and the like, which steps write along.
    pub(crate) carried: Vec<State>,
    pub(crate) lr: Rate,
    pub(crate) rates: Mutex<Option<Rates>>,
    pub(crate) scaling: Option<LossScale>,
    /// Done once losses in mixed f16 have come that are not scaled.
    pub(crate) unscaled: Once,
    pub(crate) clip: Clip,
    /// By what the rates of parameters differ; the first that chooses one has it.
    pub(crate) factors: Vec<(Select, f64)>,
    /// By which backward passes know it.
    pub(crate) number: u64,
    pub(crate) sum: Mutex<Option<Summed>>,
    /// Settings of the rules that schedules drive.
    pub(crate) settings: Mutex<Vec<(String, Rates)>>,
    /// Set as soon as the device looks something else up: a rate, or another setting.
    pub(crate) looks_up: Mutex<Arc<AtomicBool>>,
    pub(crate) skips: Mutex<Skips>,
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Optimizer {
    #[track_caller]
    pub(crate) fn new(rule: Arc<dyn Rule>, module: &dyn Module) -> Result<Optimizer> {
        // Not `map_err`: the caller's position does not go through a closure.
        if let Err(problem) = rule.check() {
            return Err(Error::new("init", ErrorKind::Invalid(problem)));
        }
        let params: Vec<(String, Param)> =
            module.params().into_iter().filter(|(_, p)| !p.shape().contains(&0)).collect();
        let Some((_, first)) = params.iter().find(|(_, p)| !p.is_frozen()) else {
            return Err(Error::new("init", ErrorKind::Invalid("the module has no trainable parameter".into())));
        };
        let device = first.tensor().device().clone();
        // bf16 has the range of f32 and needs no scale.
        let scaling = (device.compute_dtype() == Some(DType::F16)).then(LossScale::default);
        let lr = Rate::new(rule.lr());
        let rules: Rules = vec![(None, rule)];
        let work = Work::new(&params, &rules, &device, scaling.as_ref().map_or(UNSCALED, |s| s.init))?;
        Ok(Optimizer {
            params,
            rules,
            work: Mutex::new(work),
            carried: module.states().into_iter().map(|(_, s)| s).collect(),
            lr,
            rates: Mutex::new(None),
            scaling,
            unscaled: Once::new(),
            clip: Clip::default(),
            factors: Vec::new(),
            number: next_number(),
            sum: Mutex::new(None),
            settings: Mutex::default(),
            looks_up: Mutex::default(),
            skips: Mutex::default(),
        })
    }

    /// The schedule that it follows, if it does.
    pub fn current_schedule(&self) -> Option<Schedule> {
        lock(&self.rates).as_ref().and_then(Rates::schedule)
    }

    /// The learning rate of the next step, where there is no schedule.
    pub fn lr(&self) -> f64 {
        self.lr.get()
    }

    /// The learning rate as something to hold. Does nothing where there is a schedule.
    pub fn rate(&self) -> Rate {
        self.lr.clone()
    }

    /// The rule of the parameters that no group has.
    pub fn rule(&self) -> &dyn Rule {
        &*self.rules[self.rules.len() - 1].1
    }

    /// The parameters it moves when they are not frozen, with their names.
    pub fn params(&self) -> &[(String, Param)] {
        &self.params
    }

    /// What the loss scale is before the first step.
    pub(crate) fn first_scale(&self) -> f64 {
        self.scaling.as_ref().map_or(UNSCALED, |s| s.init)
    }

    /// Steps taken and skipped, loss scale and gradient norm. Waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn report(&self) -> Result<Report> {
        let report = self.control().report()?;
        lock(&self.skips).note(report.steps as f64, report.skipped as f64);
        Ok(report)
    }

    /// Makes room for parameters that were frozen when there was none, and have a gradient now. What is kept of the others goes on.
    #[track_caller]
    pub(crate) fn adopt(&self, grads: &Grads) -> Result<()> {
        let is_new = |work: &Work, param: &Param| !param.is_frozen() && grads.get(param).is_some() && !work.has(param);
        let device = self.device();
        let work = self.work();
        if !self.params.iter().any(|(_, p)| is_new(&work, p)) {
            return Ok(());
        }
        // Those that have a place keep it, frozen or not.
        let kept = |(_, p): &&(String, Param)| work.has(p) || !p.is_frozen();
        let now: Vec<(String, Param)> = self.params.iter().filter(kept).cloned().collect();
        // A replay finds the room there.
        let grown = unrecorded(|| {
            let saved = saved::save(&work)?;
            let grown = Work::of(Group::all(&now, &self.rules)?, &device, self.first_scale())?;
            saved::prepare(&grown, &saved, self.first_scale())?.commit(&grown)?;
            Ok::<_, Error>(grown)
        })?;
        drop(work);
        self.replace(grown);
        self.forget_count();
        Ok(())
    }

    /// Puts other work in the place of the present one. Compiled functions that met that one record again.
    pub(crate) fn replace(&self, work: Work) {
        let before = std::mem::replace(&mut *self.work(), work);
        before.end();
    }

    pub(crate) fn device(&self) -> Device {
        self.control().state().tensor().device().clone()
    }

    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }

    pub(crate) fn control(&self) -> Control {
        self.work().control.clone()
    }
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self
            .rules
            .iter()
            .map(|(select, rule)| match select {
                Some(select) => format!("{select}: {rule:?}"),
                None => format!("{rule:?}"),
            })
            .collect();
        write!(f, "Optimizer({}; {} parameters", rules.join(", "), self.params.len())?;
        self.current_schedule().map_or(Ok(()), |schedule| write!(f, "; {schedule}"))?;
        f.write_str(")")
    }
}
