//! Orders along an axis.
//!
//! The place of an element is how many others stand in front of it; the element at a place is the one that has it. On a short
//! axis both are fused reductions that compare every pair: `n²` comparisons and two launches, nothing stored between. On a long
//! one, blocks that are sorted so are merged: see `merge.rs`. Equal elements keep their order, and what is not a number stands
//! behind all numbers (in front of them when descending).

use super::merge;
use thalweg_ir::{DType, ErrorKind};

use crate::{shape::IntoAxis, tensor::Tensor};

/// The longest axis of which every pair is compared.
const SHORT: usize = 512;

/// The longest axis at all: merging counts to twice its length, in I32.
const LONGEST: usize = 1 << 30;

/// # Order
impl Tensor {
    /// The elements along an axis in order, and where each stood, I32. Equal elements keep their order, each with its own
    /// gradient. NaN stands behind all numbers, in front of them when descending.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same, twice
    /// # Errors
    /// An axis that there is not.
    /// # Source
    /// Rank (enumeration) sort: Knuth, The Art of Computer Programming, volume 3, 5.2. Beyond 512 elements Odeh et al.
    /// 2012, "Merge Path - Parallel Merging Made Simple".
    #[track_caller]
    pub fn sort(&self, axis: impl IntoAxis, descending: bool) -> (Tensor, Tensor) {
        let axis = axis.into();
        let index = self.argsort(axis, descending);
        if index.check().is_err() {
            return (index.clone(), index);
        }
        match axis.of(self.shape()) {
            // Its gradient sorts again instead of looking for each position.
            Ok(axis) if self.shape()[axis] > SHORT => (self.permuted(axis, &index), index),
            _ => (self.gather(axis, &index), index),
        }
    }

    /// Where the elements of an axis stand that are first, second, .. in the order of [`Tensor::sort`], I32.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn argsort(&self, axis: impl IntoAxis, descending: bool) -> Tensor {
        match self.axis("sort", axis) {
            Ok(axis) => {
                let n = self.shape()[axis];
                self.placed(axis, descending, n, |_| Tensor::iota(self.device(), &[n, 1], 0))
            }
            Err(failed) => failed,
        }
    }

    /// The `k` largest elements along an axis in descending order, or the smallest in ascending order, and where they
    /// stand, I32. They are the first of [`Tensor::sort`]: of equal ones the first, NaN larger than all numbers.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., k, ..]`, twice
    /// # Errors
    /// An axis that there is not; more elements than it has.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: impl IntoAxis, largest: bool) -> (Tensor, Tensor) {
        let axis = match self.axis("topk", axis) {
            Ok(axis) => axis,
            Err(failed) => return (failed.clone(), failed),
        };
        if k > self.shape()[axis] {
            let problem = format!("has no {k} elements at axis {axis}");
            let failed = self.fail("topk", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            return (failed.clone(), failed);
        }
        let index = self.placed(axis, largest, k, |_| Tensor::iota(self.device(), &[k, 1], 0));
        (self.gather(axis, &index), index)
    }

    /// The `k`-th smallest element along an axis, which goes away, and where it stands, I32; `k` counts from 1, and equal
    /// elements count in their order.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ..]`, twice
    /// # Errors
    /// An axis that there is not; no such element.
    #[track_caller]
    pub fn kthvalue(&self, k: usize, axis: impl IntoAxis) -> (Tensor, Tensor) {
        let axis = match self.axis("kthvalue", axis) {
            Ok(axis) => axis,
            Err(failed) => return (failed.clone(), failed),
        };
        if k == 0 || k > self.shape()[axis] {
            let problem = format!("has no element {k} at axis {axis}");
            let failed = self.fail("kthvalue", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            return (failed.clone(), failed);
        }
        let index =
            self.placed(axis, false, k, |_| Tensor::scalar(self.device(), k as f64 - 1.0, DType::I32).reshape([1, 1]));
        (self.gather(axis, &index).squeeze(axis), index.squeeze(axis))
    }

    /// The median along an axis, which goes away, and where it stands, I32; of an even number of elements the lower of the
    /// two in the middle, as in PyTorch. If one is NaN, the first such. It alone gets the gradient.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ..]`, twice
    /// # Errors
    /// An axis that there is not, or without elements.
    #[track_caller]
    pub fn median(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        self.middle("median", axis, false)
    }

    /// As [`Tensor::median`] of the elements that are numbers; NaN where none is.
    #[track_caller]
    pub fn nanmedian(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        self.middle("nanmedian", axis, true)
    }

    #[track_caller]
    fn middle(&self, op: &'static str, axis: impl IntoAxis, numbers: bool) -> (Tensor, Tensor) {
        let axis = match self.axis(op, axis) {
            Ok(axis) => axis,
            Err(failed) => return (failed.clone(), failed),
        };
        let n = self.shape()[axis];
        if n == 0 {
            let problem = format!("has no elements to choose from at axis {axis}");
            let failed = self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            return (failed.clone(), failed);
        }
        let index = self.placed(axis, false, n, |rows| {
            let good = (missing(rows).sum_keepdim(-1) * -1.0 + n as f64).unsqueeze(-1);
            // Numbers stand in front, so the first that is none has the place of their count.
            match numbers {
                true => (good.maximum(1.0) - 1.0) / 2.0,
                false => good.lt(n as f64).where_(good, (n as f64 - 1.0).div_euclid(2.0)),
            }
        });
        (self.gather(axis, &index).squeeze(axis), index.squeeze(axis))
    }

    /// Which element has each of the places that a function of rows `[R, n]` names, none from `depth` on: `[K, 1]` for all
    /// rows, or `[R, K, 1]`. The axis gets extent K.
    #[track_caller]
    pub(super) fn placed(
        &self,
        axis: usize,
        descending: bool,
        depth: usize,
        wanted: impl Fn(&Tensor) -> Tensor,
    ) -> Tensor {
        if self.shape()[axis] > LONGEST {
            let problem = format!("has positions along axis {axis} that do not fit 32 bits");
            return self.fail("sort", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let (rows, mut shape) = self.detach().rows_along(axis);
        let (&[r, n], wanted) = (rows.shape(), wanted(&rows)) else { return self.cast(DType::I32) };
        let index = if rows.count() == 0 {
            let k = wanted.shape().iter().rev().nth(1).copied().unwrap_or(1);
            Tensor::full(self.device(), 0.0, [r, k], DType::I32)
        } else if n > SHORT && depth > 0 {
            let wanted = wanted.squeeze(-1);
            let k = wanted.shape().last().copied().unwrap_or(1);
            merge::order(&rows, descending, depth).gather(1, &wanted.broadcast_to([r, k]))
        } else {
            let hit = places(&rows, descending).unsqueeze(1).eq(wanted);
            hit.where_(Tensor::iota(self.device(), &[1, 1, n], 2), 0.0).sum(-1)
        };
        if let Some(last) = shape.last_mut() {
            *last = index.shape().last().copied().unwrap_or(1);
        }
        index.reshape(shape).movedim(&[-1], &[axis as isize])
    }
}

/// 1 where an element is not a number, I32.
fn missing(x: &Tensor) -> Tensor {
    if x.dtype().is_float() { x.is_nan().cast(DType::I32) } else { x.zeros_like().cast(DType::I32) }
}

/// How many elements of its row stand in front of each: I32 `[R, n]`.
fn places(rows: &Tensor, descending: bool) -> Tensor {
    let rows = if rows.dtype() == DType::Bool { rows.cast(DType::I32) } else { rows.clone() };
    let n = rows.shape()[1];
    let (this, other) = (rows.unsqueeze(2), rows.unsqueeze(1));
    let (mut front, mut same) = (if descending { other.gt(&this) } else { other.lt(&this) }, other.eq(&this));
    if rows.dtype().is_float() {
        let (this, other) = (this.is_nan(), other.is_nan());
        front = front.or(if descending { other.and(this.not()) } else { this.and(other.not()) });
        same = same.or(this.and(&other));
    }
    let earlier = Tensor::iota(rows.device(), &[1, n], 1).lt(Tensor::iota(rows.device(), &[n, 1], 0));
    front.or(same.and(earlier)).cast(DType::I32).sum(2)
}
