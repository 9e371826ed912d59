//! What an optimizer does beside its steps.

use thalweg_graph::{
    Grads, Param, Result, Scope, State, Tensor,
    autodiff::Squares,
    module::{depends_on, overlay, write_states},
};

use crate::{Optimizer, work::Work};

impl Optimizer {
    /// What rules learn from the gradients of another loss than the one that is made small: the curvature that
    /// [`SophiaG`](crate::SophiaG) goes by. No parameter moves, and no step is counted. Queued, not waited for; gradients that are not finite
    /// change nothing.
    ///
    /// # Errors
    /// As [`Optimizer::backward`].
    #[track_caller]
    pub fn observe(&self, loss: &Tensor) -> Result<()> {
        let grads = self.backward(loss)?;
        let _scope = Scope::update();
        self.adopt(&grads)?;
        self.device().writing(|| self.observe_gradients(&grads, loss))
    }

    #[track_caller]
    fn observe_gradients(&self, grads: &Grads, loss: &Tensor) -> Result<()> {
        let work = self.work();
        let Work { groups, control, current } = &*work;
        depends_on(current);
        let mut states: Vec<(State, Tensor)> = Vec::new();
        for group in groups {
            let has = |param: &Param| grads.get(param).is_some() && !param.is_frozen();
            let moves: Vec<bool> = group.arena.params().iter().map(has).collect();
            if moves.contains(&true) {
                group.arena.bring_home()?;
                let gradient = group.gather(grads, &moves);
                let skip = Squares::of(&gradient).is_finite().not();
                states.extend(group.observe(control, gradient, &skip, &moves)?);
            }
        }
        write_states(loss.device(), states, std::slice::from_ref(loss))
    }

    /// What `f` gives while the parameters compute with what their rules say is to be evaluated, on this thread: the average that
    /// [`ScheduleFree`](crate::ScheduleFree) or [`Asgd`](crate::Asgd) keeps. With other rules that is what they are. Nothing is written.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn during<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        let mut values: Vec<(Param, Tensor)> = Vec::new();
        {
            let work = self.work();
            depends_on(&work.current);
            for group in &work.groups {
                group.arena.bring_home()?;
                let Some(flat) = group.evaluated(&work.control) else { continue };
                let part = |(i, param): (usize, &Param)| {
                    (param.clone(), group.arena.layout().part(&flat, i).cast(group.arena.dtype()))
                };
                values.extend(group.arena.params().iter().enumerate().map(part));
            }
        }
        overlay(&values.iter().map(|(param, value)| (param, value.clone())).collect::<Vec<_>>(), f)
    }
}
