//! Pooling to a given extent: window `o` of `O` over `L` elements runs from `⌊o L / O⌋` to `⌈(o + 1) L / O⌉`.

use thalweg_ir::{ErrorKind, shape::strides};

use crate::{ops::pool::Pool, tensor::Tensor};

/// The windows of one axis: Bool `[O, L]`, and their sizes, I32 `[O]`.
#[track_caller]
fn members(like: &Tensor, out: usize, len: usize) -> (Tensor, Tensor) {
    let o = Tensor::arange(like.device(), out);
    let start = &o * len as f64 / out as f64;
    let end = ((o + 1.0) * len as f64 + (out as f64 - 1.0)) / out as f64;
    let at = Tensor::iota(like.device(), &[1, len], 1);
    (at.ge(start.unsqueeze(1)).and(at.lt(end.unsqueeze(1))), end - start)
}

/// # Pooling to a given size
impl Tensor {
    /// The extents of a result with these last axes, and the first of them.
    #[track_caller]
    fn adapting(&self, op: &'static str, out: &[usize]) -> Result<usize, Tensor> {
        self.check().map_err(|_| self.clone())?;
        let first = self.rank().checked_sub(out.len()).filter(|_| !out.is_empty() && !out.contains(&0));
        let problem = match first.filter(|first| !self.shape()[*first..].contains(&0)) {
            Some(first) => {
                // Where windows start and end is computed in I32.
                let fits = |(n, o): (&usize, &usize)| o.saturating_add(1).saturating_mul(*n) <= i32::MAX as usize;
                if self.shape()[first..].iter().zip(out).all(fits) {
                    return Ok(first);
                }
                format!("cannot be pooled to {out:?}: positions do not fit 32 bits")
            }
            None => format!("cannot be pooled to {out:?}"),
        };
        Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }))
    }

    /// The mean of each of `out` windows that cover the last axes; window `o` of `O` over `L` elements runs from
    /// `⌊o L / O⌋` to `⌈(o + 1) L / O⌉`.
    ///
    /// # Shapes
    /// `[.., L..]` → `[.., out..]`; an extent may grow
    /// # Errors
    /// No extents, or more than axes; extents of 0; not floats.
    #[track_caller]
    #[doc(alias("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"))]
    pub fn adaptive_avg_pool(&self, out: &[usize]) -> Tensor {
        let first = match self.adapting("adaptive_avg_pool", out) {
            Ok(first) => first,
            Err(failed) => return failed,
        };
        if (0..out.len()).all(|d| self.shape()[first + d].is_multiple_of(out[d])) {
            let kernel: Vec<usize> = (0..out.len()).map(|d| self.shape()[first + d] / out[d]).collect();
            return self.avg_pool(&Pool::new(&kernel));
        }
        let mut x = match self.wide_floats("adaptive_avg_pool") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        for (d, o) in out.iter().enumerate() {
            if x.check().is_err() {
                return x;
            }
            let axis = (first + d) as isize;
            let (member, size) = members(&x, *o, x.shape()[first + d]);
            let last = x.movedim(&[axis], &[-1]).unsqueeze(-2);
            x = (member.where_(last, 0.0).sum(-1) / size).movedim(&[-1], &[axis]);
        }
        x.cast(self.dtype())
    }

    /// The largest element of each of the windows of [`Tensor::adaptive_avg_pool`]; the gradient goes to the first such.
    ///
    /// # Shapes
    /// `[.., L..]` → `[.., out..]`; an extent may grow
    /// # Errors
    /// No extents, or more than axes; extents of 0.
    #[track_caller]
    #[doc(alias("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"))]
    pub fn adaptive_max_pool(&self, out: &[usize]) -> Tensor {
        self.adaptive_max_pool_with_indices(out).0
    }

    /// As [`Tensor::adaptive_max_pool`], and where each comes from: I32, row-major within the pooled axes.
    ///
    /// # Shapes
    /// `[.., L..]` → `[.., out..]`, twice
    /// # Errors
    /// As [`Tensor::adaptive_max_pool`].
    #[track_caller]
    #[doc(alias = "return_indices")]
    pub fn adaptive_max_pool_with_indices(&self, out: &[usize]) -> (Tensor, Tensor) {
        let first = match self.adapting("adaptive_max_pool", out) {
            Ok(first) => first,
            Err(failed) => return (failed.clone(), failed),
        };
        let stride = strides(&self.shape()[first..]);
        let (mut x, mut at) = (self.clone(), Tensor::scalar(self.device(), 0.0, crate::DType::I32));
        // From the last axis to the first, so that the first of equal ones in row-major order is found.
        for (d, o) in out.iter().enumerate().rev() {
            if x.check().is_err() {
                return (x.clone(), x);
            }
            let axis = (first + d) as isize;
            let (member, _) = members(&x, *o, x.shape()[first + d]);
            let last = x.movedim(&[axis], &[-1]).unsqueeze(-2);
            let (value, index) = member.where_(last, self.dtype().lowest(false)).max(-1);
            let index = index.movedim(&[-1], &[axis]);
            if at.rank() > 0 {
                at = at.gather(axis, &index);
            }
            (x, at) = (value.movedim(&[-1], &[axis]), at + index * stride[d] as f64);
        }
        (x, at)
    }
}
