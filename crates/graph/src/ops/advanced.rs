//! Several tensors of positions at once, flat positions, masks, and searches in sorted numbers.

use thalweg_ir::{
    DType, ErrorKind,
    shape::{Extents, broadcast, count},
};

use crate::{shape::IntoAxis, tensor::Tensor};

/// # Index tensors
impl Tensor {
    /// The row-major positions within the first axes that index tensors name together, flat, and their common shape.
    #[track_caller]
    fn flat_index(&self, op: &'static str, indices: &[&Tensor]) -> Result<(Tensor, Extents), Tensor> {
        self.check().map_err(|_| self.clone())?;
        if indices.is_empty() || indices.len() > self.rank() {
            let kind = ErrorKind::Invalid(format!("{} index tensors for {} axes", indices.len(), self.rank()));
            return Err(self.fail(op, kind));
        }
        let mut shape = Extents::new();
        for index in indices {
            index.check().map_err(|_| (*index).clone())?;
            let Some(both) = broadcast(&shape, index.shape()) else {
                let (lhs, rhs) = (shape.into_vec(), index.shape().to_vec());
                return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem: "do not broadcast".into() }));
            };
            shape = both;
        }
        let mut flat = Tensor::scalar(self.device(), 0.0, DType::I32);
        for (d, index) in indices.iter().enumerate() {
            flat = flat * self.shape()[d] as f64 + index.wrapped_index(op, self.shape()[d])?;
        }
        Ok((flat.broadcast_to(&shape).reshape([count(&shape)]), shape))
    }

    /// The tensor with its first `n` axes made one.
    #[track_caller]
    fn rows_of(&self, n: usize) -> Tensor {
        self.reshape([&[count(&self.shape()[..n])], &self.shape()[n..]].concat())
    }

    /// `x[i, j, ..]`: at each place of the index tensors, which broadcast, the element (or slice) at the position that they
    /// name together. Negative positions count from the back.
    ///
    /// # Shapes
    /// `[N, M, ..]`, indices of common shape `[S..]` → `[S.., ..]`
    /// # Errors
    /// No indices, or more than axes; indices that do not broadcast, or are not I32 or U32. Positions outside as in
    /// [`Tensor::gather`].
    /// # Source
    /// numpy's advanced indexing, with the indices in front.
    #[track_caller]
    #[doc(alias = "index")]
    pub fn index_at(&self, indices: &[&Tensor]) -> Tensor {
        match self.flat_index("index_at", indices) {
            Ok((flat, shape)) => {
                let rows = self.rows_of(indices.len()).index_select_of("index_at", 0, &flat);
                rows.reshape([&shape, &self.shape()[indices.len()..]].concat())
            }
            Err(failed) => failed,
        }
    }

    /// This with `values` at the positions that index tensors name together, or with them added there. Without `accumulate`
    /// the last of equal positions stays, and alone gets the gradient.
    ///
    /// # Shapes
    /// `[N, M, ..]`, indices of common shape `[S..]`, values that broadcast to `[S.., ..]` → `[N, M, ..]`
    /// # Errors
    /// As [`Tensor::index_at`]; values that do not broadcast.
    #[track_caller]
    pub fn index_put(&self, indices: &[&Tensor], values: &Tensor, accumulate: bool) -> Tensor {
        let (flat, shape) = match self.flat_index("index_put", indices) {
            Ok(found) => found,
            Err(failed) => return failed,
        };
        let x = self.rows_of(indices.len());
        let values = values.broadcast_to([&shape, &self.shape()[indices.len()..]].concat());
        if values.check().is_err() {
            return values;
        }
        let values = values.reshape([&[flat.count()], &x.shape()[1..]].concat());
        match accumulate {
            true => x.index_add(0, &flat, &values, 1.0).reshape(self.shape()),
            false => x.index_copy(0, &flat, &values).reshape(self.shape()),
        }
    }

    /// The elements at flat, row-major positions; negative ones count from the back.
    ///
    /// # Shapes
    /// `[..]`, `index [S..]` → `[S..]`
    /// # Errors
    /// An index that is not I32 or U32. Positions outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Tensor {
        self.reshape([self.count()]).index_at(&[index])
    }

    /// As [`Tensor::gather`], where both sides broadcast off the axis.
    ///
    /// # Shapes
    /// `[.., N, ..]`, `index [.., J, ..]` → `[.., J, ..]`
    /// # Errors
    /// An axis that there is not; another number of axes; shapes that do not broadcast off the axis; an index that is not
    /// I32 or U32. Positions outside as in [`Tensor::gather`].
    #[track_caller]
    #[doc(alias("take_along_dim", "take_along_axis"))]
    pub fn take_along(&self, axis: impl IntoAxis, index: &Tensor) -> Tensor {
        let axis = match self.axis("take_along", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if index.check().is_err() {
            return index.clone();
        }
        let off =
            |shape: &[usize]| shape.iter().enumerate().map(|(d, n)| if d == axis { 1 } else { *n }).collect::<Vec<_>>();
        let common = broadcast(&off(self.shape()), &off(index.shape())).filter(|_| self.rank() == index.rank());
        let Some(common) = common else {
            let (lhs, rhs) = (self.shape().to_vec(), index.shape().to_vec());
            let problem = format!("do not broadcast off axis {axis}");
            return self.fail("take_along", ErrorKind::Shapes { lhs, rhs, problem });
        };
        let along = |t: &Tensor| {
            let mut shape = common.clone();
            shape[axis] = t.shape()[axis];
            t.broadcast_to(&shape)
        };
        along(self).gather_of("take_along", axis, &along(index))
    }

    /// This with the elements of `src`, in order, where the mask holds. The gradient goes to what was put there, and to
    /// this elsewhere.
    ///
    /// # Shapes
    /// `[..]`, a mask that broadcasts to it, `src` with as many elements as the mask has true ones, or more → `[..]`
    /// # Errors
    /// A mask that is not Bool, or does not broadcast. Too few elements are reported as a position outside in
    /// [`Tensor::gather`].
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, src: &Tensor) -> Tensor {
        let mask = match self.mask_of("masked_scatter", mask) {
            Ok(mask) => mask,
            Err(failed) => return failed,
        };
        let flat = mask.reshape([mask.count()]);
        // The n-th true element takes element n.
        let nth = flat.cast(DType::I32).cumsum(0) - 1.0;
        let taken = src.cast(self.dtype()).reshape([src.count()]).index_select(0, &flat.where_(nth, 0.0));
        mask.where_(taken.reshape(self.shape()), self)
    }

    /// The mask at every element.
    #[track_caller]
    pub(crate) fn mask_of(&self, op: &'static str, mask: &Tensor) -> Result<Tensor, Tensor> {
        self.check().map_err(|_| self.clone())?;
        mask.check().map_err(|_| mask.clone())?;
        if mask.dtype() != DType::Bool {
            let kind = ErrorKind::DType { got: mask.dtype(), problem: "is no mask; use bool".into() };
            return Err(self.fail(op, kind));
        }
        let mask = mask.broadcast_to(self.shape());
        mask.check().map_err(|_| mask.clone())?;
        Ok(mask)
    }

    /// Where each of `values` would stand in this sorted sequence, I32: how many of its elements are below the value, or
    /// not above it with `right`. NaN stands behind all numbers. Every element is compared, `sequence × values` comparisons
    /// in one launch.
    ///
    /// # Shapes
    /// `[N]`, values `[..]` → `[..]`; or `[.., N]`, values `[.., M]` → `[.., M]`, row by row
    /// # Errors
    /// Leading axes that differ.
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool) -> Tensor {
        if self.check().is_err() || values.check().is_err() {
            return if self.check().is_err() { self.clone() } else { values.clone() };
        }
        let rows = self.rank() > 1 && values.rank() == self.rank();
        let fits = rows && self.shape()[..self.rank() - 1] == values.shape()[..self.rank() - 1];
        if !fits && self.rank() != 1 {
            let (lhs, rhs) = (self.shape().to_vec(), values.shape().to_vec());
            let problem = "do not fit: a sequence for all values, or one for each row".to_string();
            return self.fail("searchsorted", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let sequence = if rows { self.unsqueeze(-2) } else { self.clone() };
        let values = values.unsqueeze(-1);
        // Not `lt`: what is not a number stands behind all others.
        let behind = if right { sequence.gt(values) } else { sequence.ge(values) };
        behind.not().cast(DType::I32).sum(-1)
    }

    /// The number of the bucket between sorted boundaries that each element falls into, I32: [`Tensor::searchsorted`] seen
    /// from the values.
    ///
    /// # Shapes
    /// `[..]`, boundaries `[N]` → `[..]`
    /// # Errors
    /// As [`Tensor::searchsorted`].
    #[track_caller]
    #[doc(alias = "digitize")]
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Tensor {
        boundaries.searchsorted(self, right)
    }
}
