//! One training step as a graph.

use std::panic::Location;

use thalweg_graph::{
    DType, Error, ErrorKind, Grads, Param, Result, Scope, Tensor,
    module::{Commit, Segment, depends_on},
};

use crate::{
    clip::Norm,
    control::{Control, SKIPPED, STEP},
    group::{Given, Group},
    optimizer::Optimizer,
    work::{Flat, Work, lock},
};

/// What a step goes by.
pub(crate) enum By<'a> {
    /// A loss, which tells whether it is finite, and by what its gradients are to be multiplied where the loss was scaled.
    Loss(&'a Tensor, Option<Tensor>),
    /// Gradients that a caller has: they are looked at only where they are measured anyway. Some are computed on the way, for others
    /// to apply.
    Gradients(Vec<Tensor>),
    /// A sum of gradients whose losses nobody has any more: they are measured. As they were laid out.
    Sum(Vec<Flat>),
}

impl By<'_> {
    /// Whether the loss is finite, of a step that goes by one.
    fn is_finite(&self) -> Option<Tensor> {
        match self {
            By::Loss(loss, _) => Some(loss.is_finite().reshape(())),
            _ => None,
        }
    }

    /// What was computed of gradients of a scaled loss, as that of the loss itself.
    fn unscaled(&self, x: Tensor) -> Tensor {
        match self {
            By::Loss(_, Some(inverse)) => &x * inverse.cast(x.dtype()),
            _ => x,
        }
    }

    /// What is computed along with the step, for others to read.
    fn watched(&self) -> Vec<Tensor> {
        match self {
            By::Loss(loss, _) => vec![(*loss).clone()],
            By::Gradients(waiting) => waiting.clone(),
            By::Sum(_) => Vec::new(),
        }
    }
}

/// A group of which something moves.
struct Mover<'a> {
    group: &'a Group,
    /// Which of its parameters.
    moves: Vec<bool>,
    gradient: Tensor,
}

/// Whether all is finite, as far as that is looked at; the norm of the gradients, and what they are multiplied by to bound it.
struct Measured {
    finite: Option<Tensor>,
    norm: Option<Tensor>,
    clip: Option<Tensor>,
}

/// The groups that gradients move, with their gradients laid out.
#[track_caller]
fn movers<'a>(groups: &'a [Group], grads: &Grads, by: &By) -> Result<Vec<Mover<'a>>> {
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let mut moves = Vec::with_capacity(group.size());
        for param in group.arena.params() {
            moves.push(grads.moves(param)?);
        }
        if moves.contains(&true) {
            all.push((group, moves));
        }
    }
    if all.is_empty() {
        let problem = "there is no gradient of any parameter of this optimizer that is not frozen: the loss does not depend on \
                       them, or was recorded while they were frozen or in evaluation mode";
        return Err(Error::new("step", ErrorKind::Gradient(problem.into())));
    }
    let mut movers = Vec::with_capacity(all.len());
    for (group, moves) in all {
        group.arena.bring_home()?;
        let laid_out = match by {
            By::Sum(flats) => flats.iter().find(|flat| flat.is_of(group, &moves)),
            _ => None,
        };
        let gradient = laid_out.map_or_else(|| group.gather(grads, &moves), |flat| flat.gradient.clone());
        gradient.check()?;
        movers.push(Mover { group, moves, gradient });
    }
    Ok(movers)
}

impl Optimizer {
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

    #[track_caller]
    pub(crate) fn run(&self, grads: Grads, by: By) -> Result<()> {
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
        let movers = movers(groups, &grads, &by)?;
        let applied = grads.applied(groups.iter().flat_map(|g| g.arena.params()));
        // What nobody else holds needs no place of its own.
        drop(grads);
        let Measured { finite, norm, clip } = self.measure(&movers, &by);
        let lr = self.next_lr(control);
        let settings: Vec<(String, Tensor)> = lock(&self.settings)
            .iter()
            .map(|(name, rates)| (name.clone(), rates.value(control.state(), STEP)))
            .collect();
        let skip = finite.as_ref().map(Tensor::not);
        let mut commit = Commit { applied, carried: &self.carried, watch: by.watched(), ..Commit::default() };
        let (mut blocks, mut asked) = (Vec::new(), Vec::new());
        for (i, Mover { group, moves, gradient }) in movers.into_iter().enumerate() {
            let (gradient, layout) = (by.unscaled(gradient), group.arena.layout());
            let gradient = self.clip.apply(gradient, clip.as_ref(), layout, &control.lane(STEP), (i, groups.len()));
            let lr = self.rate_of(group, &lr).cast(gradient.dtype());
            let given = Given { lr, settings: &settings, gradient, skip: skip.as_ref(), moves: &moves };
            let changes = group.step(control, given)?;
            commit.arenas.extend(changes.params.map(|new| (&group.arena, new)));
            commit.states.extend(changes.states);
            let params = group.arena.params().iter().zip(&moves);
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
        drop((clip, lr, finite));
        commit.run()?;
        pass.applied_by(self.number);
        lock(&self.skips).look(&control.state().tensor(), STEP, SKIPPED);
        Ok(())
    }

    /// What a step knows of its gradients before any rule sees them.
    fn measure(&self, movers: &[Mover], by: &By) -> Measured {
        let (scaled, order) = (self.scaling.is_some(), self.clip.norm.map(|(_, p)| p));
        let measured = scaled || order.is_some() || matches!(by, By::Sum(_));
        let gradients = movers.iter().filter(|_| measured).map(|mover| &mover.gradient);
        let norm = Norm::of(gradients, order.unwrap_or(2.0));
        // The norm is not finite as soon as one gradient is not. A loss that is not finite may have gradients that are.
        let finite = match (by.is_finite(), norm.as_ref().map(Norm::is_finite)) {
            (Some(loss), Some(gradients)) => Some(loss.where_(&gradients, &loss)),
            (loss, gradients) => loss.or(gradients),
        };
        let norm = norm.filter(|_| scaled || order.is_some()).map(|norm| by.unscaled(norm.value()));
        let clip = norm.as_ref().and_then(|norm| self.clip.factor(norm));
        Measured { finite, norm, clip }
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

    /// The rate of a group, or one for each element where parameters have factors.
    fn rate_of(&self, group: &Group, lr: &Tensor) -> Tensor {
        let ratio = group.rule.lr() / self.rule().lr();
        let lr = if ratio == 1.0 || ratio.is_nan() { lr.clone() } else { lr * ratio };
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
            false => {
                // What a rule computes of its rate is then another number for each parameter.
                group.set_ragged(true);
                layout.spread(&Tensor::from_slice(lr.device(), &factors, [factors.len()])).cast(lr.dtype()) * lr
            }
        }
    }
}
