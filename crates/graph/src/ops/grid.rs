//! Sampling at positions that are data.

use thalweg_ir::{DType, ErrorKind};

use crate::{ops::interpolate::Resample, tensor::Tensor};

/// What lies outside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Outside {
    /// Zeros.
    #[default]
    Zeros,
    /// The nearest element.
    Border,
    /// The image reflected, at the outer edges of its elements, or at their centres with aligned corners.
    Reflection,
}

/// How [`Tensor::grid_sample`] samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridSample {
    /// How values between are made: [`Resample::Nearest`], [`Resample::Linear`] or, of images, [`Resample::Cubic`].
    pub mode: Resample,
    /// What lies outside.
    pub outside: Outside,
    /// Whether -1 and 1 are the centres of the outermost elements, instead of their outer edges.
    pub align_corners: bool,
}

impl Default for GridSample {
    fn default() -> GridSample {
        GridSample { mode: Resample::Linear, outside: Outside::Zeros, align_corners: false }
    }
}

/// The elements that take part along one axis, and how much they count, 0 outside: `[B, 1, S, taps]`.
struct Taps {
    index: Tensor,
    weight: Tensor,
}

/// # Sampling at points
impl Tensor {
    /// Samples at positions of a grid, whose last axis holds x, y (and z) from -1 to 1: the last axis of the image first.
    ///
    /// One gather of the `2^d` neighbours (4² for cubics) of all positions and a weighted sum; the gradient of the image is
    /// one scatter. Positions get a gradient through the weights: none with [`Resample::Nearest`], nor, with
    /// [`Resample::Linear`], beyond a border that [`Outside::Border`] holds.
    ///
    /// # Shapes
    /// `[B, C, H, W]`, `[B, H', W', 2]` → `[B, C, H', W']`; `[B, C, D, H, W]`, `[B, D', H', W', 3]` → `[B, C, D', H', W']`
    /// # Errors
    /// Shapes that do not fit; an empty image; a mode that is not one of the three.
    /// # Source
    /// Jaderberg et al. 2015, arXiv:1506.02025, §3.3; coordinates are those of PyTorch's `grid_sample`.
    #[track_caller]
    pub fn grid_sample(&self, grid: &Tensor, how: &GridSample) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if grid.check().is_err() {
            return grid.clone();
        }
        let n = self.rank().saturating_sub(2);
        let fits = (n == 2 || n == 3)
            && grid.rank() == n + 2
            && grid.shape()[0] == self.shape()[0]
            && grid.shape()[n + 1] == n
            && !self.shape()[2..].contains(&0);
        if !fits {
            let (lhs, rhs) = (self.shape().to_vec(), grid.shape().to_vec());
            let problem = "are not an image [B, C, L..] and positions [B, S.., axes], of 2 or 3 axes".to_string();
            return self.fail("grid_sample", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let cubic = how.mode == Resample::Cubic;
        if !matches!(how.mode, Resample::Nearest | Resample::Linear) && (!cubic || n != 2) {
            let problem = format!("{:?} does not sample at {n} axes; Nearest and Linear do, Cubic at 2", how.mode);
            return self.fail("grid_sample", ErrorKind::Invalid(problem));
        }
        let (batch, channels) = (self.shape()[0], self.shape()[1]);
        let (input, out) = (&self.shape()[2..], &grid.shape()[1..=n]);
        let (pixels, samples) = (input.iter().product::<usize>(), out.iter().product::<usize>());
        let (x, grid) = (self.wide().reshape([batch, channels, pixels]), grid.wide());

        // Row-major positions and products of weights at every choice of a tap along each axis: [B, 1, S, taps..].
        let mut all: Option<Taps> = None;
        for (d, size) in input.iter().enumerate() {
            let at = grid.select(-1, (n - 1 - d) as isize).reshape([batch, 1, samples, 1]);
            let along = how.taps(&at, *size);
            all = Some(match all {
                Some(Taps { index, weight }) => {
                    let taps = weight.shape()[3] * along.weight.shape()[3];
                    let (index, weight) = (index.unsqueeze(-1) * *size as f64, weight.unsqueeze(-1));
                    let index = (index + along.index.unsqueeze(-2)).reshape([batch, 1, samples, taps]);
                    Taps { index, weight: (weight * along.weight.unsqueeze(-2)).reshape([batch, 1, samples, taps]) }
                }
                None => along,
            });
        }
        let Some(Taps { index, weight }) = all else {
            return self.clone();
        };
        let taps = weight.shape()[3];
        let index = index.reshape([batch, 1, samples * taps]).broadcast_to([batch, channels, samples * taps]);
        let values = x.gather(2, &index).reshape([batch, channels, samples, taps]);
        (values * weight).sum(-1).reshape([&[batch, channels], out].concat()).cast(self.dtype())
    }

    /// The positions at which an affine map samples: `θ · (x, y, 1)` at each element of an image of this size, x and y from
    /// -1 to 1 at the centres of the outermost elements with aligned corners, at their outer edges without.
    ///
    /// # Shapes
    /// `θ [B, 2, 3]` and an image `[H, W]` → `[B, H, W, 2]`; `[B, 3, 4]` and `[D, H, W]` → `[B, D, H, W, 3]`
    /// # Errors
    /// A map and a size that do not fit.
    /// # Source
    /// Jaderberg et al. 2015, arXiv:1506.02025, equation 1.
    #[track_caller]
    pub fn affine_grid(&self, size: &[usize], align_corners: bool) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let n = size.len();
        if !(n == 2 || n == 3) || self.rank() != 3 || self.shape()[1..] != [n, n + 1] {
            let problem = format!("is no affine map for an image of {n} axes, [batch, {n}, {}]", n + 1);
            return self.fail("affine_grid", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let batch = self.shape()[0];
        let theta = self.wide();
        let mut lead = vec![1; n + 2];
        (lead[0], lead[n + 1]) = (batch, n);
        let column = |k: usize| theta.select(2, k as isize).reshape(lead.as_slice());
        let mut y = column(n);
        for (d, extent) in size.iter().enumerate() {
            // From -1 to 1, at centres of elements; one alone stands in the middle.
            let e = *extent as f64;
            let (step, first) = match align_corners {
                true if *extent > 1 => (2.0 / (e - 1.0), -1.0),
                true => (0.0, 0.0),
                false => (2.0 / e.max(1.0), 1.0 / e.max(1.0) - 1.0),
            };
            let mut along = vec![1; n + 2];
            along[1 + d] = *extent;
            let at = Tensor::arange(self.device(), *extent).cast(theta.dtype()) * step + first;
            y += column(n - 1 - d) * at.reshape(along);
        }
        y.cast(self.dtype())
    }
}

impl GridSample {
    /// The elements that take part along an axis of this extent, at positions `[B, 1, S, 1]` from -1 to 1.
    #[track_caller]
    fn taps(&self, at: &Tensor, size: usize) -> Taps {
        let n = size as f64;
        let at = match self.align_corners {
            true => (at + 1.0) * ((n - 1.0) / 2.0),
            false => ((at + 1.0) * n - 1.0) * 0.5,
        };
        let number = |taps| Tensor::arange(at.device(), taps).cast(at.dtype());
        let (position, weight) = match self.mode {
            Resample::Nearest => {
                let at = self.inside(&at, size).round().detach();
                (at.clone(), at.ones_like())
            }
            Resample::Cubic => {
                let first = at.floor().detach();
                let (t, j) = (&at - &first, number(4));
                // Distances t + 1, t, 1 - t and 2 - t: the outer two on the far piece of the kernel.
                let x = j.lt(1.5).where_(&t - &j + 1.0, &j - 1.0 - t);
                let near = (&x * 1.25 - 2.25) * &x * &x + 1.0;
                let far = ((&x * -0.75 + 3.75) * &x - 6.0) * &x + 3.0;
                let outer = j.eq(0.0).or(j.eq(3.0));
                (self.inside(&(first + j - 1.0), size).round().detach(), outer.where_(far, near))
            }
            _ => {
                let at = self.inside(&at, size);
                let first = at.floor().detach();
                let (t, j) = (at - &first, number(2));
                let weight = j.eq(0.0).where_(1.0 - &t, &t);
                (first + j, weight)
            }
        };
        let inside = position.ge(0.0).and(position.le(n - 1.0));
        let index = inside.where_(position, 0.0).cast(DType::I32);
        Taps { index, weight: inside.where_(weight, 0.0) }
    }

    /// Positions brought into the image, unless what lies outside is 0.
    #[track_caller]
    fn inside(&self, at: &Tensor, size: usize) -> Tensor {
        let last = size as f64 - 1.0;
        match self.outside {
            Outside::Zeros => at.clone(),
            Outside::Border => at.clamp(0.0, last),
            Outside::Reflection => {
                // Reflected at both ends: |at - low| modulo twice the span, folded in the middle.
                let (low, span) = if self.align_corners { (0.0, last) } else { (-0.5, size as f64) };
                if span == 0.0 {
                    return at.zeros_like();
                }
                let from = (at - low).abs();
                let folds = (&from / span).floor().detach();
                let rest = from - &folds * span;
                let odd = (&folds - (&folds * 0.5).floor() * 2.0).gt(0.5);
                (odd.where_(span - &rest, &rest) + low).clamp(0.0, last)
            }
        }
    }
}
