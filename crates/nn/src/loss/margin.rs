//! Losses that leave what is right by a margin alone.

use thalweg_graph::{DType, ErrorKind, Scope, Tensor};

use super::{Classes, Reduction, classes, matched};
use crate::wide;

/// `x` where the target is 1, `max(0, margin - x)` where it is -1, for distances `x` of pairs alike or not. For any other
/// target it is the sum of both, as in PyTorch; at the margin the gradient is 0.
///
/// # Shapes
/// `x` and `t` equal.
/// # Source
/// Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping", without the squares.
#[derive(Clone, Debug)]
pub struct HingeEmbedding {
    /// How far apart unlike pairs should be.
    pub margin: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for HingeEmbedding {
    fn default() -> HingeEmbedding {
        HingeEmbedding { margin: 1.0, reduction: Reduction::default() }
    }
}

impl HingeEmbedding {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("hinge_embedding_loss");
        let (x, t) = match matched("hinge_embedding_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let (alike, unlike) = (t.ne(-1.0).where_(&x, 0.0), t.ne(1.0).where_((self.margin - &x).relu(), 0.0));
        self.reduction.apply(alike + unlike)
    }
}

/// `max(0, margin - t (a - b))`: the first should rank higher where the target is 1, lower where it is -1. At the margin the
/// gradient is 0.
///
/// # Shapes
/// All equal.
#[derive(Clone, Debug, Default)]
pub struct MarginRanking {
    /// By how much.
    pub margin: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl MarginRanking {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, `[..]`, target `[..]`, all equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: none is broadcast.
    #[track_caller]
    pub fn loss(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("margin_ranking_loss");
        let (a, b) = match matched("margin_ranking_loss", a, b) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        match matched("margin_ranking_loss", &(a - b), target) {
            Ok((gap, t)) => self.reduction.apply((self.margin - t * gap).relu()),
            Err(failed) => failed,
        }
    }
}

/// `ln(1 + e^(-t x))` for targets 1 and -1.
///
/// # Shapes
/// `x` and `t` equal.
#[derive(Clone, Debug, Default)]
pub struct SoftMargin {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl SoftMargin {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("soft_margin_loss");
        match matched("soft_margin_loss", x, target) {
            Ok((x, t)) => self.reduction.apply((-(x * t)).softplus()),
            Err(failed) => failed,
        }
    }
}

/// `Σ_{c ≠ t} w_t max(0, margin - x_t + x_c)^p / C` of scores against classes.
///
/// # Shapes
/// `x [B, C]` or `[C]`; classes `[B]` or `[]` (I32)
/// # Source
/// Crammer & Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector machines".
#[derive(Clone, Debug)]
pub struct MultiMargin {
    /// 1 or 2.
    pub p: usize,
    /// By how much the target's score should be the highest.
    pub margin: f64,
    /// A factor for each class, `[C]`.
    pub weight: Option<Tensor>,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Default for MultiMargin {
    fn default() -> MultiMargin {
        MultiMargin { p: 1, margin: 1.0, weight: None, reduction: Reduction::default() }
    }
}

impl MultiMargin {
    /// The loss.
    ///
    /// # Shapes
    /// `[B, C]` or `[C]`; classes `[B]` or `[]` (I32) → `[]`, or `[B]` with [`Reduction::None`]
    /// # Errors
    /// Scalars; a power other than 1 and 2; classes of another shape, or not integers; a weight that does not broadcast. A class
    /// that there is not is as in [`super::CrossEntropy`].
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("multi_margin_loss");
        let axis = x.rank().saturating_sub(1);
        let Classes { hit, sound, .. } = match classes("multi_margin_loss", x, target, axis, None) {
            Ok(classes) => classes,
            Err(failed) => return failed,
        };
        if self.p != 1 && self.p != 2 {
            return x.fail("multi_margin_loss", ErrorKind::Invalid(format!("a power of {}; it is 1 or 2", self.p)));
        }
        let x = wide(x);
        let extent = x.shape().last().copied().unwrap_or(1);
        let short = (&x - hit.where_(&x, 0.0).sum_keepdim(-1) + self.margin).relu();
        let short = if self.p == 2 { short.square() } else { short };
        let losses = hit.where_(0.0, short).sum(-1) / extent as f64 * sound;
        self.reduction.apply(match &self.weight {
            Some(w) => losses * hit.where_(w, 0.0).sum(-1),
            None => losses,
        })
    }
}

/// `Σ_j Σ_{i ∉ t} max(0, 1 - (x_{t_j} - x_i)) / C` of scores against several classes at once: those that a row of the target
/// lists in front of the first negative number.
///
/// Every listed class is compared with every class, `C²` comparisons a row that no buffer holds.
///
/// # Shapes
/// `x` and `t` `[B, C]` or `[C]`; `t` I32
#[derive(Clone, Debug, Default)]
pub struct MultilabelMargin {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl MultilabelMargin {
    /// The loss.
    ///
    /// # Shapes
    /// `[.., C]`, classes `[.., C]` (I32) → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; scalars; a target of floats. A listed class that there is not is as in [`super::CrossEntropy`].
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("multilabel_margin_loss");
        let op = "multilabel_margin_loss";
        for t in [x, target] {
            if t.check().is_err() {
                return t.clone();
            }
        }
        if x.shape() != target.shape() || x.rank() == 0 {
            let (lhs, rhs) = (x.shape().to_vec(), target.shape().to_vec());
            let problem = "do not fit: a row of the target is as long as one of scores".to_string();
            return x.fail(op, ErrorKind::Shapes { lhs, rhs, problem });
        }
        if target.dtype().is_float() {
            return x.fail(op, ErrorKind::DType { got: target.dtype(), problem: "is no class; use i32".into() });
        }
        let (x, t) = (wide(x), target.cast(DType::I32));
        let classes = x.shape().last().copied().unwrap_or(1);
        let number = Tensor::arange(x.device(), classes);
        let end = t.lt(0.0).where_(&number, classes as f64).amin_keepdim(-1);
        let listed = number.lt(end);
        // [.., j, i]: whether class i is the j-th of the list.
        let hit = t.unsqueeze(-1).eq(&number).and(listed.unsqueeze(-1));
        let is_target = hit.cast(DType::I32).amax(-2).gt(0.0);
        let score = hit.where_(x.unsqueeze(-2), 0.0).sum_keepdim(-1);
        let short = (1.0 - score + x.unsqueeze(-2)).relu();
        let counted = listed.unsqueeze(-1).and(is_target.unsqueeze(-2).not());
        let sound = listed.where_(&t, 0.0).sound_positions(op, x.rank() - 1, classes);
        self.reduction.apply((counted.where_(short, 0.0) * sound.unsqueeze(-1)).sum([-2, -1]) / classes as f64)
    }
}
