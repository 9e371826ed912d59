//! Steps by gradients of several batches.

use thalweg_graph::{
    Error, ErrorKind, Result, Scope, Tensor,
    module::{recording, write_states},
};

use crate::{
    optimizer::Optimizer,
    step::By,
    work::{Summed, lock},
};

impl Optimizer {
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
}
