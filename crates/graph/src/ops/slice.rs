//! Parts of axes, forwards and backwards, and padding, which is the adjoint.

use thalweg_ir::{Bits, ErrorKind, Op};

use crate::{
    operators::Number,
    shape::{Integer, IntoAxes, IntoAxis, IntoRange},
    tensor::Tensor,
};

/// # Parts of axes
impl Tensor {
    /// The positions `range` of one axis; negative positions count from the back. A range is cut to what there is, as in
    /// Python. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., len, ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    #[doc(alias = "getitem")]
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
    #[doc(alias = "getitem")]
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
    #[doc(alias = "getitem")]
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
    #[doc(alias("fliplr", "flipud"))]
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
