//! Losses for classes that are rare: most elements are easy, and count little.

use thalweg_graph::{Axes, ErrorKind, Scope, Tensor};

use super::{Classes, Reduction, binary, class_axis, classes, matched};
use crate::wide;

/// `α_t (1 - p_t)^γ · bce(x, t)` of logits, with `p = σ(x)`, `p_t = p t + (1 - p)(1 - t)`, `α_t = α t + (1 - α)(1 - t)`.
///
/// # Shapes
/// `x` and `t` equal.
/// # Source
/// Lin et al. 2017, arXiv:1708.02002; defaults of its §4.1.
#[derive(Clone, Debug)]
pub struct SigmoidFocal {
    /// α, the share of the positive class; a negative one weights nothing.
    pub alpha: f64,
    /// γ, how little easy elements count.
    pub gamma: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for SigmoidFocal {
    fn default() -> SigmoidFocal {
        SigmoidFocal { alpha: 0.25, gamma: 2.0, reduction: Reduction::default() }
    }
}

impl SigmoidFocal {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("sigmoid_focal_loss");
        let (x, t) = match matched("sigmoid_focal_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        // 1 - p_t without cancellation: σ(-x) t + σ(x) (1 - t).
        let miss = (-&x).sigmoid() * &t + x.sigmoid() * (1.0 - &t);
        let losses = modulate(&miss, self.gamma) * binary::cross_entropy(&x, &t, None);
        self.reduction.apply(match self.alpha < 0.0 {
            true => losses,
            false => losses * (&t * self.alpha + (1.0 - &t) * (1.0 - self.alpha)),
        })
    }
}

/// `-(1 - p_t)^γ ln p_t` of logits against classes, with `p = softmax(x)`.
///
/// # Shapes
/// `logits [B, C, ..]` or `[C]`; classes `[B, ..]` (I32)
/// # Source
/// Lin et al. 2017, arXiv:1708.02002.
#[derive(Clone, Debug)]
pub struct SoftmaxFocal {
    /// γ, how little easy rows count.
    pub gamma: f64,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Default for SoftmaxFocal {
    fn default() -> SoftmaxFocal {
        SoftmaxFocal { gamma: 2.0, reduction: Reduction::default() }
    }
}

impl SoftmaxFocal {
    /// The loss.
    ///
    /// # Shapes
    /// `logits [B, C, ..]` or `[C]`; classes `[B, ..]` (I32) → `[]`, or `[B, ..]` with [`Reduction::None`]
    /// # Errors
    /// Scalars; classes of another shape, or not integers. A class that there is not is as in [`super::CrossEntropy`].
    #[track_caller]
    pub fn loss(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("softmax_focal_loss");
        let axis = class_axis(logits);
        let Classes { hit, sound, .. } = match classes("softmax_focal_loss", logits, target, axis, None) {
            Ok(classes) => classes,
            Err(failed) => return failed,
        };
        let log_p = wide(logits).log_softmax(axis);
        // 1 - p_t without cancellation: the probability of all other classes.
        let miss = hit.where_(0.0, log_p.exp()).sum(axis);
        let nll = -hit.where_(log_p, 0.0).sum(axis);
        self.reduction.apply(modulate(&miss, self.gamma) * nll * sound)
    }
}

/// `m^γ`. Below γ = 1 its slope at 0 is infinite, so that m stays above 0.
#[track_caller]
fn modulate(miss: &Tensor, gamma: f64) -> Tensor {
    match gamma < 1.0 {
        true => miss.clamp_min(f64::from(f32::MIN_POSITIVE)).powf(gamma),
        false => miss.powf(gamma),
    }
}

/// `1 - (2 Σ p t + s) / (Σ p + Σ t + s)` of logits, with `p = σ(x)` and sums over each sample.
///
/// # Shapes
/// `x` and `t` `[B, ..]`; a loss for each of the B.
/// # Source
/// Milletari et al. 2016, arXiv:1606.04797, §3, without the squares.
#[derive(Clone, Debug)]
pub struct Dice {
    /// s, which keeps empty samples defined.
    pub smooth: f64,
    /// What becomes of the samples' losses.
    pub reduction: Reduction,
}

impl Default for Dice {
    fn default() -> Dice {
        Dice { smooth: 1.0, reduction: Reduction::default() }
    }
}

impl Dice {
    /// The loss.
    ///
    /// # Shapes
    /// `[B, ..]`, target `[B, ..]` → `[]`, or `[B]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; scalars.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("dice_loss");
        let (x, t) = match matched("dice_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        if x.rank() == 0 {
            let problem = "has no axis of samples".to_string();
            return x.fail("dice_loss", ErrorKind::Shape { shape: Vec::new(), problem });
        }
        let p = x.sigmoid();
        let axes: Axes = (1..x.rank() as isize).collect::<Vec<isize>>().into();
        let both = (&p * &t).sum(axes.clone()) * 2.0 + self.smooth;
        self.reduction.apply(1.0 - both / (p.sum(axes.clone()) + t.sum(axes) + self.smooth))
    }
}
