//! Writing at positions that are data.
//!
//! Nothing is written in place: each slot of the result is a segment of the sources that name it. So the result does not depend on the
//! device's threads; where several sources name one slot, the last of them is taken.

use thalweg_ir::{DType, ErrorKind, ReduceOp};

use super::segments::Combined;
use crate::{operators::Number, shape::IntoAxis, tensor::Tensor};

/// What becomes of several numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their product.
    Prod,
    /// The largest; equal ones share the gradient.
    Max,
    /// The smallest; equal ones share the gradient.
    Min,
}

/// Operands of a scatter around its axis: `x [A, S, B]`, `index [A, J, B]` with -1 for nowhere.
pub(super) struct Scatter {
    pub x: Tensor,
    pub index: Tensor,
}

impl Scatter {
    /// For each slot the last source that names it, or -1: I32 `[A, S, B]`, or what broadcasts to it.
    #[track_caller]
    pub fn last(&self) -> Tensor {
        let slots = self.x.shape()[1];
        if self.index.count() == 0 {
            return Tensor::full(self.x.device(), -1.0, self.x.shape(), DType::I32);
        }
        let source = Tensor::iota(self.x.device(), self.index.shape(), 1);
        source.combined("scatter", ReduceOp::Max, 1, &self.index, slots).value.maximum(-1.0)
    }
}

/// # Scatters
impl Tensor {
    /// The operands of a scatter, with the sources shaped as the index.
    #[track_caller]
    fn scattering(&self, op: &'static str, axis: usize, index: &Tensor) -> Result<Scatter, Tensor> {
        let fits =
            index.rank() == self.rank() && (0..self.rank()).all(|d| d == axis || index.shape()[d] <= self.shape()[d]);
        if index.check().is_ok() && !fits {
            let (lhs, rhs) = (self.shape().to_vec(), index.shape().to_vec());
            let problem = format!("do not fit: the index may be longer at axis {axis} only");
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem }));
        }
        let index = index.checked_index(op, self.shape()[axis])?;
        Ok(Scatter { x: self.around(axis), index: self.beyond(axis, &index, -1.0).around(axis) })
    }

    /// Filled up to this tensor's extents but along the axis.
    #[track_caller]
    fn beyond(&self, axis: usize, part: &Tensor, fill: f64) -> Tensor {
        let more = |d: usize| if d == axis { 0 } else { self.shape()[d] as isize - part.shape()[d] as isize };
        part.pad(&(0..self.rank()).map(|d| (0, more(d))).collect::<Vec<_>>(), fill)
    }

    /// The sources that an index uses, `[A, J, B]`.
    #[track_caller]
    fn sources(&self, op: &'static str, axis: usize, index: &Tensor, src: &Tensor) -> Result<Tensor, Tensor> {
        src.check().map_err(|_| src.clone())?;
        let fits = src.rank() == index.rank() && (0..src.rank()).all(|d| index.shape()[d] <= src.shape()[d]);
        if !fits {
            let (lhs, rhs) = (index.shape().to_vec(), src.shape().to_vec());
            let problem = "do not fit: there is no value for each index".to_string();
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem }));
        }
        let used = (0..src.rank()).fold(src.cast(self.dtype()), |src, d| src.strided(d, 0, 1, index.shape()[d]));
        let used = used.values_at(op, axis, index, self.shape()[axis]);
        Ok(self.beyond(axis, &used, 0.0).around(axis))
    }

    /// This with `src[i.., j, k..]` at `[i.., index[i.., j, k..], k..]` along the axis. Where an index comes more than once
    /// the last value stays, and alone gets the gradient.
    ///
    /// # Shapes
    /// As [`Tensor::scatter_add`].
    /// # Errors
    /// As [`Tensor::scatter_add`]. Positions outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn scatter(&self, axis: impl IntoAxis, index: &Tensor, src: &Tensor) -> Tensor {
        let axis = match self.axis("scatter", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let at = match self.scattering("scatter", axis, index) {
            Ok(at) => at,
            Err(failed) => return failed,
        };
        let src = match self.sources("scatter", axis, index, src) {
            Ok(src) => src,
            Err(failed) => return failed,
        };
        if index.count() == 0 {
            return self.clone();
        }
        let last = at.last();
        last.ge(0.0).where_(src.gather(1, &last.maximum(0.0)), at.x).reshape(self.shape())
    }

    /// This with `value` at `[i.., index[i.., j, k..], k..]` along the axis; no gradient passes there.
    ///
    /// # Shapes
    /// `[.., N, ..]`, an index `[.., J, ..]` as in [`Tensor::scatter_add`] → `[.., N, ..]`
    /// # Errors
    /// As [`Tensor::scatter`].
    #[track_caller]
    #[doc(alias = "scatter")]
    pub fn scatter_value(&self, axis: impl IntoAxis, index: &Tensor, value: impl Number) -> Tensor {
        let value = value.number();
        let axis = match self.axis("scatter", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        match self.scattering("scatter", axis, index) {
            Ok(at) => at.last().ge(0.0).where_(value, at.x).reshape(self.shape()),
            Err(failed) => failed,
        }
    }

    /// Each slot combined of the sources that name it, and of what it holds if `include_self`. A slot that none names
    /// stays.
    ///
    /// A mean divides by the number of sources, and of one more with `include_self`. Equal extremes share the gradient
    /// evenly, what the slot holds among them.
    ///
    /// # Shapes
    /// As [`Tensor::scatter_add`].
    /// # Errors
    /// As [`Tensor::scatter`]; the mean of integers.
    #[track_caller]
    pub fn scatter_reduce(
        &self,
        axis: impl IntoAxis,
        index: &Tensor,
        src: &Tensor,
        combine: Combine,
        include_self: bool,
    ) -> Tensor {
        let axis = match self.axis("scatter_reduce", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if combine == Combine::Mean && !self.dtype().is_float() {
            let problem = "has no mean; cast to a float first".to_string();
            return self.fail("scatter_reduce", ErrorKind::DType { got: self.dtype(), problem });
        }
        let at = match self.scattering("scatter_reduce", axis, index) {
            Ok(at) => at,
            Err(failed) => return failed,
        };
        let src = match self.sources("scatter_reduce", axis, index, src) {
            Ok(src) => src,
            Err(failed) => return failed,
        };
        if index.count() == 0 {
            return self.clone();
        }
        let op = match combine {
            Combine::Sum | Combine::Mean => ReduceOp::Sum,
            Combine::Prod => ReduceOp::Prod,
            Combine::Max => ReduceOp::Max,
            Combine::Min => ReduceOp::Min,
        };
        // What a slot holds is one source more, in front: equal extremes share the gradient, whichever they are.
        let own = Tensor::iota(self.device(), at.x.shape(), 1);
        let (src, index) = match include_self {
            true => (at.x.concat_with([&src], 1), own.concat_with([&at.index], 1)),
            false => (src, at.index),
        };
        let Combined { value, rows } = src.combined("scatter_reduce", op, 1, &index, self.shape()[axis]);
        let value = match combine {
            Combine::Mean => &value / rows.maximum(1.0).cast(value.dtype()),
            _ => value,
        };
        rows.gt(0.0).where_(value.cast(self.dtype()), at.x).reshape(self.shape())
    }
}
