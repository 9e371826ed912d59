//! Lengths of vectors.

use thalweg_ir::ErrorKind;

use crate::{scope::Scope, shape::IntoAxes, tensor::Tensor};

/// # Norms
impl Tensor {
    /// `(Σ |x|^p)^(1/p)` over axes, which go away; for `p = ±∞` the largest or smallest `|x|`, for `p = 0` how many
    /// elements are not 0.
    ///
    /// The gradient of a zero vector is 0, and so is that of an element that is 0, unless p is negative. Of equal extremes
    /// each has its share for `p = ±∞`.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; no elements for `p = ±∞`; not floats; a `p` that is NaN.
    #[track_caller]
    #[doc(alias = "norm")]
    pub fn vector_norm(&self, p: f64, axes: impl IntoAxes) -> Tensor {
        let _scope = Scope::composite("vector_norm");
        let axes = axes.into();
        self.vector_norm_keepdim(p, axes.clone()).drop_axes(self, &axes)
    }

    /// As [`Tensor::vector_norm`] over axes that stay with extent 1.
    #[track_caller]
    #[doc(alias = "norm")]
    pub fn vector_norm_keepdim(&self, p: f64, axes: impl IntoAxes) -> Tensor {
        let _scope = Scope::composite("vector_norm");
        let axes = axes.into();
        if self.check().is_ok() && !self.dtype().is_float() {
            let problem = "has no norm; cast to a float first".to_string();
            return self.fail("vector_norm", ErrorKind::DType { got: self.dtype(), problem });
        }
        if p.is_nan() {
            return self.fail("vector_norm", ErrorKind::Invalid("a norm of order NaN".into()));
        }
        // A power of 16-bit floats overflows where the norm does not.
        let x = self.wide();
        let y = match p {
            f64::INFINITY => x.abs().amax_keepdim(axes),
            f64::NEG_INFINITY => x.abs().amin_keepdim(axes),
            0.0 => x.truth().cast(x.dtype()).sum_keepdim(axes),
            1.0 => x.abs().sum_keepdim(axes),
            2.0 => root(&x.square().sum_keepdim(axes), p),
            p if p < 0.0 => x.abs().powf(p).sum_keepdim(axes).powf(1.0 / p),
            p => {
                let zero = x.eq(0.0);
                root(&zero.where_(0.0, zero.where_(1.0, &x).abs().powf(p)).sum_keepdim(axes), p)
            }
        };
        y.cast(self.dtype())
    }
}

/// `s^(1/p)` with a gradient of 0 at 0.
#[track_caller]
pub(super) fn root(s: &Tensor, p: f64) -> Tensor {
    let zero = s.eq(0.0);
    zero.where_(0.0, zero.where_(1.0, s).powf(1.0 / p))
}
