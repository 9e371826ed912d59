//! Views: the same elements seen in another shape, order or window.

use std::panic::Location;

use thalweg_ir::{
    Bits, ErrorKind, Op,
    shape::{count, excess},
};

use crate::{
    operators::Number,
    shape::{Axis, Integer, IntoAxes, IntoAxis, IntoRange, IntoReshape},
    tensor::Tensor,
};

impl Tensor {
    #[track_caller]
    fn view(&self, op: Op, shape: Vec<usize>) -> Tensor {
        Tensor::node(op, vec![self.clone()], shape, self.dtype(), self.device(), Location::caller())
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
        if shape == self.shape() {
            return self.clone();
        }
        self.view(Op::Reshape, shape)
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
        let mut shape = self.shape().to_vec();
        if shape.remove(axis) != 1 {
            let problem = format!("has not extent 1 at axis {axis}");
            return self.fail("squeeze", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        self.reshape(shape)
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
        if perm.iter().enumerate().all(|(d, p)| d == *p) {
            return self.clone();
        }
        let shape = perm.iter().map(|p| self.shape()[*p]).collect();
        self.view(Op::Permute(perm), shape)
    }

    /// Two axes exchanged. A view.
    ///
    /// # Shapes
    /// `[.., A, .., B, ..]` → `[.., B, .., A, ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn transpose(&self, a: impl IntoAxis, b: impl IntoAxis) -> Tensor {
        let (a, b) = match (self.axis("transpose", a), self.axis("transpose", b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        let mut perm: Vec<usize> = (0..self.rank()).collect();
        perm.swap(a, b);
        self.permute(perm)
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
        let mut same_rank = vec![1; shape.len() - self.rank()];
        same_rank.extend_from_slice(self.shape());
        let x = self.reshape(same_rank);
        if x.shape() == shape { x } else { x.view(Op::Expand, shape.to_vec()) }
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

    /// The positions `range` of one axis; negative positions count from the back. A range is cut to what there is, as in
    /// Python. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., len, ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn slice(&self, axis: impl IntoAxis, range: impl IntoRange) -> Tensor {
        let axis = match self.axis("slice", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let (start, end) = crate::shape::bounds(range, self.shape()[axis]);
        self.strided(axis, start, 1, end - start)
    }

    /// Every `step`-th of the positions `range`; a negative step walks from the range's end to its start. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ⌈len / |step|⌉, ..]`
    /// # Errors
    /// An axis that there is not; a step of 0.
    #[track_caller]
    pub fn slice_step(&self, axis: impl IntoAxis, range: impl IntoRange, step: impl Integer) -> Tensor {
        let step = step.integer();
        let axis = match self.axis("slice", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if step == 0 {
            return self.fail("slice", ErrorKind::Invalid("a step of 0 goes nowhere".into()));
        }
        let (start, end) = crate::shape::bounds(range, self.shape()[axis]);
        let len = (end - start).div_ceil(step.unsigned_abs());
        self.strided(axis, if step > 0 || len == 0 { start } else { end - 1 }, step, len)
    }

    /// `len` positions from `start`. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., len, ..]`
    /// # Errors
    /// An axis that there is not; [`ErrorKind::Index`] when the positions go past the end.
    #[track_caller]
    pub fn narrow(&self, axis: impl IntoAxis, start: usize, len: usize) -> Tensor {
        let axis = match self.axis("narrow", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let extent = self.shape()[axis];
        if start.checked_add(len).is_none_or(|end| end > extent) {
            let index = i64::try_from(start.saturating_add(len)).unwrap_or(i64::MAX) - 1;
            return self.fail("narrow", ErrorKind::Index { index, axis, extent });
        }
        self.strided(axis, start, 1, len)
    }

    /// Position `index` of an axis, which goes away; negative counts from the back. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ..]`
    /// # Errors
    /// An axis that there is not; [`ErrorKind::Index`] when there is no such position.
    #[track_caller]
    pub fn select(&self, axis: impl IntoAxis, index: impl Integer) -> Tensor {
        let axis = match self.axis("select", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let (index, extent) = (index.integer(), self.shape()[axis]);
        let at = if index < 0 { index + extent as isize } else { index };
        if at < 0 || at >= extent as isize {
            return self.fail("select", ErrorKind::Index { index: index as i64, axis, extent });
        }
        self.strided(axis, at as usize, 1, 1).squeeze(axis)
    }

    #[track_caller]
    pub(crate) fn strided(&self, axis: usize, first: usize, by: isize, len: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if first == 0 && by == 1 && len == self.shape()[axis] {
            return self.clone();
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = len;
        let (mut start, mut step) = (vec![0; self.rank()], vec![1; self.rank()]);
        (start[axis], step[axis]) = (first, by);
        self.view(Op::Slice { start, step }, shape)
    }

    /// The axes reversed: `y_i = x_(n - 1 - i)`. A view.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        match axes.into().of(self.shape()) {
            Ok(axes) => axes.into_iter().fold(self.clone(), |x, axis| {
                let len = x.shape()[axis];
                if len < 2 { x } else { x.strided(axis, len - 1, -1, len) }
            }),
            Err(kind) => self.fail("flip", kind),
        }
    }

    /// `before` and `after` elements of `value` at each of the last axes: one pair per axis, in axis order (PyTorch begins
    /// at the last), aligned at the last axis. Negative numbers take elements away.
    ///
    /// # Shapes
    /// `[.., H, W]` → `[.., t + H + b, l + W + r]` for `[(t, b), (l, r)]`
    /// # Errors
    /// More pairs than axes; more elements taken away than there are.
    #[track_caller]
    pub fn pad(&self, pads: &[(isize, isize)], value: impl Number) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if pads.len() > self.rank() {
            let problem = format!("has fewer axes than the {} pairs given", pads.len());
            return self.fail("pad", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let first = self.rank() - pads.len();
        let mut x = self.clone();
        for (d, (before, after)) in pads.iter().enumerate() {
            let cut = |n: isize| if n < 0 { n.unsigned_abs() } else { 0 };
            let (cut_front, cut_back) = (cut(*before), cut(*after));
            let extent = x.shape()[first + d];
            if cut_front.saturating_add(cut_back) > extent {
                let problem = format!("cannot lose {cut_front} and {cut_back} elements at axis {}", first + d);
                return self.fail("pad", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            }
            x = x.strided(first + d, cut_front, 1, extent - cut_front - cut_back);
        }
        let mut before = vec![0; self.rank()];
        let mut shape = x.shape().to_vec();
        for (d, (b, a)) in pads.iter().enumerate() {
            before[first + d] = (*b).max(0) as usize;
            let more = (*b).max(0) as usize + (*a).max(0) as usize;
            shape[first + d] = shape[first + d].saturating_add(more);
        }
        if shape == x.shape() { x } else { x.view(Op::Pad { before, fill: Bits(value.number()) }, shape) }
    }

    /// Tensors one behind the other along an axis, in their common dtype. The list is of tensors or of references.
    ///
    /// # Shapes
    /// `[.., M, ..]`, `[.., N, ..]`, .. → `[.., M + N + .., ..]`
    /// # Errors
    /// No tensors; an axis that there is not; shapes that differ elsewhere.
    #[track_caller]
    #[doc(alias = "cat")]
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
        Tensor::node(Op::Concat(axis), parts, shape, dtype, self.device(), Location::caller())
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

    /// Consecutive pieces of these extents along an axis. Views.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., sizes[i], ..]` each
    /// # Errors
    /// In each piece, or the only one: an axis that there is not, or extents that do not add up to its.
    #[track_caller]
    pub fn split(&self, sizes: impl AsRef<[usize]>, axis: impl IntoAxis) -> Vec<Tensor> {
        let sizes = sizes.as_ref();
        let axis = match self.axis("split", axis) {
            Ok(axis) => axis,
            Err(failed) => return vec![failed; sizes.len().max(1)],
        };
        if sizes.iter().fold(0, |sum: usize, len| sum.saturating_add(*len)) != self.shape()[axis] {
            let problem = format!("cannot be split into {sizes:?} at axis {axis}");
            let failed = self.fail("split", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            return vec![failed; sizes.len().max(1)];
        }
        let mut start = 0;
        sizes
            .iter()
            .map(|len| {
                start += len;
                self.strided(axis, start - len, 1, *len)
            })
            .collect()
    }

    /// At most `n` consecutive pieces along an axis, of equal extent but for the last, which may be shorter: `⌈N / n⌉`
    /// positions each, so that there may be fewer pieces than asked for, as in PyTorch. Views.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ⌈N / n⌉, ..]` each
    /// # Errors
    /// In the one piece given: `n` is 0, or there is no such axis.
    #[track_caller]
    pub fn chunk(&self, n: usize, axis: impl IntoAxis) -> Vec<Tensor> {
        let axis = match self.axis("chunk", axis) {
            Ok(axis) => axis,
            Err(failed) => return vec![failed],
        };
        if n == 0 {
            return vec![self.fail("chunk", ErrorKind::Invalid("0 pieces".into()))];
        }
        let extent = self.shape()[axis];
        let len = extent.div_ceil(n).max(1);
        (0..extent.div_ceil(len).max(1)).map(|i| self.strided(axis, i * len, 1, len.min(extent - i * len))).collect()
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

/// The gradient of the input of a slice: `g` spread to the places it was read from, zeros elsewhere.
pub(crate) fn slice_vjp(g: &Tensor, input: &[usize], start: &[usize], step: &[isize]) -> Tensor {
    let mut g = g.clone();
    for d in 0..input.len() {
        let (len, by) = (g.shape()[d], step[d].unsigned_abs());
        if len == 0 {
            let mut shape = g.shape().to_vec();
            shape[d] = input[d];
            g = Tensor::full(g.device(), 0.0, shape, g.dtype());
            continue;
        }
        // The lowest position read; a negative step reads it last.
        let low = if step[d] < 0 { start[d] - (len - 1) * by } else { start[d] };
        if step[d] < 0 {
            g = g.flip(d);
        }
        if by > 1 {
            // Each element followed by by-1 zeros, less the zeros behind the last.
            let mut flat = g.shape().to_vec();
            flat[d] = len * by;
            let mut pads = vec![(0, 0); g.rank() - d];
            pads.insert(1, (0, by as isize - 1));
            pads.truncate(g.rank() - d + 1);
            g = g.unsqueeze(d + 1).pad(&pads, 0.0).reshape(flat).strided(d, 0, 1, (len - 1) * by + 1);
        }
        let end = low + g.shape()[d];
        let mut pads = vec![(0, 0); g.rank() - d];
        pads[0] = (low as isize, (input[d] - end) as isize);
        g = g.pad(&pads, 0.0);
    }
    g
}
