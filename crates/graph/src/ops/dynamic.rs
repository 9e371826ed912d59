//! Slices whose place is known when the graph runs, not when it is recorded.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{DType, ErrorKind, Op};

use crate::{
    shape::IntoAxis,
    tensor::{Rule, Tensor},
};

/// Where a slice starts: a number of the host, or a tensor of one integer. Negative ones count from the back; what does not
/// fit is moved until it does.
pub trait Offset {
    /// As an I32 scalar for a slice of `len` of `extent` elements, or the tensor that carries why not.
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor>;
}

impl Offset for &Tensor {
    #[track_caller]
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor> {
        let start = like.index_of("dynamic_slice", self)?;
        if start.count() != 1 {
            let problem = "is not one position".to_string();
            return Err(like.fail("dynamic_slice", ErrorKind::Shape { shape: start.shape().to_vec(), problem }));
        }
        let start = start.reshape(());
        let start = start.lt(0.0).where_(&start + extent as f64, start);
        Ok(start.maximum(0.0).minimum((extent - len) as f64))
    }
}

impl Offset for Tensor {
    #[track_caller]
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor> {
        (&self).into_offset(like, extent, len)
    }
}

impl Offset for isize {
    #[track_caller]
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor> {
        let start = if self < 0 { self.saturating_add(extent as isize) } else { self };
        let start = start.clamp(0, (extent - len) as isize);
        // Small numbers are part of a plan. None is left when 3 is added, so that every offset has the same plan.
        Ok(Tensor::scalar(like.device(), start as f64 + 3.0, DType::I32) - 3)
    }
}

impl Offset for usize {
    #[track_caller]
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor> {
        isize::try_from(self).unwrap_or(isize::MAX).into_offset(like, extent, len)
    }
}

impl Offset for i32 {
    #[track_caller]
    fn into_offset(self, like: &Tensor, extent: usize, len: usize) -> Result<Tensor, Tensor> {
        (self as isize).into_offset(like, extent, len)
    }
}

/// # Parts that start where data says
impl Tensor {
    /// `len` positions of an axis from an offset that is data: `y_i = x_{start + i}`, with the start moved into
    /// `0 ..= extent - len`; a negative one counts from the back. Another offset is the same plan, so nothing is compiled.
    ///
    /// # Shapes
    /// `[.., N, ..]`, offset of one element → `[.., len, ..]`
    /// # Errors
    /// A slice longer than the axis; an offset that is no integer, or several.
    /// # Source
    /// `jax.lax.dynamic_slice`, one axis at a time.
    #[track_caller]
    pub fn dynamic_slice(&self, axis: impl IntoAxis, start: impl Offset, len: usize) -> Tensor {
        let axis = match self.axis("dynamic_slice", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let extent = self.shape()[axis];
        if len > extent {
            let problem = format!("has no {len} elements at axis {axis}");
            return self.fail("dynamic_slice", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        match start.into_offset(self, extent, len) {
            Ok(start) => self.run_of(axis, &start, len),
            Err(failed) => failed,
        }
    }

    /// With `src` at an offset of an axis that is data: the counterpart of [`Tensor::dynamic_slice`].
    ///
    /// # Shapes
    /// `[.., N, ..]`, offset of one element, `src [.., len, ..]` → `[.., N, ..]`
    /// # Errors
    /// A source that is longer than the axis or differs at another; an offset that is no integer, or several.
    /// # Source
    /// `jax.lax.dynamic_update_slice`, one axis at a time.
    #[track_caller]
    pub fn dynamic_update_slice(&self, axis: impl IntoAxis, start: impl Offset, src: &Tensor) -> Tensor {
        let axis = match self.axis("dynamic_update_slice", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if src.check().is_err() {
            return src.clone();
        }
        let (shape, extent) = (self.shape(), self.shape()[axis]);
        let fits = src.rank() == self.rank()
            && (0..self.rank()).all(|d| if d == axis { src.shape()[d] <= extent } else { src.shape()[d] == shape[d] });
        if !fits {
            let (lhs, rhs) = (shape.to_vec(), src.shape().to_vec());
            let problem = format!("do not fit: the second may be shorter at axis {axis} only");
            return self.fail("dynamic_update_slice", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let len = src.shape()[axis];
        let start = match start.into_offset(self, extent, len) {
            Ok(start) => start,
            Err(failed) => return failed,
        };
        let at = Tensor::iota(self.device(), &[extent], 0);
        let inside = at.ge(&start).and(at.lt(&start + len as f64));
        let mut along = vec![1; self.rank()];
        along[axis] = extent;
        inside.reshape(along).where_(src.cast(self.dtype()).shifted(axis, &start, extent), self)
    }

    /// `y_i = x_{start + i}`; the start fits.
    #[track_caller]
    fn run_of(&self, axis: usize, start: &Tensor, len: usize) -> Tensor {
        let mut shape = self.shape().to_vec();
        shape[axis] = len;
        let index = Tensor::iota(self.device(), &shape, axis) + start;
        let extent = self.shape()[axis];
        let rule = Rule::new("gather", move |inputs, _, g| Ok(vec![Some(run_vjp(g, &inputs[1], axis, extent)), None]));
        self.gather_by(axis, &index, rule)
    }

    /// As [`Tensor::gather`], where the index is a permutation of every row's positions: the gradient is a gather as well.
    #[track_caller]
    pub(super) fn permuted(&self, axis: usize, index: &Tensor) -> Tensor {
        let back = move |inputs: &[Tensor], _: &Tensor, g: &Tensor| {
            Ok(vec![Some(g.permuted(axis, &inputs[1].argsort(axis, false))), None])
        };
        self.gather_by(axis, index, Rule::new("gather", back))
    }

    /// As [`Tensor::gather`] of operands that fit.
    #[track_caller]
    fn gather_by(&self, axis: usize, index: &Tensor, rule: Rule) -> Tensor {
        let (inputs, shape) = (smallvec![self.clone(), index.clone()], index.shape());
        Tensor::ruled(Op::Gather(axis), inputs, shape, self.dtype(), self.device(), rule, Location::caller())
    }

    /// `y_{start + i} = x_i` and 0 elsewhere, `extent` elements: a slice of this with zeros around it.
    #[track_caller]
    fn shifted(&self, axis: usize, start: &Tensor, extent: usize) -> Tensor {
        let room = extent - self.shape()[axis];
        let mut pads = vec![(0, 0); self.rank() - axis];
        pads[0] = (room as isize, room as isize);
        self.pad(&pads, 0.0).run_of(axis, &(room as f64 - start), extent)
    }
}

/// The gradient of what [`Tensor::run_of`] takes a run of, from an axis of this extent.
fn run_vjp(g: &Tensor, index: &Tensor, axis: usize, extent: usize) -> Tensor {
    if g.count() == 0 {
        let mut shape = g.shape().to_vec();
        shape[axis] = extent;
        return Tensor::full(g.device(), 0.0, shape, g.dtype());
    }
    let first = (0..index.rank()).fold(index.clone(), |index, d| index.strided(d, 0, 1, 1)).reshape(());
    g.shifted(axis, &first, extent)
}
