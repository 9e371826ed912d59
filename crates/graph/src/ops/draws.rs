//! Draws of a [`Stream`] from other distributions than the words themselves, made on the device.
//!
//! What comes of integers, comparisons and exact products is the same on every device: uniform numbers, Bernoulli trials,
//! permutations. The others go through logarithms and the like, and agree as far as those do.

use thalweg_ir::{DType, ErrorKind, shape::count};

use crate::{device::Device, ops::random::Stream, shape::IntoShape, tensor::Tensor};

impl Stream {
    /// Uniform in `(0, 1)`: the odd multiples of 2⁻²⁴, F32. Neither its logarithm nor that of its complement is infinite.
    #[track_caller]
    fn open(&self, device: &Device, shape: impl IntoShape) -> Tensor {
        (self.words(device, shape).shr(9).cast(DType::F32) + 0.5) * (1.0 / f64::from(1u32 << 23))
    }

    /// Uniform in `[low, high)`, F32; 2²⁴ different numbers. Where rounding meets `high`, that is among them.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn uniform_in(&self, device: &Device, low: f64, high: f64, shape: impl IntoShape) -> Tensor {
        if !(low <= high && (high - low).is_finite()) {
            let kind = ErrorKind::Invalid(format!("no interval from {low} to {high}"));
            return Tensor::fail_on(device, "uniform_in", kind);
        }
        self.uniform(device, shape) * (high - low) + low
    }

    /// Normal with this mean and standard deviation, F32.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn normal_of(&self, device: &Device, mean: f64, std: f64, shape: impl IntoShape) -> Tensor {
        if !(mean.is_finite() && std.is_finite() && std >= 0.0) {
            let kind = ErrorKind::Invalid(format!("mean {mean} and standard deviation {std}"));
            return Tensor::fail_on(device, "normal_of", kind);
        }
        self.normal(device, shape) * std + mean
    }

    /// Normal with this mean and standard deviation, given that it is in `[low, high]`; F32. The inverse of the
    /// distribution function: `x = μ + σ √2 erf⁻¹(2u - 1)` with u uniform between the bounds' values.
    ///
    /// # Shapes
    /// → `shape`
    /// # Errors
    /// Bounds in the wrong order; a standard deviation that is not positive.
    #[track_caller]
    pub fn truncated_normal(
        &self,
        device: &Device,
        mean: f64,
        std: f64,
        (low, high): (f64, f64),
        shape: impl IntoShape,
    ) -> Tensor {
        let normal = mean.is_finite() && std.is_finite() && std > 0.0;
        if !normal || low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) {
            let problem = format!("mean {mean} and standard deviation {std} between {low} and {high}");
            return Tensor::fail_on(device, "truncated_normal", ErrorKind::Invalid(problem));
        }
        let erf = |x: f64| libm::erf((x - mean) / (std * std::f64::consts::SQRT_2));
        let (from, to) = (erf(low), erf(high));
        let x = (self.open(device, shape) * (to - from) + from).erfinv() * (std * std::f64::consts::SQRT_2) + mean;
        // Rounding may leave the interval by an ulp, and a far tail has no more than a few numbers below 1.
        x.maximum(low.max(f64::from(f32::MIN))).minimum(high.min(f64::from(f32::MAX)))
    }

    /// Exponential with this rate, F32: `-ln(1 - u) / rate`.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn exponential(&self, device: &Device, rate: f64, shape: impl IntoShape) -> Tensor {
        if !(rate.is_finite() && rate > 0.0) {
            return Tensor::fail_on(device, "exponential", ErrorKind::Invalid(format!("a rate of {rate}")));
        }
        (-self.open(device, shape)).log1p() * (-1.0 / rate)
    }

    /// Standard Gumbel, F32: `-ln(-ln(1 - u))`.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn gumbel(&self, device: &Device, shape: impl IntoShape) -> Tensor {
        -self.exponential(device, 1.0, shape).log()
    }

    /// True with the probability that each element of `p` gives, in steps of 2⁻²⁴: never at 0, always at 1. The same on
    /// every device.
    ///
    /// # Shapes
    /// `[..]` → the same, Bool
    #[track_caller]
    pub fn bernoulli_of(&self, p: &Tensor) -> Tensor {
        if p.check().is_err() {
            return p.clone();
        }
        self.uniform(p.device(), p.shape()).lt(p.cast(DType::F32))
    }

    /// `0..n` in random order, I32: the order of random words, of which equal ones keep theirs. The same on every device.
    ///
    /// # Shapes
    /// → `[n]`
    #[track_caller]
    pub fn permutation(&self, device: &Device, n: usize) -> Tensor {
        self.words(device, [n]).argsort(0, false)
    }

    /// `draws` numbers of classes, each with a probability in proportion to its weight, I32.
    ///
    /// With replacement each draw is the first class whose running sum of weights exceeds `u Σ w`. Without, the draws are the
    /// largest of `ln w + g` with `g` of Gumbel's distribution, in descending order: what drawing one after the other gives.
    /// A class of weight 0 is drawn only when, without replacement, no other is left.
    ///
    /// # Shapes
    /// weights `[.., C]`, not negative → `[.., draws]`
    /// # Errors
    /// No axis of classes, or none in it; more draws than classes without replacement.
    /// # Source
    /// Without replacement: Efraimidis & Spirakis 2006, "Weighted random sampling with a reservoir".
    #[track_caller]
    pub fn multinomial(&self, weights: &Tensor, draws: usize, replacement: bool) -> Tensor {
        if weights.check().is_err() {
            return weights.clone();
        }
        let classes = weights.shape().last().copied().unwrap_or(0);
        if classes == 0 || (!replacement && draws > classes) {
            let problem = format!("has not the classes for {draws} draws");
            return weights.fail("multinomial", ErrorKind::Shape { shape: weights.shape().to_vec(), problem });
        }
        let lead = &weights.shape()[..weights.rank() - 1];
        let w = weights.detach().cast(DType::F32).reshape([count(lead), classes]);
        let chosen = match replacement {
            false => (w.log() + self.gumbel(w.device(), w.shape())).topk(draws, 1, true).1,
            true => {
                let sums = w.cumsum(1);
                let u = self.uniform(w.device(), [count(lead), draws]) * sums.slice(1, -1..);
                sums.searchsorted(&u, true).minimum(classes as f64 - 1.0)
            }
        };
        chosen.reshape([lead, &[draws]].concat())
    }
}
