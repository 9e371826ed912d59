//! The optimizer: rules, the parameters they move, and one training step as a graph.

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, Once,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use thalweg_graph::{
    DType, Device, Error, ErrorKind, Grads, Param, Result, Rng, Scope, State, Tensor,
    module::{Commit, Module, Segment, depends_on, recording, unrecorded, write_states},
};

use crate::{
    clip::{Clip, Noise, Norm},
    control::{Control, Report, SKIPPED, STEP},
    group::{Given, Group, Rules},
    rates::{Rate, Rates, Source},
    rule::Rule,
    saved,
    scale::LossScale,
    schedule::Schedule,
    select::Select,
    skips::Skips,
    work::{Flat, Summed, Work, lock},
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
    carried: Vec<State>,
    pub(crate) lr: Rate,
    pub(crate) rates: Mutex<Option<Rates>>,
    scaling: Option<LossScale>,
    /// Done once losses in mixed f16 have come that are not scaled.
    unscaled: Once,
    clip: Clip,
    /// By what the rates of parameters differ; the first that chooses one has it.
    factors: Vec<(Select, f64)>,
    /// By which backward passes know it.
    number: u64,
    pub(crate) sum: Mutex<Option<Summed>>,
    /// Settings of the rules that schedules drive.
    pub(crate) settings: Mutex<Vec<(String, Rates)>>,
    /// Set as soon as the device looks something else up: a rate, or another setting.
    looks_up: Mutex<Arc<AtomicBool>>,
    skips: Mutex<Skips>,
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a step goes by.
enum By<'a> {
    /// A loss, which tells whether it is finite, and by what its gradients are to be multiplied where the loss was scaled.
    Loss(&'a Tensor, Option<Tensor>),
    /// Gradients that a caller has: they are looked at only where they are measured anyway. Some are computed on the way, for others
    /// to apply.
    Gradients(Vec<Tensor>),
    /// A sum of gradients whose losses nobody has any more: they are measured. As they were laid out.
    Sum(Vec<Flat>),
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
        let work = Work::new(&params, &rules, &device, scaling.as_ref().map_or(1.0, |s| s.init))?;
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
        let scale = self.scaling.as_ref().map_or(1.0, |s| s.init);
        let work = Work::new(&self.params, &self.rules, &self.device(), scale)?;
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

    /// With a setting of its rules by a schedule, in every group whose rule has it: the `momentum` of [`Sgd`](crate::Sgd), the `beta1` of
    /// [`Adam`](crate::Adam) and [`AdamW`](crate::AdamW), say to cycle the other way than the rate.
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

    /// The rule of the parameters that no group has.
    pub fn rule(&self) -> &dyn Rule {
        &*self.rules[self.rules.len() - 1].1
    }

    /// The parameters it moves when they are not frozen, with their names.
    pub fn params(&self) -> &[(String, Param)] {
        &self.params
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

    /// The gradients of a loss, with respect to every parameter and tracked tensor that it depends on. In mixed f16 the loss is scaled
    /// on the way in and the gradients on the way out, so that they keep their digits in between and mean what they say here.
    ///
    /// # Errors
    /// As [`Tensor::backward`].
    #[track_caller]
    pub fn backward(&self, loss: &Tensor) -> Result<Grads> {
        let (grads, inverse) = self.backward_scaled(loss)?;
        let _scope = Scope::update();
        Ok(match inverse {
            Some(inverse) => grads.map(|g| g * inverse.cast(g.dtype())),
            None => grads,
        })
    }

    /// The gradients of a loss times its scale, and one over that.
    #[track_caller]
    fn backward_scaled(&self, loss: &Tensor) -> Result<(Grads, Option<Tensor>)> {
        loss.check()?;
        if self.scaling.is_none() && loss.device().compute_dtype() == Some(DType::F16) {
            self.unscaled.call_once(|| {
                log::warn!(
                    "a loss was computed in mixed f16, but this optimizer's parameters were not made so, and small gradients are lost: \
                     make the model with the handle in mixed f16 as well, or give the optimizer a loss_scale()"
                );
            });
        }
        if self.scaling.is_none() || loss.count() != 1 {
            return Ok((loss.backward()?, None));
        }
        let _scope = Scope::update();
        let scale = self.control().scale();
        let seed = scale.cast(loss.dtype()).broadcast_to(loss.shape());
        Ok((loss.backward_from(&seed)?, Some(scale.recip())))
    }

    /// One training step: gradients, scaling, clipping and the update of the parameters and of what the module carries along,
    /// as one graph. Queued, not waited for; `loss`, and whatever else of the graph is still held, can be read afterwards.
    ///
    /// It moves the parameters that the loss depends on and that are not frozen; others keep their bits. A step whose loss is not finite
    /// (in mixed f16, and where gradients are clipped by norm: or any gradient) changes nothing but the loss scale and is counted in
    /// [`Optimizer::report`].
    ///
    /// # Errors
    /// The error that the loss carries; a loss that is not one number; one that depends on no parameter of this optimizer, or on an older
    /// version of one (so also the same loss twice); an op without a gradient; a negative bound on gradients; what went wrong on the
    /// device.
    #[track_caller]
    pub fn step(&self, loss: &Tensor) -> Result<()> {
        // Unscaled where the flat gradient is read: for each alone that would wait for the whole pass, and keep what it reads till then.
        let (grads, inverse) = self.backward_scaled(loss)?;
        self.run(grads, By::Loss(loss, inverse))
    }

    /// The update alone, by gradients of one backward pass, changed or not. Several optimizers may apply the same gradients, each once.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; gradients that it has applied already.
    #[track_caller]
    pub fn apply(&self, grads: &Grads) -> Result<()> {
        // Those that only another optimizer applies are computed before this one writes what they read.
        let own = self.params.iter().filter(|(_, p)| grads.get(p).is_some() && !p.is_frozen()).count();
        let waiting = if own < grads.len() { grads.computable() } else { Vec::new() };
        self.run(grads.clone(), By::Gradients(waiting))
    }

    /// The update by gradients of no loss that is known: skipped if one is not finite.
    #[track_caller]
    pub(crate) fn apply_finite(&self, grads: Grads) -> Result<()> {
        self.run(grads, By::Sum(Vec::new()))
    }

    /// One step by a loss that a function computes; gives the loss.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    #[track_caller]
    pub fn step_closure(&self, loss: impl FnOnce() -> Tensor) -> Result<Tensor> {
        let loss = loss();
        self.step(&loss)?;
        Ok(loss)
    }

    /// Adds the gradients of a loss to those kept for [`Optimizer::step_accumulated`]. They are computed now (queued), and hold no batch.
    ///
    /// # Errors
    /// As [`Optimizer::backward`]; a sum that was begun inside a compiled function and goes on outside, or the other way round.
    #[track_caller]
    pub fn accumulate(&self, loss: &Tensor) -> Result<()> {
        let grads = self.backward(loss)?;
        let _scope = Scope::update();
        let recording = recording();
        let before = lock(&self.sum).clone();
        let (sum, losses) = match before {
            Some(sum) if sum.recording != recording => return Err(self.forget_sum()),
            Some(Summed { grads: sum, losses, .. }) => (sum + grads, losses + 1),
            None => (grads, 1),
        };
        let (grads, flats, others) = self.work().lay_out(sum.map(Tensor::detach));
        let flat = flats.iter().map(|flat| &flat.gradient);
        let computed: Vec<Tensor> = flat.chain(&others).chain([loss]).cloned().collect();
        write_states(loss.device(), Vec::new(), &computed)?;
        *lock(&self.sum) = Some(Summed { grads, flats, losses, recording });
        Ok(())
    }

    /// A compiled function adds to the sum when it is recorded, and not when it is replayed: what it begins it must end.
    #[track_caller]
    fn forget_sum(&self) -> Error {
        *lock(&self.sum) = None;
        let problem = "gradients were accumulated inside a compiled function and are used outside of this call of it, or the other \
                       way round; accumulate and step in the same call";
        Error::new("accumulate", ErrorKind::Invalid(problem.into()))
    }

    /// One step by the mean of the accumulated gradients: with micro batches of equal size, and a loss that is a mean, what one large
    /// batch gives.
    ///
    /// # Errors
    /// As [`Optimizer::apply`]; nothing was accumulated, or inside a compiled function and the step is outside.
    #[track_caller]
    pub fn step_accumulated(&self) -> Result<()> {
        let Some(sum) = lock(&self.sum).take() else {
            let problem = "nothing was accumulated since the step before; call accumulate(&loss) first".into();
            return Err(Error::new("step", ErrorKind::Invalid(problem)));
        };
        if sum.recording != recording() {
            return Err(self.forget_sum());
        }
        let _scope = Scope::update();
        let mean = |g: &Tensor| if sum.losses == 1 { g.clone() } else { g * (1.0 / f64::from(sum.losses)) };
        let by = By::Sum(sum.flats.iter().map(|flat| flat.map(mean)).collect());
        let result = self.run(sum.grads.clone().map(mean), by);
        // An error changes nothing; but what has become stale can never be applied, and would be in the way of every sum to come.
        if let Err(error) = &result
            && !matches!(error.kind(), ErrorKind::Stale { .. })
        {
            *lock(&self.sum) = Some(sum);
        }
        result
    }

    #[track_caller]
    fn run(&self, grads: Grads, by: By) -> Result<()> {
        // Not in the closure: the caller's position does not go through it.
        let caller = Location::caller();
        let _scope = Scope::update();
        self.device().writing(|| self.run_alone(grads, by)).map_err(|error| error.seen_at(caller))
    }

    #[track_caller]
    fn run_alone(&self, grads: Grads, by: By) -> Result<()> {
        self.clip.check()?;
        let pass = grads.pass();
        if pass.is_applied_by(self.number) {
            let problem = "these gradients have been applied already; take new ones from the parameters of now".into();
            return Err(Error::new("step", ErrorKind::Invalid(problem)));
        }
        self.adopt(&grads)?;
        let work = self.work();
        let Work { groups, control, current } = &*work;
        depends_on(current);
        let mut moves: Vec<Vec<bool>> = Vec::with_capacity(groups.len());
        for group in groups {
            let mut of_group = Vec::with_capacity(group.size());
            for param in group.arena.params() {
                of_group.push(grads.moves(param)?);
            }
            moves.push(of_group);
        }
        if !moves.iter().flatten().any(|m| *m) {
            let problem = "there is no gradient of any parameter of this optimizer that is not frozen: the loss does not depend on \
                           them, or was recorded while they were frozen or in evaluation mode";
            return Err(Error::new("step", ErrorKind::Gradient(problem.into())));
        }
        let mut active: Vec<(&Group, &Vec<bool>, Tensor)> = Vec::with_capacity(groups.len());
        for (group, moves) in groups.iter().zip(&moves).filter(|(_, moves)| moves.contains(&true)) {
            group.arena.bring_home()?;
            // The update has no gradient of its own; untracked, its nodes let go of each other once they are computed.
            let laid_out = match &by {
                By::Sum(flats) => flats.iter().find(|flat| flat.is_of(group, moves)),
                _ => None,
            };
            let gradient = laid_out.map_or_else(|| group.gather(&grads, moves), |flat| flat.gradient.clone());
            gradient.check()?;
            active.push((group, moves, gradient));
        }
        let applied = grads.applied(groups.iter().flat_map(|g| g.arena.params()));
        // What nobody else holds needs no place of its own.
        drop(grads);
        let (loss, inverse, watch) = match &by {
            By::Loss(loss, inverse) => (Some(*loss), inverse.as_ref(), vec![(*loss).clone()]),
            By::Gradients(waiting) => (None, None, waiting.clone()),
            By::Sum(_) => (None, None, Vec::new()),
        };
        let unscaled = |x: Tensor| inverse.map_or(x.clone(), |inverse| &x * inverse.cast(x.dtype()));
        let (scaled, order) = (self.scaling.is_some(), self.clip.norm.map(|(_, p)| p));
        let measured = scaled || order.is_some() || matches!(by, By::Sum(_));
        let gradients = active.iter().filter(|_| measured).map(|(.., g)| g);
        let norm = Norm::of(gradients, order.unwrap_or(2.0));
        // The norm is not finite as soon as one gradient is not. A loss that is not finite may have gradients that are.
        let of_loss = loss.map(|loss| loss.is_finite().reshape(()));
        let finite = match (of_loss, norm.as_ref().map(Norm::is_finite)) {
            (Some(loss), Some(gradients)) => Some(loss.where_(&gradients, &loss)),
            (loss, gradients) => loss.or(gradients),
        };
        let norm = norm.filter(|_| scaled || order.is_some()).map(|norm| unscaled(norm.value()));
        let clip = norm.as_ref().and_then(|norm| self.clip.factor(norm));
        let lr = self.next_lr(control);
        let settings: Vec<(String, Tensor)> = lock(&self.settings)
            .iter()
            .map(|(name, rates)| (name.clone(), rates.value(control.state(), STEP)))
            .collect();
        let skip = finite.as_ref().map(Tensor::not);
        let mut commit = Commit { applied, carried: &self.carried, ..Commit::default() };
        let (mut blocks, mut asked) = (Vec::new(), Vec::new());
        for (i, (group, moves, gradient)) in active.into_iter().enumerate() {
            let gradient = unscaled(gradient);
            let layout = group.arena.layout();
            let gradient = self.clip.apply(gradient, clip.as_ref(), layout, &control.lane(STEP), (i, groups.len()));
            let ratio = group.rule.lr() / self.rule().lr();
            let lr = if ratio == 1.0 || ratio.is_nan() { lr.clone() } else { &lr * ratio };
            let lr = self.rates_of(group, lr);
            if lr.rank() > 0 {
                // What a rule computes of its rate is then another number for each parameter.
                group.set_ragged(true);
            }
            let given =
                Given { lr: lr.cast(gradient.dtype()), settings: &settings, gradient, skip: skip.as_ref(), moves };
            let changes = group.step(control, given)?;
            commit.arenas.extend(changes.params.map(|new| (&group.arena, new)));
            commit.states.extend(changes.states);
            let params = group.arena.params().iter().zip(moves);
            commit.moved.extend(params.filter(|(_, moves)| **moves).map(|(p, _)| p.clone()));
            blocks.extend(changes.blocks);
            asked.extend(changes.asked);
        }
        if let Some((name, _)) = settings.iter().find(|(name, _)| !asked.contains(&name.as_str())) {
            let problem = format!("there is a schedule of '{name}', which no rule looks up; they look up {asked:?}");
            return Err(Error::new("schedule_of", ErrorKind::Invalid(problem)));
        }
        let next = control.next(self.scaling.as_ref(), finite.as_ref(), norm, blocks);
        commit.states.push((control.state().clone(), next));
        commit.skip = skip;
        commit.watch = watch;
        drop((clip, lr, finite));
        commit.run()?;
        pass.applied_by(self.number);
        lock(&self.skips).look(&control.state().tensor(), STEP, SKIPPED);
        Ok(())
    }

    /// η of the next step.
    fn next_lr(&self, control: &Control) -> Tensor {
        depends_on(&lock(&self.looks_up));
        match &*lock(&self.rates) {
            Some(rates) => rates.value(control.state(), STEP),
            None => {
                let rate = self.lr.clone();
                let like = control.state().tensor();
                Tensor::live_scalar(like.device(), like.dtype(), move || rate.get())
            }
        }
    }

    /// A rate, or one for each element where parameters have factors.
    fn rates_of(&self, group: &Group, lr: Tensor) -> Tensor {
        if self.factors.is_empty() {
            return lr;
        }
        let layout = group.arena.layout();
        let chosen = |path: &str, param: &Param| self.factors.iter().find(|(select, _)| select.chooses(path, param));
        let factor =
            |(segment, param): (&Segment, &Param)| chosen(&segment.path, param).map_or(1.0, |(_, factor)| *factor);
        let factors: Vec<f32> =
            layout.segments().iter().zip(group.arena.params()).map(factor).map(|f| f as f32).collect();
        match factors.iter().all(|factor| *factor == factors[0]) {
            true if factors[0] == 1.0 => lr,
            true => lr * f64::from(factors[0]),
            false => layout.spread(&Tensor::from_slice(lr.device(), &factors, [factors.len()])).cast(lr.dtype()) * lr,
        }
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
            let grown = Work::of(Group::all(&now, &self.rules)?, &device, 1.0)?;
            saved::prepare(&grown, &saved)?.commit(&grown)?;
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

    fn control(&self) -> Control {
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
