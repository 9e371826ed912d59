//! Losses as methods.

use thalweg_graph::Tensor;

use super::{
    binary::BinaryCrossEntropyWithLogits,
    classification::{CrossEntropy, Nll},
    regression::{Huber, L1, Mse, SmoothL1},
};

/// Losses as methods, with their default settings.
pub trait Losses {
    /// The mean cross-entropy of these logits against classes (I32) or probabilities: [`CrossEntropy`].
    fn cross_entropy(&self, target: &Tensor) -> Tensor;
    /// The mean negative of these log-probabilities at the classes `target`: [`Nll`].
    fn nll_loss(&self, target: &Tensor) -> Tensor;
    /// The mean binary cross-entropy of these logits: [`BinaryCrossEntropyWithLogits`].
    fn bce_with_logits(&self, target: &Tensor) -> Tensor;
    /// The mean of `(x - target)²`: [`Mse`].
    fn mse_loss(&self, target: &Tensor) -> Tensor;
    /// The mean of `|x - target|`: [`L1`].
    fn l1_loss(&self, target: &Tensor) -> Tensor;
    /// The mean of a square near 0 and a line further out: [`SmoothL1`].
    fn smooth_l1_loss(&self, target: &Tensor) -> Tensor;
    /// [`SmoothL1`] with another scale: [`Huber`].
    fn huber_loss(&self, target: &Tensor) -> Tensor;
}

impl Losses for Tensor {
    #[track_caller]
    fn cross_entropy(&self, target: &Tensor) -> Tensor {
        CrossEntropy::default().loss(self, target)
    }

    #[track_caller]
    fn nll_loss(&self, target: &Tensor) -> Tensor {
        Nll::default().loss(self, target)
    }

    #[track_caller]
    fn bce_with_logits(&self, target: &Tensor) -> Tensor {
        BinaryCrossEntropyWithLogits::default().loss(self, target)
    }

    #[track_caller]
    fn mse_loss(&self, target: &Tensor) -> Tensor {
        Mse::default().loss(self, target)
    }

    #[track_caller]
    fn l1_loss(&self, target: &Tensor) -> Tensor {
        L1::default().loss(self, target)
    }

    #[track_caller]
    fn smooth_l1_loss(&self, target: &Tensor) -> Tensor {
        SmoothL1::default().loss(self, target)
    }

    #[track_caller]
    fn huber_loss(&self, target: &Tensor) -> Tensor {
        Huber::default().loss(self, target)
    }
}
