//! The optimizer: a rule, the parameters it moves, and one training step as a graph.

use thalweg_graph::{
    DType, Error, ErrorKind, Grads, Param, Result, State, Tensor,
    module::{Arena, Module, zeros_state},
};

use crate::{
    control::{Control, Report, STEP},
    rates::{Rate, Rates},
    rule::{Context, Rule},
    scale::LossScale,
};

/// An update rule at work on the parameters of one module.
#[derive(Debug)]
pub struct Optimizer<R> {
    rule: R,
    arena: Arena,
    states: Vec<State>,
    control: Control,
    lr: Rate,
    rates: Option<Rates>,
    scaling: Option<LossScale>,
    clip_norm: Option<f64>,
    clip_value: Option<f64>,
}

impl<R: Rule> Optimizer<R> {
    #[track_caller]
    pub(crate) fn new(rule: R, module: &dyn Module) -> Result<Optimizer<R>> {
        // Not `map_err`: the caller's position does not go through a closure.
        if let Err(problem) = rule.check() {
            return Err(Error::new("init", ErrorKind::Invalid(problem)));
        }
        let arena = Arena::pack(module)?;
        let device = arena.device().clone();
        let dtype = arena.flat().dtype();
        let states =
            rule.states().iter().map(|_| zeros_state(&device, [arena.len()], dtype)).collect::<Result<Vec<_>>>()?;
        // bf16 has the range of f32 and needs no scale.
        let scaling = (device.mixed() == Some(DType::F16)).then(LossScale::default);
        let init = scaling.as_ref().map_or(1.0, |s| s.init);
        let control = Control::new(&device, dtype, rule.betas(), init)?;
        let lr = Rate::new(rule.lr());
        Ok(Optimizer { rule, arena, states, control, lr, rates: None, scaling, clip_norm: None, clip_value: None })
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
        let flat = self.arena.flat();
        self.control = Control::new(self.arena.device(), flat.dtype(), self.rule.betas(), scaling.init)?;
        self.scaling = Some(scaling);
        Ok(self)
    }

    /// With gradients scaled down to this norm over all parameters when theirs is larger: `g · min(1, c / (‖g‖ + 1e-6))`.
    ///
    /// # Source
    /// Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// With every gradient limited to `[-value, value]`.
    pub fn clip_value(mut self, value: f64) -> Self {
        self.clip_value = Some(value);
        self
    }

    /// With learning rates by a function of the number of steps taken, from 0. The device looks the rate up by its own count,
    /// which skipped steps do not advance.
    pub fn schedule(mut self, rate: impl Fn(u64) -> f64 + Send + 'static) -> Self {
        self.rates = Some(Rates::new(rate));
        self
    }

    /// The learning rate of the next step, where there is no schedule.
    pub fn lr(&self) -> f64 {
        self.lr.get()
    }

    /// The learning rate as something to hold while a compiled step has the optimizer. Does nothing where there is a schedule.
    pub fn rate(&self) -> Rate {
        self.lr.clone()
    }

    /// Sets the learning rate, and ends a schedule. It is an input of the plan: nothing is compiled and nothing waits.
    pub fn set_lr(&mut self, lr: f64) {
        self.lr.set(lr);
        self.rates = None;
    }

    /// The rule.
    pub fn rule(&self) -> &R {
        &self.rule
    }

    /// The parameters it moves, with their names.
    pub fn params(&self) -> &[(String, Param)] {
        self.arena.params()
    }

    /// Its states by name, each in the layout of the flat parameters, for checkpoints.
    pub fn states(&self) -> Vec<(&'static str, &State)> {
        let own = self.rule.states().iter().copied().zip(&self.states);
        own.chain([("control", self.control.state())]).collect()
    }

    /// Steps taken and skipped, loss scale and gradient norm. Waits for the device.
    pub fn report(&self) -> Result<Report> {
        self.control.report()
    }

    /// The gradients of a loss. In mixed f16 the loss is scaled on the way in and the gradients on the way out, so that they
    /// keep their digits in between and mean what they say here.
    ///
    /// # Errors
    /// As [`Tensor::backward`].
    #[track_caller]
    pub fn backward(&self, loss: &Tensor) -> Result<Grads> {
        loss.check()?;
        if self.scaling.is_none() || loss.count() != 1 {
            return loss.backward();
        }
        let scale = self.control.scale();
        let seed = scale.cast(loss.dtype()).broadcast_to(loss.shape());
        let inverse = scale.recip();
        Ok(loss.backward_from(&seed)?.map(|g| g * &inverse))
    }

    /// One training step: gradients, scaling, clipping and the update of the parameters and of what the module carries along,
    /// as one graph. Queued, not waited for; `loss`, and whatever else of the graph is still held, can be read afterwards.
    ///
    /// A step whose loss is not finite (in mixed f16: or any gradient) changes nothing but the loss scale and is counted in
    /// [`Optimizer::report`].
    ///
    /// # Errors
    /// The error that the loss carries; an op without a gradient; a negative bound on gradients; what went wrong on the device.
    #[track_caller]
    pub fn step(&mut self, module: &mut impl Module, loss: &Tensor) -> Result<()> {
        let grads = self.backward(loss)?;
        self.run(module, grads, Some(loss))
    }

    /// The update alone, from gradients that [`Optimizer::backward`] gave, changed or not.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    #[track_caller]
    pub fn apply(&mut self, module: &mut impl Module, grads: Grads) -> Result<()> {
        self.run(module, grads, None)
    }

    #[track_caller]
    fn run(&mut self, module: &mut impl Module, grads: Grads, loss: Option<&Tensor>) -> Result<()> {
        for (name, limit) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(limit) = limit.filter(|limit| limit.is_nan() || *limit < 0.0) {
                return Err(Error::new("step", ErrorKind::Invalid(format!("{name} = {limit} is no bound"))));
            }
        }
        // The update has no gradient of its own; untracked, its nodes let go of each other once they are computed.
        let g = self.arena.gather(&grads).detach();
        g.check()?;
        drop(grads);
        let p = self.arena.flat();
        let norm = (self.scaling.is_some() || self.clip_norm.is_some()).then(|| g.square().sum(..).sqrt());
        // The norm is not finite as soon as one gradient is not. Without it, the loss tells.
        let probe = norm.as_ref().or(loss.filter(|l| l.count() == 1));
        let finite = probe.map(|x| x.is_nan().or(x.is_inf()).not().reshape(()));
        let mut g = g;
        if let (Some(limit), Some(norm)) = (self.clip_norm, &norm) {
            g = g * (limit / (norm + 1e-6)).minimum(1.0);
        }
        if let Some(limit) = self.clip_value {
            g = g.maximum(-limit).minimum(limit);
        }
        let next = self.control.next(self.scaling.as_ref(), finite, norm.as_ref());
        let lr = match &self.rates {
            Some(rates) => rates.lr(self.control.state(), STEP),
            None => {
                let rate = self.lr.clone();
                Tensor::live_scalar(p.device(), p.dtype(), move || rate.get())
            }
        };
        let context = Context { lr, step: next.step, correction1: next.correction1, correction2: next.correction2 };
        let old: Vec<Tensor> = self.states.iter().map(State::tensor).collect();
        let update = self.rule.update(&context, &p, &g, &old);
        let keep = |new: &Tensor, old: &Tensor| match &next.skip {
            Some(skip) => skip.where_(old, new),
            None => new.clone(),
        };
        let params = keep(&update.params, &p);
        let mut states: Vec<(&State, Tensor)> =
            self.states.iter().zip(update.states.iter().zip(&old)).map(|(s, (new, old))| (s, keep(new, old))).collect();
        states.push((self.control.state(), next.vector));
        drop((update, old, g, norm, p, context, next.skip));
        let watch: Vec<Tensor> = loss.into_iter().cloned().collect();
        self.arena.step(module, params, states, &watch)
    }
}
