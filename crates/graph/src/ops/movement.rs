//! The same elements seen in another shape or order of axes.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{
    ErrorKind, Op,
    shape::{Extents, count, excess},
};

use crate::{
    shape::{Axis, IntoAxis, IntoRange, IntoReshape},
    tensor::Tensor,
};

/// # Shapes
impl Tensor {
    #[track_caller]
    pub(super) fn view(&self, op: Op, shape: impl Into<Extents>) -> Tensor {
        Tensor::node(op, smallvec![self.clone()], shape, self.dtype(), self.device(), Location::caller())
    }

    /// The same elements in row-major order in another shape; one extent may be -1, which stands for whatever makes the
    /// number of elements fit.
    ///
    /// # Shapes
    /// `[..]` → `shape`
    /// # Errors
    /// Another number of elements; more than one -1; other negative extents.
    #[track_caller]
    #[doc(alias = "view")]
    pub fn reshape(&self, shape: impl IntoReshape) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let given = shape.into_reshape();
        let known = count(&given.iter().filter_map(|d| usize::try_from(*d).ok()).collect::<Vec<_>>());
        let unknown = given.iter().filter(|d| **d < 0).count();
        let fill = if unknown == 1 && known > 0 { self.count() / known } else { 0 };
        let shape: Vec<usize> = given.iter().map(|d| usize::try_from(*d).unwrap_or(fill)).collect();
        if let Some(problem) = excess(&shape) {
            let problem = format!("cannot become {given:?}, which {problem}");
            return self.fail("reshape", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        if unknown > 1 || given.iter().any(|d| *d < -1) || count(&shape) != self.count() {
            let problem = format!("cannot become {given:?}");
            return self.fail("reshape", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        self.in_shape(shape.into())
    }

    /// The same elements in a shape of as many.
    #[track_caller]
    fn in_shape(&self, shape: Extents) -> Tensor {
        if shape[..] == *self.shape() { self.clone() } else { self.view(Op::Reshape, shape) }
    }

    /// The axes of a range made one: `x.flatten(1..)`. A range of fewer than two axes changes nothing.
    ///
    /// # Shapes
    /// `[B, C, H, W]` → `[B, C·H·W]` for `1..`
    #[track_caller]
    pub fn flatten(&self, axes: impl IntoRange) -> Tensor {
        let (start, end) = crate::shape::bounds(axes, self.rank());
        if end <= start + 1 {
            return self.clone();
        }
        let s = self.shape();
        let shape: Vec<usize> =
            s[..start].iter().copied().chain([count(&s[start..end])]).chain(s[end..].iter().copied()).collect();
        self.reshape(shape)
    }

    /// Without the axis, whose extent is 1.
    ///
    /// # Shapes
    /// `[.., 1, ..]` → `[.., ..]`
    /// # Errors
    /// An axis that there is not, or of another extent; PyTorch leaves that as it is.
    #[track_caller]
    pub fn squeeze(&self, axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("squeeze", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let mut shape = self.0.shape.clone();
        if shape.remove(axis) != 1 {
            let problem = format!("has not extent 1 at axis {axis}");
            return self.fail("squeeze", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        self.in_shape(shape)
    }

    /// With an axis of extent 1 at this place of the result; a negative place counts from its back.
    ///
    /// # Shapes
    /// `[.., ..]` → `[.., 1, ..]`
    /// # Errors
    /// A place that the result has not.
    #[track_caller]
    #[doc(alias = "expand_dims")]
    pub fn unsqueeze(&self, axis: impl IntoAxis) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let mut shape = self.shape().to_vec();
        shape.push(1);
        let axis = match axis.into().of(&shape) {
            Ok(axis) => axis,
            Err(kind) => return self.fail("unsqueeze", kind),
        };
        shape.pop();
        shape.insert(axis, 1);
        self.reshape(shape)
    }

    /// The axes in another order: axis `d` of the result is axis `perm[d]` of this tensor. A view.
    ///
    /// # Shapes
    /// `[L, M, N]` → `[N, L, M]` for `[2, 0, 1]`
    /// # Errors
    /// Not a permutation of the axes.
    #[track_caller]
    pub fn permute<A: Into<Axis> + Copy>(&self, perm: impl AsRef<[A]>) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let perm: Result<Vec<usize>, _> = perm.as_ref().iter().map(|a| (*a).into().of(self.shape())).collect();
        let perm = match perm {
            Ok(perm) => perm,
            Err(kind) => return self.fail("permute", kind),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(d, p)| d != *p) || perm.len() != self.rank() {
            let kind = ErrorKind::Invalid(format!("{perm:?} does not name each of {} axes once", self.rank()));
            return self.fail("permute", kind);
        }
        self.in_order(perm)
    }

    /// The axes in an order that names each once.
    #[track_caller]
    fn in_order(&self, perm: Vec<usize>) -> Tensor {
        if perm.is_sorted() {
            return self.clone();
        }
        let shape: Extents = perm.iter().map(|p| self.shape()[*p]).collect();
        self.view(Op::Permute(perm), shape)
    }

    /// Two axes exchanged. A view.
    ///
    /// # Shapes
    /// `[.., A, .., B, ..]` → `[.., B, .., A, ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    #[doc(alias("swapaxes", "swapdims"))]
    pub fn transpose(&self, a: impl IntoAxis, b: impl IntoAxis) -> Tensor {
        let (a, b) = match (self.axis("transpose", a), self.axis("transpose", b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        let mut perm: Vec<usize> = (0..self.rank()).collect();
        perm.swap(a, b);
        self.in_order(perm)
    }

    /// The last two axes exchanged. A view.
    ///
    /// # Shapes
    /// `[.., M, N]` → `[.., N, M]`
    /// # Errors
    /// Less than two axes.
    #[track_caller]
    #[doc(alias("mT", "transpose"))]
    pub fn t(&self) -> Tensor {
        self.transpose(-2, -1)
    }

    /// Repeated along axes of extent 1 and along new leading axes, without copying. The gradient is summed over the
    /// repeats.
    ///
    /// # Shapes
    /// `[C, 1]` → `[B, C, W]`, say: aligned at the last axis, extents equal or 1
    /// # Errors
    /// An extent that is neither equal nor 1; fewer axes than there are.
    #[track_caller]
    #[doc(alias = "expand")]
    pub fn broadcast_to(&self, shape: impl AsRef<[usize]>) -> Tensor {
        let shape = shape.as_ref();
        if self.check().is_err() || self.shape() == shape {
            return self.clone();
        }
        let fits = self.rank() <= shape.len()
            && self.shape().iter().rev().zip(shape.iter().rev()).all(|(a, b)| a == b || *a == 1);
        if let Some(problem) = excess(shape) {
            return self.fail("broadcast_to", ErrorKind::Shape { shape: shape.to_vec(), problem });
        }
        if !fits {
            let (lhs, rhs) = (self.shape().to_vec(), shape.to_vec());
            let problem = "do not fit: the first cannot be broadcast to the second".into();
            return self.fail("broadcast_to", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let mut same_rank = Extents::from_elem(1, shape.len() - self.rank());
        same_rank.extend_from_slice(self.shape());
        let x = self.in_shape(same_rank);
        if x.shape() == shape { x } else { x.view(Op::Expand, shape) }
    }

    /// As [`Tensor::broadcast_to`], where -1 keeps an extent.
    ///
    /// # Shapes
    /// `[C, 1]` → `[B, C, W]` for `[B, -1, W]`
    /// # Errors
    /// As [`Tensor::broadcast_to`].
    #[track_caller]
    pub fn expand(&self, shape: impl IntoReshape) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let given = shape.into_reshape();
        if given.iter().any(|e| *e < -1) {
            let problem = format!("cannot be expanded to {given:?}: an extent is below -1");
            return self.fail("expand", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let new = given.len().saturating_sub(self.rank());
        let extent = |(d, e): (usize, &isize)| match usize::try_from(*e) {
            Ok(e) => e,
            Err(_) => d.checked_sub(new).and_then(|d| self.shape().get(d)).copied().unwrap_or(1),
        };
        let shape: Vec<usize> = given.iter().enumerate().map(extent).collect();
        self.broadcast_to(&shape)
    }
}
