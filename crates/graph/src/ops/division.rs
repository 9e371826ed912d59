//! Quotients rounded down, and what they leave.

use crate::{operators::IntoTensor, tensor::Tensor};

/// # Division and remainders
impl Tensor {
    /// The remainder of `a / b` with the sign of b: `a - ⌊a / b⌋ b`; [`Tensor::fmod`] has the sign of a. Of integers by 0
    /// it is 0. Gradients are those of fmod: 1 for a, `-⌊a / b⌋` for b.
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; truth values.
    #[track_caller]
    #[doc(alias = "mod")]
    pub fn remainder(&self, other: impl IntoTensor) -> Tensor {
        let other = other.into_tensor(self);
        let r = self.fmod(&other);
        if r.check().is_err() {
            return r;
        }
        opposite(&r, &other).where_(&r + &other, &r)
    }

    /// `⌊a / b⌋`; of integers by 0 it is 0. The gradient is 0.
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; truth values.
    #[track_caller]
    pub fn floor_divide(&self, other: impl IntoTensor) -> Tensor {
        let other = other.into_tensor(self);
        let quotient = self / &other;
        if quotient.check().is_err() {
            return quotient;
        }
        match quotient.dtype().is_float() {
            true => quotient.floor(),
            false => opposite(&self.fmod(&other), &other).where_(&quotient - 1, &quotient),
        }
    }

    /// What `trunc` takes away: `x - trunc x`, with the sign of x. The gradient is 1 everywhere.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn frac(&self) -> Tensor {
        self - self.trunc()
    }
}

/// Whether a remainder is not 0 and has the other sign than the divisor.
#[track_caller]
fn opposite(r: &Tensor, divisor: &Tensor) -> Tensor {
    r.ne(0.0).and(r.lt(0.0).ne(divisor.lt(0.0)))
}
