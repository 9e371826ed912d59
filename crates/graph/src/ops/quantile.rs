//! Quantiles: the elements at one rank of an order, and what lies between two of them.

use thalweg_ir::{DType, ErrorKind};

use crate::{
    shape::{Axis, IntoAxis},
    tensor::Tensor,
};

/// What a quantile between two elements is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// On the line between them.
    #[default]
    Linear,
    /// The smaller one.
    Lower,
    /// The larger one.
    Higher,
    /// The nearer one; half way, the one with an even rank.
    Nearest,
    /// Half way between them.
    Midpoint,
}

/// # Quantiles
impl Tensor {
    /// The `q`-th quantile along an axis, which goes away: with `r = q·(n − 1)` and the elements `s₀ ≤ s₁ ≤ ..` in order,
    /// `s₍⌊r⌋₎ + (r − ⌊r⌋)·(s₍⌈r⌉₎ − s₍⌊r⌋₎)`, or what [`Interpolation`] says instead. NaN where an element is. The
    /// gradient goes to the one or two elements it is made of.
    ///
    /// # Shapes
    /// `[.., N, ..]` → `[.., ..]`
    /// # Errors
    /// An axis that there is not, or without elements; a `q` outside 0 to 1; not floats.
    /// # Source
    /// Hyndman and Fan, Sample Quantiles in Statistical Packages (1996), definition 7.
    #[track_caller]
    pub fn quantile(&self, q: f64, axis: impl IntoAxis, interpolation: Interpolation) -> Tensor {
        self.quantile_of("quantile", q, axis.into(), interpolation, false)
    }

    /// As [`Tensor::quantile`] of the elements that are numbers; NaN where none is.
    #[track_caller]
    pub fn nanquantile(&self, q: f64, axis: impl IntoAxis, interpolation: Interpolation) -> Tensor {
        self.quantile_of("nanquantile", q, axis.into(), interpolation, true)
    }

    #[track_caller]
    fn quantile_of(&self, op: &'static str, q: f64, axis: Axis, how: Interpolation, numbers: bool) -> Tensor {
        let axis = match self.axis(op, axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let n = self.shape()[axis];
        if n == 0 {
            let problem = format!("has no elements to choose from at axis {axis}");
            return self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        if !self.dtype().is_float() {
            return self.fail(op, ErrorKind::DType { got: self.dtype(), problem: "has no quantiles".into() });
        }
        if !(0.0..=1.0).contains(&q) {
            let problem = format!("q must lie between 0 and 1, and is {q}");
            return self.fail(op, ErrorKind::Invalid(problem));
        }
        let (rows, _) = self.detach().rows_along(axis);
        let wide = if self.dtype().size_bytes() < 4 { DType::F32 } else { self.dtype() };
        let good = rows.is_nan().cast(wide).sum_keepdim(1) * -1.0 + n as f64;
        // A scalar of its own, so that another q is the same plan.
        let q = Tensor::scalar(self.device(), q, wide);
        let rank = match numbers {
            true => (good.maximum(1.0) - 1.0) * q,
            // What is not a number stands behind the numbers, so the place of the first is their count.
            false => good.lt(n as f64).where_(&good, q * (n as f64 - 1.0)),
        };
        let rank = match how {
            Interpolation::Lower => rank.floor(),
            Interpolation::Higher => rank.ceil(),
            Interpolation::Nearest => rank.round(),
            Interpolation::Linear | Interpolation::Midpoint => rank,
        };
        let pick = |rank: Tensor| {
            let index = self.placed(axis, false, n, |_| rank.cast(DType::I32).unsqueeze(-1));
            self.gather(axis, &index).squeeze(axis)
        };
        let below = pick(rank.floor());
        let weight = match how {
            Interpolation::Linear => {
                let mut kept = self.shape().to_vec();
                kept.remove(axis);
                (&rank - rank.floor()).reshape(kept)
            }
            Interpolation::Midpoint => Tensor::scalar(self.device(), 0.5, wide),
            _ => return below,
        };
        let (below, above) = (below.wide(), pick(rank.ceil()).wide());
        (&below + (above - &below) * weight).cast(self.dtype())
    }
}
