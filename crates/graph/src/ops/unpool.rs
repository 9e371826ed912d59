//! Pooling that says where its maxima come from, its inverse, and pooling by powers.

use thalweg_ir::{
    DType, ErrorKind,
    shape::{count, strides},
};

use crate::{ops::pool::Pool, tensor::Tensor};

/// # Pooling with positions, and back
impl Tensor {
    /// As [`Tensor::max_pool`], and where each maximum comes from: I32, row-major within the pooled axes.
    ///
    /// # Shapes
    /// `[.., L..]` → `[.., O..]`, twice, as [`Tensor::max_pool`]
    /// # Errors
    /// As [`Tensor::max_pool`].
    #[track_caller]
    #[doc(alias = "return_indices")]
    pub fn max_pool_with_indices(&self, pool: &Pool) -> (Tensor, Tensor) {
        let n = pool.kernel.len();
        if let Some(x) = self.in_fewer_axes(n) {
            let (y, at) = x.max_pool_with_indices(pool);
            return (self.in_all_axes(n, &y), self.in_all_axes(n, &at));
        }
        let (window, out) = match self.pooling("max_pool", pool) {
            Ok(found) => found,
            Err(failed) => return (failed.clone(), failed),
        };
        let n = out.len();
        let input = &self.shape()[self.rank() - n..];
        let windows = self.windows(&window, &out, self.dtype().lowest(false), false);
        if windows.check().is_err() {
            return (windows.clone(), windows);
        }
        let axes: Vec<isize> = (1..=n as isize).map(|d| -d).collect();
        let inside = windows.argmax(axes);
        let (steps, stride) = (strides(&window.kernel), strides(input));
        let mut at = Tensor::scalar(self.device(), 0.0, DType::I32);
        for d in 0..n {
            let step = (&inside / steps[d] as f64).fmod(window.kernel[d] as f64) * window.dilation[d] as f64;
            let mut along = vec![1; n];
            along[d] = out[d];
            let start = Tensor::iota(self.device(), &along, d) * window.stride[d] as f64 - window.pad[d] as f64;
            // A window of the lowest number alone names its first position, which may be padding.
            let place = (start + step).maximum(0.0).minimum(input[d] as f64 - 1.0);
            at += place * stride[d] as f64;
        }
        (self.max_pool(pool), at)
    }

    /// Elements put where a [`Tensor::max_pool_with_indices`] found them, zeros elsewhere; of several at one place the last
    /// stays, and alone gets the gradient.
    ///
    /// # Shapes
    /// `[.., O..]`, indices alike → `[.., image..]`
    /// # Errors
    /// Shapes that differ; no extents, or more than axes; indices that are not I32 or U32. Positions outside as in
    /// [`Tensor::gather`].
    #[track_caller]
    #[doc(alias("max_unpool1d", "max_unpool2d", "max_unpool3d"))]
    pub fn max_unpool(&self, indices: &Tensor, image: &[usize]) -> Tensor {
        if self.check().is_err() || indices.check().is_err() {
            return if self.check().is_err() { self.clone() } else { indices.clone() };
        }
        if self.shape() != indices.shape() || image.is_empty() || image.len() > self.rank() {
            let (lhs, rhs) = (self.shape().to_vec(), indices.shape().to_vec());
            let problem = format!("do not give one place in {image:?} for each element");
            return self.fail("max_unpool", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let (lead, pooled) = self.shape().split_at(self.rank() - image.len());
        let flat = [count(lead), count(pooled)];
        let zeros = Tensor::full(self.device(), 0.0, [count(lead), count(image)], self.dtype());
        zeros.scatter(1, &indices.reshape(flat), &self.reshape(flat)).reshape([lead, image].concat())
    }

    /// `(Σ x^p)^(1/p)` of each window, as PyTorch has it: of `x`, not of `|x|`, so that a negative sum is NaN for most `p`.
    /// Its slope is infinite where the sum is 0. A window that hangs over the end counts as if it were full of its mean.
    ///
    /// # Shapes
    /// As [`Tensor::max_pool`].
    /// # Errors
    /// As [`Tensor::avg_pool`]; a `p` that is 0 or not finite.
    #[track_caller]
    #[doc(alias("lp_pool1d", "lp_pool2d"))]
    pub fn lp_pool(&self, p: f64, pool: &Pool) -> Tensor {
        if !p.is_finite() || p == 0.0 {
            return self.fail("lp_pool", ErrorKind::Invalid(format!("a norm of order {p}")));
        }
        let size = count(&pool.kernel) as f64;
        (self.wide().powf(p).avg_pool(pool) * size).powf(1.0 / p).cast(self.dtype())
    }
}
