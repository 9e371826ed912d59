//! Losses of yes-or-no targets.

use thalweg_graph::{ErrorKind, Scope, Tensor};

use super::{Reduction, matched};

/// `-(t ln p + (1 - t) ln(1 - p))` of probabilities, with logarithms no lower than -100.
///
/// Where a logarithm is held at -100 (`p` at 0 or 1) no gradient passes; [`BinaryCrossEntropyWithLogits`] has no such place.
///
/// # Shapes
/// `p` and `t` equal; the weight broadcasts.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropy {
    /// A factor for each element.
    pub weight: Option<Tensor>,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

/// The lowest logarithm.
const LOWEST: f64 = -100.0;

impl BinaryCrossEntropy {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast; a weight that does not broadcast.
    #[track_caller]
    pub fn loss(&self, p: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("bce_loss");
        let (p, t) = match matched("bce_loss", p, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        // Subnormal numbers count as 0: some devices flush them. The inner `where` keeps 1/0 out of the gradient.
        let above = p.gt(f64::from(f32::MIN_POSITIVE));
        let log_p = above.where_(above.where_(&p, 1.0).log(), LOWEST);
        let below = p.lt(1.0);
        let log_q = below.where_((-below.where_(&p, 0.0)).log1p(), LOWEST);
        self.reduction.apply(weighted(-(&t * log_p + (1.0 - &t) * log_q), &self.weight))
    }
}

/// `-(w₊ t ln σ(x) + (1 - t) ln(1 - σ(x)))` of logits, in log space: no logit overflows or loses its gradient.
///
/// # Shapes
/// `x` and `t` equal; the weights broadcast.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropyWithLogits {
    /// A factor for each element.
    pub weight: Option<Tensor>,
    /// `w₊`, a factor for the positive part.
    pub pos_weight: Option<Tensor>,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl BinaryCrossEntropyWithLogits {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast; weights that do not broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("bce_with_logits");
        match matched("bce_with_logits", x, target) {
            Ok((x, t)) => self.reduction.apply(weighted(cross_entropy(&x, &t, self.pos_weight.as_ref()), &self.weight)),
            Err(failed) => failed,
        }
    }
}

/// `w₊ t softplus(-x) + (1 - t) softplus(x)`: both parts, and both gradients, keep their digits in their tails.
#[track_caller]
pub(super) fn cross_entropy(x: &Tensor, t: &Tensor, pos_weight: Option<&Tensor>) -> Tensor {
    let positive = t * (-x).softplus();
    let positive = match pos_weight {
        Some(w) => positive * w,
        None => positive,
    };
    positive + (1.0 - t) * x.softplus()
}

#[track_caller]
fn weighted(losses: Tensor, weight: &Option<Tensor>) -> Tensor {
    match weight {
        Some(w) => losses * w,
        None => losses,
    }
}

/// The mean over classes of the binary cross-entropy of logits: any number of classes holds at once.
///
/// # Shapes
/// `x` and `t` `[.., C]`; the classes' axis goes away, and the weight `[C]` broadcasts.
#[derive(Clone, Debug, Default)]
pub struct MultilabelSoftMargin {
    /// A factor for each class.
    pub weight: Option<Tensor>,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl MultilabelSoftMargin {
    /// The loss.
    ///
    /// # Shapes
    /// `[.., C]`, target `[.., C]` → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; scalars; a weight that does not broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("multilabel_soft_margin_loss");
        let (x, t) = match matched("multilabel_soft_margin_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        if x.rank() == 0 {
            let problem = "has no axis of classes".to_string();
            return x.fail("multilabel_soft_margin_loss", ErrorKind::Shape { shape: Vec::new(), problem });
        }
        self.reduction.apply(weighted(cross_entropy(&x, &t, None), &self.weight).mean(-1))
    }
}
