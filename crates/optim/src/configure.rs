//! What a user sets: groups, bounds on gradients, rates and schedules.

use std::sync::{Arc, atomic::Ordering};

use thalweg_graph::{Error, ErrorKind, Result, Rng};

use crate::{
    clip::Noise,
    optimizer::Optimizer,
    rates::{Rates, Source},
    rule::Rule,
    scale::LossScale,
    schedule::Schedule,
    select::Select,
    work::{Work, lock},
};

impl Optimizer {
    /// With a rule of their own for some of the parameters, say without decay for biases. Of several groups that choose a parameter
    /// the one that was given first has it. Learning rates keep their ratio to that of the optimizer's rule: a schedule or
    /// [`Optimizer::set_lr`] changes all in proportion.
    ///
    /// ```ignore
    /// let opt = AdamW::default().init(&net)?.group("*.bias", AdamW { weight_decay: 0.0, ..AdamW::default() })?;
    /// ```
    ///
    /// # Errors
    /// Hyperparameters out of range; no parameter that it chooses; a step has been taken.
    #[track_caller]
    pub fn group(mut self, select: impl Into<Select>, rule: impl Rule) -> Result<Self> {
        let select = select.into();
        let problem = if let Err(problem) = rule.check() {
            Some(problem)
        } else if self.control().state().version() > 0 {
            Some("groups are made before the first step".into())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::new("group", ErrorKind::Invalid(problem)));
        }
        self.must_choose("group", &select)?;
        self.rules.insert(self.rules.len() - 1, (Some(select), Arc::new(rule)));
        let work = Work::new(&self.params, &self.rules, &self.device(), self.first_scale())?;
        self.replace(work);
        Ok(self)
    }

    #[track_caller]
    fn must_choose(&self, op: &'static str, select: &Select) -> Result<()> {
        if self.params.iter().any(|(path, param)| select.chooses(path, param)) {
            return Ok(());
        }
        let names: Vec<&str> = self.params.iter().take(8).map(|(path, _)| path.as_str()).collect();
        let problem = format!("no parameter is chosen by '{select}'; there are {}, ..", names.join(", "));
        Err(Error::new(op, ErrorKind::Invalid(problem)))
    }

    /// With this loss scaling instead of the default one (which is used in mixed f16 only).
    ///
    /// # Errors
    /// Numbers out of range.
    #[track_caller]
    pub fn loss_scale(mut self, scaling: LossScale) -> Result<Self> {
        if let Err(problem) = scaling.check() {
            return Err(Error::new("loss_scale", ErrorKind::Invalid(problem)));
        }
        self.control().set_scale(scaling.init)?;
        self.scaling = Some(scaling);
        Ok(self)
    }

    /// With gradients scaled down to this norm over all parameters when theirs is larger: `g · min(1, c / (‖g‖ + 1e-6))`. The norm is that
    /// over all groups, and [`Optimizer::report`] has it.
    ///
    /// # Source
    /// Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    pub fn clip_norm(self, norm: f64) -> Self {
        self.clip_norm_of(norm, 2.0)
    }

    /// As [`Optimizer::clip_norm`] by the norm `(Σ |g|^p)^(1/p)`: of order 1, 2, `∞` (the largest element) or any other.
    pub fn clip_norm_of(mut self, norm: f64, p: f64) -> Self {
        self.clip.norm = Some((norm, p));
        self
    }

    /// With the gradient of each parameter scaled down to this Euclidean norm of its own when it is larger.
    pub fn clip_each(mut self, norm: f64) -> Self {
        self.clip.each = Some(norm);
        self
    }

    /// With every gradient limited to `[-value, value]`.
    pub fn clip_value(mut self, value: f64) -> Self {
        self.clip.value = Some(value);
        self
    }

    /// With noise on the gradients that fades: normal with variance `eta / (1 + t)^gamma`, say 0.3 and 0.55, behind clipping. The draws are
    /// of the number of the step: with the same seed, a run that is stopped and goes on draws what it would have drawn.
    ///
    /// # Source
    /// Neelakantan et al. 2015, arXiv:1511.06807, equation 1.
    pub fn gradient_noise(mut self, eta: f64, gamma: f64, rng: &mut Rng) -> Self {
        self.clip.noise = Some(Noise { eta, gamma, stream: rng.stream() });
        self
    }

    /// With a rate that is this times as large for some of the parameters, in the same buffer and launch as the others. Of several that
    /// choose a parameter the one that was given first counts.
    ///
    /// # Errors
    /// A factor that is negative or no number; no parameter that is chosen.
    #[track_caller]
    pub fn rate_factor(mut self, select: impl Into<Select>, factor: f64) -> Result<Self> {
        let select = select.into();
        if !(factor >= 0.0 && factor.is_finite()) {
            return Err(Error::new("rate_factor", ErrorKind::Invalid(format!("{factor} is no factor of a rate"))));
        }
        self.must_choose("rate_factor", &select)?;
        self.factors.push((select, factor));
        Ok(self)
    }

    /// With rates that fall from the head to the first layer: the last of these patterns has the whole rate, the one before it `decay` of
    /// that, and so on; what none names has the whole rate.
    ///
    /// ```ignore
    /// let opt = AdamW::default().init(&net)?.layer_decay(0.75, &["embed.*", "blocks.0.*", "blocks.1.*", "head.*"])?;
    /// ```
    ///
    /// # Errors
    /// As [`Optimizer::rate_factor`].
    ///
    /// # Source
    /// Howard & Ruder 2018, arXiv:1801.06146, §3.2, "discriminative fine-tuning".
    #[track_caller]
    pub fn layer_decay(mut self, decay: f64, layers: &[&str]) -> Result<Self> {
        for (depth, layer) in layers.iter().rev().enumerate() {
            self = self.rate_factor(*layer, decay.powi(depth as i32))?;
        }
        Ok(self)
    }

    /// With learning rates by a schedule, or by a function of the number of steps taken, from 0. The device looks the rate up by its
    /// own count, which skipped steps do not advance. It may be given, or changed, at any time.
    ///
    /// ```ignore
    /// let opt = AdamW::default().init(&net)?.schedule(schedule::llama(3e-4, 10_000.0));
    /// ```
    ///
    /// A schedule whose numbers make none is an error of the next step.
    pub fn schedule(self, rate: impl Into<Schedule>) -> Self {
        self.set_schedule(rate);
        self
    }

    /// As [`Optimizer::schedule`], from the next step on. Another schedule is an input of plans and compiled functions; the first one
    /// makes other plans.
    pub fn set_schedule(&self, rate: impl Into<Schedule>) {
        let source = Source::Schedule(rate.into());
        let mut rates = lock(&self.rates);
        match &*rates {
            Some(rates) => rates.set(source),
            None => {
                *rates = Some(Rates::new(source));
                self.record_again();
            }
        }
    }

    /// With the momentum of its rules by a schedule, in every group whose rule has a setting of that name, say to cycle the other way than
    /// the rate: `momentum` ([`Sgd`](crate::Sgd), [`RmsProp`](crate::RmsProp), [`Lars`](crate::Lars), [`Muon`](crate::Muon)), `beta`
    /// ([`SgdEma`](crate::SgdEma)), `beta1` (Adam and its kin).
    ///
    /// ```ignore
    /// let cycle = OneCycle::new(0.1, 1000.0);
    /// let opt = sgd.init(&net)?.schedule(cycle).schedule_of("momentum", cycle.momentum(0.85, 0.95));
    /// ```
    ///
    /// A setting that none of the rules looks up is an error of the next step.
    pub fn schedule_of(self, setting: &str, schedule: impl Into<Schedule>) -> Self {
        self.set_schedule_of(setting, schedule);
        self
    }

    /// As [`Optimizer::schedule_of`], from the next step on.
    pub fn set_schedule_of(&self, setting: &str, schedule: impl Into<Schedule>) {
        let source = Source::Schedule(schedule.into());
        let mut settings = lock(&self.settings);
        match settings.iter().find(|(known, _)| known == setting) {
            Some((_, rates)) => rates.set(source),
            None => {
                settings.push((setting.into(), Rates::new(source)));
                self.record_again();
            }
        }
    }

    /// Compiled functions that have not what is looked up now record again.
    fn record_again(&self) {
        std::mem::take(&mut *lock(&self.looks_up)).store(true, Ordering::Relaxed);
    }

    /// The device's count of steps is another, or its vector is.
    pub(crate) fn forget_count(&self) {
        lock(&self.rates).iter().for_each(Rates::forget);
        lock(&self.settings).iter().for_each(|(_, rates)| rates.forget());
    }

    /// Sets the learning rate, and ends a schedule. It is an input of the plan: nothing is compiled and nothing waits.
    ///
    /// # Errors
    /// A rate that is negative or no number.
    #[track_caller]
    pub fn set_lr(&self, lr: f64) -> Result<()> {
        self.lr.set(lr)?;
        if let Some(rates) = &*lock(&self.rates) {
            rates.set(Source::Fixed(self.lr.clone()));
        }
        Ok(())
    }
}
