//! Elements in another order: rolls, rotations, shuffles between channels and space, repeats, differences of neighbours.

use thalweg_ir::{
    ErrorKind, Result,
    shape::{count, excess},
};

use crate::{
    shape::{Axis, Integer, IntoAxis, IntoReshape},
    tensor::Tensor,
};

/// # Rearrangements
impl Tensor {
    /// Moved by `shift` positions along an axis, around the end: `y_i = x_((i - shift) mod n)`.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn roll(&self, shift: impl Integer, axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("roll", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let n = self.shape()[axis];
        let by = if n > 1 { shift.integer().rem_euclid(n as isize) as usize } else { 0 };
        match by {
            0 => self.clone(),
            _ => self.strided(axis, n - by, 1, by).concat_with(&[self.strided(axis, 0, 1, n - by)], axis),
        }
    }

    /// Turned `k` quarters in the plane of two axes, from `a` towards `b`; a negative `k` turns back.
    ///
    /// # Shapes
    /// `[.., A, .., B, ..]` → `[.., B, .., A, ..]` for odd `k`, else the same
    /// # Errors
    /// An axis that there is not; the same axis twice.
    #[track_caller]
    pub fn rot90(&self, k: impl Integer, a: impl IntoAxis, b: impl IntoAxis) -> Tensor {
        let (a, b) = match (self.axis("rot90", a), self.axis("rot90", b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        if a == b {
            return self.fail("rot90", ErrorKind::Invalid(format!("axis {a} and itself make no plane")));
        }
        match k.integer().rem_euclid(4) {
            1 => self.flip(b).transpose(a, b),
            2 => self.flip([a, b]),
            3 => self.flip(a).transpose(a, b),
            _ => self.clone(),
        }
    }

    /// Axis `from[i]` becomes axis `to[i]`; the others keep their order. A view.
    ///
    /// # Shapes
    /// `[A, B, C]` → `[B, C, A]` for `[0]` to `[-1]`
    /// # Errors
    /// Axes that there are not; lists of different lengths; an axis named twice in one of them.
    #[track_caller]
    #[doc(alias = "moveaxis")]
    pub fn movedim(&self, from: &[isize], to: &[isize]) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let of = |list: &[isize]| list.iter().map(|a| Axis(*a).of(self.shape())).collect::<Result<Vec<_>, _>>();
        let (from, to) = match (of(from), of(to)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(kind), _) | (_, Err(kind)) => return self.fail("movedim", kind),
        };
        let twice = |list: &[usize]| list.iter().enumerate().any(|(i, a)| list[..i].contains(a));
        if from.len() != to.len() || twice(&from) || twice(&to) {
            let kind = ErrorKind::Invalid(format!("axes {from:?} cannot become axes {to:?}"));
            return self.fail("movedim", kind);
        }
        let mut others = (0..self.rank()).filter(|d| !from.contains(d));
        let source = |d: usize| match to.iter().position(|t| *t == d) {
            Some(i) => Some(from[i]),
            None => others.next(),
        };
        self.permute((0..self.rank()).filter_map(source).collect::<Vec<usize>>())
    }

    /// One axis made several, of which one may be -1. A view.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., sizes.., ..]`
    /// # Errors
    /// An axis that there is not; sizes that do not multiply to its extent.
    #[track_caller]
    pub fn unflatten(&self, axis: impl IntoAxis, sizes: impl IntoReshape) -> Tensor {
        let axis = match self.axis("unflatten", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let outer = |range: &[usize]| range.iter().map(|d| *d as isize).collect::<Vec<_>>();
        let (front, back) = (outer(&self.shape()[..axis]), outer(&self.shape()[axis + 1..]));
        self.reshape([front, sizes.into_reshape(), back].concat())
    }

    /// Every element `times` times in a row along an axis.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., times · N, ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn repeat_interleave(&self, times: usize, axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("repeat_interleave", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let mut wide = self.shape().to_vec();
        wide.insert(axis + 1, times);
        let mut shape = self.shape().to_vec();
        shape[axis] = shape[axis].saturating_mul(times);
        if let Some(problem) = excess(&shape) {
            return self.fail("repeat_interleave", ErrorKind::Shape { shape, problem });
        }
        self.unsqueeze(axis + 1).broadcast_to(&wide).reshape(shape)
    }

    /// Element `i` of an axis `times[i]` times in a row.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., Σ times, ..]`
    /// # Errors
    /// An axis that there is not; not one count for each element.
    #[track_caller]
    #[doc(alias = "repeat_interleave")]
    pub fn repeat_interleave_each(&self, times: &[usize], axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("repeat_interleave", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if times.len() != self.shape()[axis] {
            let problem = format!("needs one count for each element of axis {axis}, not {}", times.len());
            return self.fail("repeat_interleave", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let total = times.iter().fold(0, |sum: usize, n| sum.saturating_add(*n));
        if total > i32::MAX as usize {
            let mut shape = self.shape().to_vec();
            shape[axis] = total;
            let problem = format!("is too large: positions along axis {axis} do not fit 32 bits");
            return self.fail("repeat_interleave", ErrorKind::Shape { shape, problem });
        }
        let positions: Vec<i32> = times.iter().enumerate().flat_map(|(i, n)| vec![i as i32; *n]).collect();
        self.index_select(axis, &Tensor::from_slice(self.device(), &positions, [positions.len()]))
    }

    /// Channels of `groups` groups interleaved: `[B, g·c, ..]` read as `[B, g, c, ..]`, the two exchanged.
    ///
    /// # Shapes
    /// `[B, C, ..]` → the same
    /// # Errors
    /// No axis of channels; groups that do not divide them.
    /// # Source
    /// ShuffleNet, Zhang et al. 2017, arXiv:1707.01083.
    #[track_caller]
    pub fn channel_shuffle(&self, groups: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let s = self.shape();
        if s.len() < 2 || groups == 0 || !s[1].is_multiple_of(groups) {
            let problem = format!("has no channels that make {groups} groups");
            return self.fail("channel_shuffle", ErrorKind::Shape { shape: s.to_vec(), problem });
        }
        let grouped = [s[0], groups, s[1] / groups, count(&s[2..])];
        self.reshape(grouped).transpose(1, 2).reshape(s)
    }

    /// Channels spread over squares of `r × r` pixels.
    ///
    /// # Shapes
    /// `[.., C·r², H, W]` → `[.., C, H·r, W·r]`
    /// # Errors
    /// Less than three axes; channels that do not fill the squares; `r = 0`.
    /// # Source
    /// Shi et al. 2016, arXiv:1609.05158.
    #[track_caller]
    pub fn pixel_shuffle(&self, r: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let s = self.shape();
        let squares = r.checked_mul(r).filter(|n| *n > 0 && s.len() > 2 && s[s.len() - 3].is_multiple_of(*n));
        let Some(square) = squares else {
            let problem = format!("has no channels that fill squares of {r} by {r}");
            return self.fail("pixel_shuffle", ErrorKind::Shape { shape: s.to_vec(), problem });
        };
        let (lead, [c, h, w]) = (&s[..s.len() - 3], [s[s.len() - 3] / square, s[s.len() - 2], s[s.len() - 1]]);
        let squares = self.reshape([count(lead) * c, r, r, h, w]).permute([0, 3, 1, 4, 2]);
        squares.reshape([lead, &[c, h.saturating_mul(r), w.saturating_mul(r)]].concat())
    }

    /// Squares of `r × r` pixels made channels: the inverse of [`Tensor::pixel_shuffle`].
    ///
    /// # Shapes
    /// `[.., C, H·r, W·r]` → `[.., C·r², H, W]`
    /// # Errors
    /// Less than three axes; extents that `r` does not divide; `r = 0`.
    #[track_caller]
    pub fn pixel_unshuffle(&self, r: usize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let s = self.shape();
        if s.len() < 3 || r == 0 || !s[s.len() - 2].is_multiple_of(r) || !s[s.len() - 1].is_multiple_of(r) {
            let problem = format!("is not made of squares of {r} by {r}");
            return self.fail("pixel_unshuffle", ErrorKind::Shape { shape: s.to_vec(), problem });
        }
        let (lead, [c, h, w]) = (&s[..s.len() - 3], [s[s.len() - 3], s[s.len() - 2] / r, s[s.len() - 1] / r]);
        let squares = self.reshape([count(lead) * c, h, r, w, r]).permute([0, 2, 4, 1, 3]);
        squares.reshape([lead, &[c.saturating_mul(r).saturating_mul(r), h, w]].concat())
    }

    /// The `n`-th difference of neighbours along an axis: `y_i = x_(i + 1) - x_i`, `n` times; of truth values whether they
    /// differ.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., max(N - n, 0), ..]`
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn diff(&self, n: usize, axis: impl IntoAxis) -> Tensor {
        let axis = match self.axis("diff", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let mut x = self.clone();
        for _ in 0..n {
            let Some(len) = x.shape()[axis].checked_sub(1) else { break };
            let (next, this) = (x.strided(axis, 1, 1, len), x.strided(axis, 0, 1, len));
            x = if x.dtype() == crate::DType::Bool { next.ne(this) } else { next - this };
        }
        x
    }

    /// The cross product along an axis of extent 3: `y_i = a_(i+1) b_(i+2) - a_(i+2) b_(i+1)`, indices modulo 3.
    ///
    /// # Shapes
    /// `[.., 3, ..]`, `[.., 3, ..]` that broadcast → what they broadcast to, whose axis is meant
    /// # Errors
    /// Shapes that do not broadcast; an axis that there is not, or of another extent.
    #[track_caller]
    pub fn cross(&self, other: &Tensor, axis: impl IntoAxis) -> Tensor {
        let (a, b) = match self.broadcast_with("cross", other) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let axis = match a.axis("cross", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if a.shape()[axis] != 3 {
            let problem = format!("has not extent 3 at axis {axis}");
            return self.fail("cross", ErrorKind::Shape { shape: a.shape().to_vec(), problem });
        }
        a.roll(-1, axis) * b.roll(-2, axis) - a.roll(-2, axis) * b.roll(-1, axis)
    }

    /// Vectors spread over the grid that they span: `y_i[.., j_i, ..] = x_i[j_i]`, axis `i` for vector `i` (PyTorch's
    /// `indexing="ij"`). The list is of tensors or of references; of no vectors there is no grid.
    ///
    /// # Shapes
    /// `[N_0]`, `[N_1]`, .. → `[N_0, N_1, ..]` each; a scalar counts as a vector of one
    /// # Errors
    /// In each result: one of more axes; more than 8 vectors.
    #[track_caller]
    pub fn meshgrid(tensors: impl IntoIterator<Item = impl AsRef<Tensor>>) -> Vec<Tensor> {
        let tensors: Vec<Tensor> = tensors.into_iter().map(|t| t.as_ref().clone()).collect();
        if let Some(failed) = tensors.iter().find(|t| t.check().is_err()) {
            return vec![failed.clone(); tensors.len()];
        }
        if let Some(bad) = tensors.iter().find(|t| t.rank() > 1) {
            let (shape, problem) = (bad.shape().to_vec(), "is no vector".to_string());
            return vec![bad.fail("meshgrid", ErrorKind::Shape { shape, problem }); tensors.len()];
        }
        let shape: Vec<usize> = tensors.iter().map(Tensor::count).collect();
        if let Some(problem) = excess(&shape) {
            return vec![tensors[0].fail("meshgrid", ErrorKind::Shape { shape, problem }); tensors.len()];
        }
        let mut grids = Vec::with_capacity(shape.len());
        for (i, x) in tensors.iter().enumerate() {
            let mut along = vec![1; shape.len()];
            along[i] = shape[i];
            grids.push(x.reshape(along).broadcast_to(&shape));
        }
        grids
    }

    /// As [`Tensor::meshgrid`] with the first two axes exchanged, as pictures have them.
    ///
    /// # Shapes
    /// `[N_0]`, `[N_1]`, .. → `[N_1, N_0, ..]` each
    /// # Errors
    /// As [`Tensor::meshgrid`].
    #[track_caller]
    #[doc(alias = "meshgrid")]
    pub fn meshgrid_xy(tensors: impl IntoIterator<Item = impl AsRef<Tensor>>) -> Vec<Tensor> {
        let mut grids = Tensor::meshgrid(tensors);
        if grids.len() > 1 {
            for grid in &mut grids {
                *grid = grid.transpose(0, 1);
            }
        }
        grids
    }
}
