//! The optimizer's numbers that live on the device, in one small vector, so that no step waits for the host.

use thalweg_graph::{DType, Device, Result, State, Tensor};

use crate::LossScale;

/// Lanes of the vector.
const LANES: usize = 8;
const SCALE: usize = 0;
const GOOD: usize = 1;
/// Steps taken.
pub(crate) const STEP: usize = 2;
const SKIPPED: usize = 3;
const CORRECTION1: usize = 4;
const CORRECTION2: usize = 5;
const NORM: usize = 6;

/// What the optimizer knows of the steps so far, read from the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Steps taken; skipped ones do not count.
    pub steps: u64,
    /// Steps skipped because the loss or a gradient was not finite.
    pub skipped: u64,
    /// The loss scale; 1 where none is used.
    pub loss_scale: f64,
    /// The norm of the latest gradients before clipping, where it is computed (mixed f16, or clipping), else 0.
    pub grad_norm: f64,
}

/// The vector, and the rules by which it moves.
#[derive(Debug)]
pub(crate) struct Control {
    state: State,
    betas: (f64, f64),
}

/// What one step does to the vector.
pub(crate) struct Next {
    /// The new vector.
    pub vector: Tensor,
    /// Whether to skip the step.
    pub skip: Option<Tensor>,
    pub step: Tensor,
    pub correction1: Tensor,
    pub correction2: Tensor,
}

impl Control {
    pub fn new(device: &Device, dtype: DType, betas: (f64, f64), scale: f64) -> Result<Control> {
        let mut lanes = [0.0f32; LANES];
        lanes[SCALE] = scale as f32;
        let state = State::new(Tensor::from_slice(device, &lanes, [LANES]).cast(dtype))?;
        Ok(Control { state, betas })
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    fn lane(&self, i: usize) -> Tensor {
        self.state.tensor().select(0, i as isize)
    }

    /// The loss scale, of rank 0.
    pub fn scale(&self) -> Tensor {
        self.lane(SCALE)
    }

    /// The vector after a step whose loss and gradient norm are these, where they are known.
    pub fn next(&self, scaling: Option<&LossScale>, finite: Option<Tensor>, norm: Option<&Tensor>) -> Next {
        let old = self.state.tensor();
        let [scale, good, step, skipped, c1, c2] =
            [SCALE, GOOD, STEP, SKIPPED, CORRECTION1, CORRECTION2].map(|i| self.lane(i));
        let (beta1, beta2) = self.betas;
        let next_step = &step + 1.0;
        let next_c1 = &c1 * beta1 + (1.0 - beta1);
        let next_c2 = &c2 * beta2 + (1.0 - beta2);
        let keep = |new: &Tensor, old: &Tensor| match &finite {
            Some(finite) => finite.where_(new, old),
            None => new.clone(),
        };
        let (next_scale, next_good) = match (scaling, &finite) {
            (Some(s), Some(finite)) => {
                let due = (&good + 1.0).ge(f64::from(s.interval));
                let grown = due.where_((&scale * s.growth).minimum(s.max), &scale);
                let counted = due.where_(0.0, &good + 1.0);
                (finite.where_(grown, &scale * s.backoff), finite.where_(counted, 0.0))
            }
            _ => (scale.clone(), good.clone()),
        };
        let next_skipped = match &finite {
            Some(finite) => finite.where_(&skipped, &skipped + 1.0),
            None => skipped.clone(),
        };
        let lanes = Tensor::arange(old.device(), LANES);
        let moved = [
            (SCALE, next_scale),
            (GOOD, next_good),
            (STEP, keep(&next_step, &step)),
            (SKIPPED, next_skipped),
            (CORRECTION1, keep(&next_c1, &c1)),
            (CORRECTION2, keep(&next_c2, &c2)),
        ];
        let with_norm = moved.into_iter().chain(norm.map(|n| (NORM, n.clone())));
        let vector = with_norm.fold(old, |v, (i, new)| lanes.eq(i as i32).where_(new, v));
        Next { vector, skip: finite.map(|f| f.not()), step: next_step, correction1: next_c1, correction2: next_c2 }
    }

    pub fn report(&self) -> Result<Report> {
        let lanes = self.state.tensor().to_vec::<f64>()?;
        Ok(Report {
            steps: lanes[STEP] as u64,
            skipped: lanes[SKIPPED] as u64,
            loss_scale: lanes[SCALE],
            grad_norm: lanes[NORM],
        })
    }
}
