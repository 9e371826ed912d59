//! Losses of scores for classes.

use thalweg_graph::{ErrorKind, Scope, Tensor};

use super::{Classes, Reduction, class_axis, classes};
use crate::wide;

/// Cross-entropy of logits against classes or probabilities.
///
/// For class `t` of a row of logits `x`, with smoothing `s` over `C` classes and class weights `w`:
/// `(1 - s) · w_t · (lse(x) - x_t) + s / C · Σ_c w_c · (lse(x) - x_c)`. A mean over classes divides by the sum of the weights
/// of the targets counted; a mean over probabilities by the number of rows.
///
/// # Source
/// PyTorch's `cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567, §7.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
    /// Share of the target spread evenly over all classes.
    pub label_smoothing: f64,
    /// A weight for each class, `[C]`.
    pub weight: Option<Tensor>,
    /// A class that counts nothing where it is the target, as -100 does in PyTorch. It costs a launch: how many rows count is then known
    /// on the device alone.
    pub ignore_index: Option<i32>,
}

impl Default for CrossEntropy {
    fn default() -> CrossEntropy {
        CrossEntropy { reduction: Reduction::default(), label_smoothing: 0.0, weight: None, ignore_index: None }
    }
}

impl CrossEntropy {
    /// The loss.
    ///
    /// # Shapes
    /// `logits [B, C, ..]` or `[C]`; `target` classes `[B, ..]` (I32) or probabilities shaped as the logits → `[]`, or
    /// `[B, ..]` with [`Reduction::None`]
    /// # Errors
    /// Scalars; a target that fits neither as classes nor as probabilities; a weight that has not C elements. A class that
    /// there is not is an error as a position outside is of [`Tensor::gather`], and the loss is not a number.
    #[track_caller]
    pub fn loss(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("cross_entropy");
        if logits.check().is_err() {
            return logits.clone();
        }
        if logits.rank() == 0 {
            let problem = "has no axis of classes".to_string();
            return logits.fail("cross_entropy", ErrorKind::Shape { shape: Vec::new(), problem });
        }
        let axis = class_axis(logits);
        self.of_log_p("cross_entropy", &wide(logits).log_softmax(axis), target, axis)
    }

    #[track_caller]
    fn of_log_p(&self, op: &'static str, log_p: &Tensor, target: &Tensor, axis: usize) -> Tensor {
        if log_p.check().is_err() {
            return log_p.clone();
        }
        let (losses, weights) = match target.dtype().is_float() && target.check().is_ok() {
            true if target.shape() != log_p.shape() => {
                let (lhs, rhs) = (log_p.shape().to_vec(), target.shape().to_vec());
                let problem = "differ: probabilities stand for each class, classes are i32".to_string();
                return log_p.fail(op, ErrorKind::Shapes { lhs, rhs, problem });
            }
            true => (self.against_probabilities(log_p, target, axis), None),
            false => match classes(op, log_p, target, axis, self.ignore_index) {
                Ok(classes) => self.against_classes(log_p, &classes, axis),
                Err(failed) => return failed,
            },
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
    fn against_classes(&self, log_p: &Tensor, classes: &Classes, axis: usize) -> (Tensor, Option<Tensor>) {
        let Classes { hit, sound, counted } = classes;
        let smooth = self.label_smoothing;
        let nll = -log_p;
        let weighted = match self.weights(log_p, axis) {
            Some(w) => nll * w,
            None => nll,
        };
        let mut losses = hit.where_(&weighted, 0.0).sum(axis);
        if smooth != 0.0 {
            losses = losses * (1.0 - smooth) + weighted.sum(axis) * (smooth / log_p.shape()[axis] as f64);
        }
        // 0, or NaN for a class that there is not. Not a factor: the gradient would have to wait for it, in a launch of its own.
        losses += sound - 1.0;
        if let Some(counted) = counted {
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

/// The negative of log-probabilities at the target classes: `-w_t x_t`. A mean divides by the sum of the weights of the
/// targets counted. [`CrossEntropy`] is this of a log-softmax.
#[derive(Clone, Debug, Default)]
pub struct Nll {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
    /// A weight for each class, `[C]`.
    pub weight: Option<Tensor>,
    /// A class that counts nothing where it is the target, as -100 does in PyTorch. It costs a launch: how many rows count is then known
    /// on the device alone.
    pub ignore_index: Option<i32>,
}

impl Nll {
    /// The loss.
    ///
    /// # Shapes
    /// `log_p [B, C, ..]` or `[C]`; classes `[B, ..]` (I32) → `[]`, or `[B, ..]` with [`Reduction::None`]
    /// # Errors
    /// Scalars; classes of another shape, or not integers; a weight that has not C elements. A class that there is not is as in
    /// [`CrossEntropy`].
    #[track_caller]
    pub fn loss(&self, log_p: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("nll_loss");
        if log_p.check().is_err() {
            return log_p.clone();
        }
        let axis = class_axis(log_p);
        if target.dtype().is_float()
            && let Err(failed) = classes("nll_loss", log_p, target, axis, None)
        {
            return failed;
        }
        let Nll { reduction, weight, ignore_index } = self.clone();
        let settings = CrossEntropy { reduction, weight, ignore_index, label_smoothing: 0.0 };
        settings.of_log_p("nll_loss", &wide(log_p), target, axis)
    }
}
