//! Norms of vectors, and how far apart vectors are.

use thalweg_ir::{ErrorKind, shape::broadcast};

use crate::{scope::Scope, shape::IntoAxis, tensor::Tensor};

/// # Distances
impl Tensor {
    /// `x / max(‖x‖_p, ε)` with the norm along an axis. Where ε is the larger, no gradient passes through the norm.
    ///
    /// # Shapes
    /// `[.., D, ..]` → the same
    /// # Errors
    /// An axis that there is not; a negative or undefined p.
    #[track_caller]
    pub fn normalize(&self, p: f64, axis: impl IntoAxis, eps: f64) -> Tensor {
        let _scope = Scope::composite("normalize");
        let axis = match self.axis("normalize", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let x = self.wide();
        (&x / x.p_norm("normalize", p, axis).clamp_min(eps)).cast(self.dtype())
    }

    /// `Σ a b / (max(‖a‖, ε) · max(‖b‖, ε))` along an axis, which goes away.
    ///
    /// # Shapes
    /// `[.., D, ..]`, `[.., D, ..]` that broadcast → `[.., ..]`; the axis is one of what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; an axis that there is not.
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, axis: impl IntoAxis, eps: f64) -> Tensor {
        let _scope = Scope::composite("cosine_similarity");
        let (a, b) = match self.broadcast_with("cosine_similarity", other) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let axis = match a.axis("cosine_similarity", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let dtype = a.dtype();
        let (a, b) = (a.wide(), b.wide());
        // Each vector over its own length: the product of both lengths could overflow.
        let unit = |x: &Tensor| x / x.p_norm("cosine_similarity", 2.0, axis).clamp_min(eps);
        (unit(&a) * unit(&b)).sum(axis).cast(dtype)
    }

    /// `‖a - b + ε‖_p` over the last axis, which goes away; ε keeps a gradient at distance 0, which is 0 without.
    ///
    /// # Shapes
    /// `[.., D]`, `[.., D]` that broadcast → `[..]`
    /// # Errors
    /// Shapes that do not broadcast; scalars; a negative or undefined p.
    #[track_caller]
    pub fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64) -> Tensor {
        let _scope = Scope::composite("pairwise_distance");
        let (a, b) = match self.broadcast_with("pairwise_distance", other) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let axis = match a.axis("pairwise_distance", -1) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let norm = (a.wide() - b.wide() + eps).p_norm("pairwise_distance", p, axis);
        if norm.check().is_err() { norm } else { norm.squeeze(axis).cast(a.dtype()) }
    }

    /// The distances `‖a_i - b_j‖_p` of all pairs of rows. The gradient at distance 0 is 0.
    ///
    /// They are summed as they stand, in one sweep over `P · R · D` differences that no buffer holds: the expansion of the
    /// square, which a matrix product could compute, loses the digits of small distances.
    ///
    /// # Shapes
    /// `[.., P, D]` and `[.., R, D]` → `[.., P, R]`; leading axes broadcast
    /// # Errors
    /// Less than two axes; rows of different length; leading axes that do not broadcast; a negative or undefined p.
    #[track_caller]
    pub fn cdist(&self, other: &Tensor, p: f64) -> Tensor {
        let _scope = Scope::composite("cdist");
        if self.check().is_err() {
            return self.clone();
        }
        if other.check().is_err() {
            return other.clone();
        }
        let (n, m) = (self.rank(), other.rank());
        let fits = n > 1
            && m > 1
            && self.shape()[n - 1] == other.shape()[m - 1]
            && broadcast(&self.shape()[..n - 2], &other.shape()[..m - 2]).is_some();
        if !fits {
            let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
            let problem = "are not [.., P, D] and [.., R, D]".to_string();
            return self.fail("cdist", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let norm = (self.wide().unsqueeze(-2) - other.wide().unsqueeze(-3)).p_norm("cdist", p, n.max(m));
        if norm.check().is_err() { norm } else { norm.squeeze(-1).cast(self.dtype().promote(other.dtype())) }
    }

    /// `(Σ |x|^p)^(1/p)` along an axis, which stays with extent 1: for p = 0 the number of elements that are not 0, for
    /// p = ∞ the largest. The gradient of an element that is 0, and of a norm that is 0, is 0.
    #[track_caller]
    pub(crate) fn p_norm(&self, op: &'static str, p: f64, axis: usize) -> Tensor {
        if p.is_nan() || p < 0.0 {
            return self.fail(op, ErrorKind::Invalid(format!("there is no norm of p = {p}; p is not negative")));
        }
        if p == 0.0 {
            return self.ne(0.0).cast(self.dtype()).sum_keepdim(axis);
        }
        if p == 1.0 {
            return self.abs().sum_keepdim(axis);
        }
        if p.is_infinite() {
            return self.abs().amax_keepdim(axis);
        }
        // A root and most powers have no slope at 0: 1 stands in for it, outside what is summed.
        let sum = if p == 2.0 {
            self.square().sum_keepdim(axis)
        } else {
            let zero = self.eq(0.0);
            zero.where_(0.0, zero.where_(1.0, self.abs()).powf(p)).sum_keepdim(axis)
        };
        let zero = sum.eq(0.0);
        zero.where_(0.0, zero.where_(1.0, sum).powf(1.0 / p))
    }
}
