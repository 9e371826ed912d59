//! Writing at positions that are data.
//!
//! Nothing is written in place. Each slot of the result looks for the sources that name it, which is one fused reduction of
//! `slots × sources` comparisons. So the result does not depend on the device's threads; where several sources name one slot,
//! the last of them is taken.

use thalweg_ir::{DType, ErrorKind};

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
    /// For each slot the last source that names it, or -1: I32 `[A, S, B]`.
    #[track_caller]
    pub fn last(&self) -> Tensor {
        let sources = self.index.shape()[1];
        if sources == 0 {
            return Tensor::full(self.x.device(), -1.0, self.x.shape(), DType::I32);
        }
        let source = Tensor::iota(self.x.device(), &[1, 1, sources, 1], 2);
        self.hits().where_(source, -1.0).amax(2)
    }

    /// Whether a source names a slot: Bool `[A, S, J, B]`.
    #[track_caller]
    fn hits(&self) -> Tensor {
        let slots = self.x.shape()[1];
        self.index.unsqueeze(1).eq(Tensor::iota(self.x.device(), &[1, slots, 1, 1], 1))
    }
}

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
            Ok(src) => src.unsqueeze(1),
            Err(failed) => return failed,
        };
        if index.count() == 0 {
            return self.clone();
        }
        let (hits, x) = (at.hits(), at.x.unsqueeze(2));
        let named = hits.cast(DType::I32).sum_keepdim(2);
        let start = |neutral: f64| match include_self {
            true => x.clone(),
            false => named.gt(0.0).where_(neutral, &x),
        };
        let wide = self.dtype().wide();
        let y = match combine {
            Combine::Sum => start(0.0).cast(wide) + hits.where_(src.cast(wide), 0.0).sum_keepdim(2),
            Combine::Mean => {
                let sum = start(0.0).cast(wide) + hits.where_(src.cast(wide), 0.0).sum_keepdim(2);
                let count = if include_self { &named + 1.0 } else { named.maximum(1.0) };
                sum / count.cast(wide)
            }
            Combine::Prod => start(1.0).cast(wide) * hits.where_(src.cast(wide), 1.0).prod_keepdim(2),
            // What the slot holds is one candidate more, in front: equal ones share the gradient, whichever they are.
            Combine::Max | Combine::Min => {
                let none = self.dtype().lowest(combine == Combine::Min);
                let front = |t: &Tensor| t.pad(&[(1, 0), (0, 0)], 0.0);
                let first = Tensor::iota(self.device(), &[1, 1, src.shape()[2] + 1, 1], 2).eq(0.0);
                let own = if include_self { x.clone() } else { start(none) };
                let all = first.where_(own, front(&hits.cast(DType::I32)).ne(0.0).where_(front(&src), none));
                if combine == Combine::Max { all.amax_keepdim(2) } else { all.amin_keepdim(2) }
            }
        };
        y.cast(self.dtype()).reshape(self.shape())
    }
}
