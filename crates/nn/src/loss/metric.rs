//! Losses of embeddings: what is alike should lie close.

use thalweg_graph::{Scope, Tensor};

use super::{Reduction, matched, vectors};

/// `1 - cos(a, b)` where the target is 1, `max(0, cos(a, b) - margin)` where it is -1, with
/// `cos(a, b) = Σ a b / √((Σ a² + ε)(Σ b² + ε))`, `ε = 1e-12`.
///
/// # Shapes
/// `a` and `b` `[.., D]`, targets `[..]`
#[derive(Clone, Debug, Default)]
pub struct CosineEmbedding {
    /// How similar unlike pairs may be.
    pub margin: f64,
    /// What becomes of the pairs' losses.
    pub reduction: Reduction,
}

impl CosineEmbedding {
    /// The loss.
    ///
    /// # Shapes
    /// `[.., D]`, `[.., D]`, target `[..]` → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ or do not fit; scalars.
    #[track_caller]
    pub fn loss(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("cosine_embedding_loss");
        let (a, b) = match vectors("cosine_embedding_loss", a, b) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let length = |x: &Tensor| (x.square().sum(-1) + 1e-12).sqrt();
        let cos = (&a * &b).sum(-1) / length(&a) / length(&b);
        let (cos, t) = match matched("cosine_embedding_loss", &cos, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let unlike = t.eq(-1.0).where_((&cos - self.margin).relu(), 0.0);
        self.reduction.apply(t.eq(1.0).where_(1.0 - &cos, unlike))
    }
}

/// `max(0, ‖a - p‖ - ‖a - n‖ + margin)` with the p-norm of differences to which ε is added.
///
/// # Shapes
/// Anchors, positives and negatives `[.., D]`; a loss for each row.
/// # Source
/// Balntas et al. 2016, "Learning local feature descriptors with triplets and shallow convolutional neural networks",
/// whose §3 has the swap.
#[derive(Clone, Debug)]
pub struct TripletMargin {
    /// By how much negatives should be further away.
    pub margin: f64,
    /// The norm.
    pub p: f64,
    /// ε, which keeps a gradient at distance 0.
    pub eps: f64,
    /// Whether the negative's distance is the smaller of those to anchor and positive.
    pub swap: bool,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> TripletMargin {
        TripletMargin { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::default() }
    }
}

impl TripletMargin {
    /// The loss.
    ///
    /// # Shapes
    /// `[.., D]`, `[.., D]`, `[.., D]` → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; scalars; a negative or undefined p.
    #[track_caller]
    pub fn loss(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        let _scope = Scope::composite("triplet_margin_loss");
        let (anchor, positive) = match vectors("triplet_margin_loss", anchor, positive) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let (anchor, negative) = match vectors("triplet_margin_loss", &anchor, negative) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let near = anchor.pairwise_distance(&positive, self.p, self.eps);
        let far = anchor.pairwise_distance(&negative, self.p, self.eps);
        let far = match self.swap {
            true => far.minimum(positive.pairwise_distance(&negative, self.p, self.eps)),
            false => far,
        };
        self.reduction.apply((near - far + self.margin).relu())
    }
}
