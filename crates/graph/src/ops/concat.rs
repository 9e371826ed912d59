//! Tensors one behind the other, and one tensor several times.

use std::panic::Location;

use thalweg_ir::{ErrorKind, Op, shape::excess};

use crate::{shape::IntoAxis, tensor::Tensor};

/// # Joins
impl Tensor {
    /// Tensors one behind the other along an axis, in their common dtype. The list is of tensors or of references.
    ///
    /// # Shapes
    /// `[.., M, ..]`, `[.., N, ..]`, .. → `[.., M + N + .., ..]`
    /// # Errors
    /// No tensors; an axis that there is not; shapes that differ elsewhere.
    #[track_caller]
    #[doc(alias("cat", "concatenate"))]
    pub fn concat(tensors: impl IntoIterator<Item = impl AsRef<Tensor>>, axis: impl IntoAxis) -> Tensor {
        let tensors: Vec<Tensor> = tensors.into_iter().map(|t| t.as_ref().clone()).collect();
        match tensors.split_first() {
            Some((first, others)) => first.concat_with(others, axis),
            None => Tensor::of_nothing("concat", ErrorKind::Invalid("no tensors given".into())),
        }
    }

    /// This and the others one behind the other along an axis, in their common dtype.
    ///
    /// # Shapes
    /// `[.., M, ..]`, `[.., N, ..]`, .. → `[.., M + N + .., ..]`
    /// # Errors
    /// An axis that there is not; shapes that differ elsewhere.
    #[track_caller]
    pub fn concat_with(&self, others: impl IntoIterator<Item = impl AsRef<Tensor>>, axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("concat", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let mut shape = self.shape().to_vec();
        let mut dtype = self.dtype();
        let mut parts = vec![self.clone()];
        for other in others {
            let other = other.as_ref();
            if other.check().is_err() {
                return other.clone();
            }
            let same = other.rank() == self.rank()
                && (0..self.rank()).all(|d| d == axis || other.shape()[d] == self.shape()[d]);
            if !same {
                let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
                let problem = format!("differ at an axis other than {axis}");
                return self.fail("concat", ErrorKind::Shapes { lhs, rhs, problem });
            }
            shape[axis] = shape[axis].saturating_add(other.shape()[axis]);
            dtype = dtype.promote(other.dtype());
            parts.push(other.clone());
        }
        if parts.len() == 1 {
            return self.clone();
        }
        // Not `map`: the caller's position does not go through a closure.
        for part in &mut parts {
            *part = part.cast(dtype);
        }
        Tensor::node(Op::Concat(axis), parts.into(), shape, dtype, self.device(), Location::caller())
    }

    /// Tensors of one shape side by side along a new axis at this place of the result. The list is of tensors or of references.
    ///
    /// # Shapes
    /// `[.., ..]`, N times → `[.., N, ..]`
    /// # Errors
    /// No tensors; shapes that differ; a place that the result has not.
    #[track_caller]
    pub fn stack(tensors: impl IntoIterator<Item = impl AsRef<Tensor>>, axis: impl IntoAxis) -> Tensor {
        let axis = axis.into();
        let mut rows: Vec<Tensor> = tensors.into_iter().map(|t| t.as_ref().clone()).collect();
        let Some(first) = rows.first() else {
            return Tensor::of_nothing("stack", ErrorKind::Invalid("no tensors given".into()));
        };
        if first.check().is_err() {
            return first.clone();
        }
        let longer = [first.shape(), &[1]].concat();
        let at = match axis.of(&longer) {
            Ok(at) => at,
            Err(kind) => return first.fail("stack", kind),
        };
        for row in &mut rows {
            *row = row.unsqueeze(at);
        }
        rows[0].concat_with(&rows[1..], at)
    }

    /// The whole tensor repeated this many times along each axis; more counts than axes make new axes in front.
    ///
    /// # Shapes
    /// `[H, W]` → `[a, b·H, c·W]` for `[a, b, c]`
    /// # Errors
    /// More axes than counts.
    #[track_caller]
    #[doc(alias = "tile")]
    pub fn repeat(&self, times: impl AsRef<[usize]>) -> Tensor {
        let times = times.as_ref();
        if self.check().is_err() {
            return self.clone();
        }
        if times.len() < self.rank() {
            let problem = format!("has more axes than the {} counts given", times.len());
            return self.fail("repeat", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let mut shape = vec![1; times.len() - self.rank()];
        shape.extend_from_slice(self.shape());
        let mut x = self.reshape(shape);
        for (axis, n) in times.iter().enumerate() {
            if *n != 1 {
                if x.check().is_err() {
                    return x;
                }
                let mut wide = x.shape().to_vec();
                wide.insert(axis, *n);
                let mut flat = x.shape().to_vec();
                flat[axis] = flat[axis].saturating_mul(*n);
                if let Some(problem) = excess(&flat) {
                    return self.fail("repeat", ErrorKind::Shape { shape: flat, problem });
                }
                x = x.unsqueeze(axis).broadcast_to(&wide).reshape(flat);
            }
        }
        x
    }
}
