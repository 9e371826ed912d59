//! Writing whole slices at the positions that a vector names.

use thalweg_ir::{DType, ErrorKind};

use crate::{operators::Number, ops::scatter::Scatter, shape::IntoAxis, tensor::Tensor};

/// # Writing at positions
impl Tensor {
    /// A vector of positions along an axis, and whether `src` has this tensor's shape with as many elements there.
    #[track_caller]
    fn index_vector(&self, op: &'static str, axis: usize, index: &Tensor, src: Option<&Tensor>) -> Result<(), Tensor> {
        index.check().map_err(|_| index.clone())?;
        if index.rank() != 1 {
            let (shape, problem) = (index.shape().to_vec(), "is no vector of positions".to_string());
            return Err(self.fail(op, ErrorKind::Shape { shape, problem }));
        }
        let Some(src) = src else { return Ok(()) };
        src.check().map_err(|_| src.clone())?;
        let mut want = self.shape().to_vec();
        want[axis] = index.count();
        if src.shape() != want {
            let problem = "do not fit: the first is needed".to_string();
            return Err(self.fail(op, ErrorKind::Shapes { lhs: want, rhs: src.shape().to_vec(), problem }));
        }
        Ok(())
    }

    /// This plus `alpha · src[.., j, ..]` at positions `index[j]` of the axis.
    ///
    /// # Shapes
    /// `[.., N, ..]`, `index [J]`, `src [.., J, ..]` → `[.., N, ..]`
    /// # Errors
    /// An axis that there is not; an index that is no vector, or not I32 or U32; a source of another shape. Positions
    /// outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn index_add(&self, axis: impl IntoAxis, index: &Tensor, src: &Tensor, alpha: impl Number) -> Tensor {
        let alpha = alpha.number();
        let axis = match self.axis("index_add", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let sound = match self.index_vector("index_add", axis, index, Some(src)) {
            Ok(()) => index.checked_index("index_add", self.shape()[axis]),
            Err(failed) => Err(failed),
        };
        match sound {
            Ok(sound) => {
                let mut along = vec![1; self.rank()];
                along[axis] = index.count();
                let src = src.values_at("index_add", axis, &index.reshape(&along[..]), self.shape()[axis]);
                let (index, src) = (sound, if alpha == 1.0 { src } else { src * alpha });
                self.scatter_add_at(axis, index.reshape(along).broadcast_to(src.shape()), &src)
            }
            Err(failed) => failed,
        }
    }

    /// This with `src[.., j, ..]` at positions `index[j]` of the axis; of equal positions the last stays, and alone gets
    /// the gradient.
    ///
    /// # Shapes
    /// `[.., N, ..]`, `index [J]`, `src [.., J, ..]` → `[.., N, ..]`
    /// # Errors
    /// As [`Tensor::index_add`].
    #[track_caller]
    pub fn index_copy(&self, axis: impl IntoAxis, index: &Tensor, src: &Tensor) -> Tensor {
        let axis = match self.axis("index_copy", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let sound = match self.index_vector("index_copy", axis, index, Some(src)) {
            Ok(()) => index.checked_index("index_copy", self.shape()[axis]),
            Err(failed) => Err(failed),
        };
        match sound {
            Ok(sound) if index.count() > 0 => {
                let mut along = vec![1; self.rank()];
                along[axis] = index.count();
                let src = src.values_at("index_copy", axis, &index.reshape(&along[..]), self.shape()[axis]);
                let (last, written) = self.last_along(axis, &sound);
                let taken = src.cast(self.dtype()).index_select(axis, &last.maximum(0.0));
                written.where_(taken, self)
            }
            Ok(_) => self.clone(),
            Err(failed) => failed,
        }
    }

    /// This with `value` at positions `index[j]` of the axis, negative ones counted from the back; no gradient passes
    /// there.
    ///
    /// # Shapes
    /// `[.., N, ..]`, `index [J]` → `[.., N, ..]`
    /// # Errors
    /// As [`Tensor::index_add`].
    #[track_caller]
    pub fn index_fill(&self, axis: impl IntoAxis, index: &Tensor, value: impl Number) -> Tensor {
        let value = value.number();
        let axis = match self.axis("index_fill", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let index = match self.index_vector("index_fill", axis, index, None) {
            Ok(()) => index.wrapped_index("index_fill", self.shape()[axis]),
            Err(failed) => Err(failed),
        };
        match index {
            Ok(index) => self.last_along(axis, &index).1.where_(value, self),
            Err(failed) => failed,
        }
    }

    /// For each position of an axis the last `j` that names it, or -1, and whether there is one, shaped to broadcast.
    #[track_caller]
    fn last_along(&self, axis: usize, index: &Tensor) -> (Tensor, Tensor) {
        let slots = self.shape()[axis];
        let x = Tensor::full(self.device(), 0.0, [1, slots, 1], DType::I32);
        let last = Scatter { x, index: index.reshape([1, index.count(), 1]) }.last().reshape([slots]);
        let mut along = vec![1; self.rank()];
        along[axis] = slots;
        (last.clone(), last.ge(0.0).reshape(along))
    }
}
