//! Losses, composed of tensor ops.

use thalweg_graph::{DType, Tensor};

/// What becomes of the losses of the single elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// They stay.
    None,
}

impl Reduction {
    #[track_caller]
    fn apply(self, losses: Tensor) -> Tensor {
        match self {
            Reduction::Mean => losses.mean(..),
            Reduction::Sum => losses.sum(..),
            Reduction::None => losses,
        }
    }
}

/// Cross-entropy of logits against classes or probabilities.
///
/// For class `t` of a row of logits `x`, with smoothing `s` over `C` classes and class weights `w`:
/// `(1 - s) · w_t · (lse(x) - x_t) + s / C · Σ_c w_c · (lse(x) - x_c)`. A mean over classes divides by the sum of the weights
/// of the targets counted; a mean over probabilities by the number of rows.
///
/// # Source
/// PyTorch's `cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567, §7.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
    /// Share of the target spread evenly over all classes.
    pub label_smoothing: f64,
    /// A weight for each class, `[C]`.
    pub weight: Option<Tensor>,
    /// A class that counts nothing where it is the target.
    pub ignore_index: Option<i32>,
}

impl CrossEntropy {
    /// The loss.
    ///
    /// # Shapes
    /// `logits [B, C, ..]` or `[C]`; `target` classes `[B, ..]` (I32) or probabilities shaped as the logits.
    #[track_caller]
    pub fn loss(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        if logits.check().is_err() {
            return logits.clone();
        }
        let axis = if logits.rank() < 2 { 0 } else { 1 };
        let log_p = logits.log_softmax(axis);
        let (losses, weights) = match target.dtype().is_float() {
            true => (self.against_probabilities(&log_p, target, axis), None),
            false => self.against_classes(&log_p, target, axis),
        };
        match (self.reduction, weights) {
            (Reduction::Mean, Some(weights)) => losses.sum(..) / weights.sum(..),
            (reduction, _) => reduction.apply(losses),
        }
    }

    /// Class weights along the class axis.
    #[track_caller]
    fn weights(&self, log_p: &Tensor, axis: usize) -> Option<Tensor> {
        let mut shape = vec![1; log_p.rank()];
        shape[axis] = log_p.shape()[axis];
        self.weight.as_ref().map(|w| w.reshape(shape))
    }

    /// Loss and weight of each row.
    #[track_caller]
    fn against_classes(&self, log_p: &Tensor, target: &Tensor, axis: usize) -> (Tensor, Option<Tensor>) {
        let classes = log_p.shape()[axis];
        let smooth = self.label_smoothing;
        let target = target.cast(DType::I32).unsqueeze(axis);
        let mut along = vec![1; log_p.rank()];
        along[axis] = classes;
        // A comparison with every class instead of a gather: it is part of the same sweep as the softmax, and so is its
        // gradient, which is then no scatter.
        let hit = target.eq(Tensor::arange(log_p.device(), classes).reshape(along));
        let nll = -log_p;
        let weighted = match self.weights(log_p, axis) {
            Some(w) => nll * w,
            None => nll,
        };
        let mut losses = hit.where_(&weighted, 0.0).sum(axis);
        if smooth != 0.0 {
            losses = losses * (1.0 - smooth) + weighted.sum(axis) * (smooth / classes as f64);
        }
        let counted = self.ignore_index.map(|ignored| target.ne(ignored).squeeze(axis));
        if let Some(counted) = &counted {
            losses = counted.where_(&losses, 0.0);
        }
        let per_row = self.weights(log_p, axis).map(|w| hit.where_(w, 0.0).sum(axis));
        let weights = match (per_row, counted) {
            (Some(w), Some(counted)) => Some(counted.where_(w, 0.0)),
            (Some(w), None) => Some(w),
            (None, Some(counted)) => Some(counted.cast(log_p.dtype())),
            (None, None) => None,
        };
        (losses, weights)
    }

    #[track_caller]
    fn against_probabilities(&self, log_p: &Tensor, target: &Tensor, axis: usize) -> Tensor {
        let smooth = self.label_smoothing;
        let target = match smooth == 0.0 {
            true => target.clone(),
            false => target * (1.0 - smooth) + smooth / log_p.shape()[axis] as f64,
        };
        let nll = match self.weights(log_p, axis) {
            Some(w) => -(log_p * w),
            None => -log_p,
        };
        (nll * target).sum(axis)
    }
}

/// Losses as methods.
pub trait Losses {
    /// The mean cross-entropy of these logits against classes (I32) or probabilities: [`CrossEntropy`] with its defaults.
    fn cross_entropy(&self, target: &Tensor) -> Tensor;
    /// The mean of `(x - target)²`.
    fn mse_loss(&self, target: &Tensor) -> Tensor;
    /// The mean of `|x - target|`.
    fn l1_loss(&self, target: &Tensor) -> Tensor;
}

impl Losses for Tensor {
    #[track_caller]
    fn cross_entropy(&self, target: &Tensor) -> Tensor {
        CrossEntropy::default().loss(self, target)
    }

    #[track_caller]
    fn mse_loss(&self, target: &Tensor) -> Tensor {
        Reduction::Mean.apply((self - target).square())
    }

    #[track_caller]
    fn l1_loss(&self, target: &Tensor) -> Tensor {
        Reduction::Mean.apply((self - target).abs())
    }
}
