//! Reductions over any set of axes.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{DType, ErrorKind, Op, ReduceOp, shape::count};

use crate::{
    ops::vector_norm::root,
    scope::{Scope, keep_f32},
    shape::{Axes, IntoAxes, IntoAxis},
    tensor::{Rule, Tensor},
};

/// # Reductions
impl Tensor {
    #[track_caller]
    pub(crate) fn reduce(&self, name: &'static str, op: ReduceOp, axes: Axes, first: bool) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let axes = match axes.of(self.shape()) {
            Ok(axes) => axes,
            Err(kind) => return self.fail(name, kind),
        };
        let x = match (op, self.dtype()) {
            (ReduceOp::Sum | ReduceOp::Prod, DType::Bool) => self.cast(DType::I32),
            (ReduceOp::Max | ReduceOp::Min, DType::Bool) => {
                return self.fail(name, ErrorKind::DType { got: DType::Bool, problem: "has no order".into() });
            }
            _ => self.clone(),
        };
        if axes.iter().any(|a| self.shape()[*a] == 0) && !matches!(op, ReduceOp::Sum | ReduceOp::Prod) {
            let problem = "has no elements to choose from".to_string();
            return self.fail(name, ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let index = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        if !index && axes.iter().all(|a| self.shape()[*a] == 1) {
            return x;
        }
        let mut shape = self.0.shape.clone();
        axes.iter().for_each(|a| shape[*a] = 1);
        let dtype = if index { DType::I32 } else { x.dtype() };
        let (inputs, device, location) = (smallvec![x], self.device(), Location::caller());
        match first {
            true => {
                let rule = first_extreme(name, op, axes.clone());
                Tensor::ruled(Op::Reduce(op, axes), inputs, shape, dtype, device, rule, location)
            }
            false => Tensor::node(Op::Reduce(op, axes), inputs, shape, dtype, device, location),
        }
    }

    /// Without these axes, which have extent 1.
    #[track_caller]
    pub(crate) fn drop_axes(&self, of: &Tensor, axes: &Axes) -> Tensor {
        match (self.check(), axes.of(of.shape())) {
            (Ok(()), Ok(axes)) => {
                let kept = (0..of.rank()).filter(|d| !axes.contains(d)).map(|d| of.shape()[d]);
                self.reshape(kept.collect::<Vec<_>>())
            }
            _ => self.clone(),
        }
    }

    /// `Σ x` over axes, which go away; of nothing 0. F32 and 16-bit floats are added in F32, in a fixed order.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`; of truth values I32
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.reduce("sum", ReduceOp::Sum, axes.clone(), false).drop_axes(self, &axes)
    }

    /// As [`Tensor::sum`] over axes that stay with extent 1.
    #[track_caller]
    #[doc(alias = "keepdim")]
    pub fn sum_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce("sum", ReduceOp::Sum, axes.into(), false)
    }

    /// `Π x` over axes, which go away; of nothing 1. Zeros have their gradient, the product of all others, and beside one
    /// or two zeros second derivatives are right as well.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`; of truth values I32
    /// # Errors
    /// Axes that there are not, or named twice.
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.reduce("prod", ReduceOp::Prod, axes.clone(), false).drop_axes(self, &axes)
    }

    /// As [`Tensor::prod`] over axes that stay with extent 1.
    #[track_caller]
    #[doc(alias = "keepdim")]
    pub fn prod_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce("prod", ReduceOp::Prod, axes.into(), false)
    }

    /// `Σ x / n` over axes, which go away, of n elements; of nothing NaN, but see `docs/limits.md` for GPUs.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; not floats.
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.mean_keepdim(axes.clone()).drop_axes(self, &axes)
    }

    /// As [`Tensor::mean`] over axes that stay with extent 1.
    #[track_caller]
    #[doc(alias = "keepdim")]
    pub fn mean_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        let x = match self.wide_floats("mean") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let sum = x.reduce("mean", ReduceOp::Sum, axes.clone(), false);
        match axes.of(self.shape()) {
            Ok(axes) => (sum * (1.0 / extent(self.shape(), &axes) as f64)).cast(self.dtype()),
            Err(_) => sum,
        }
    }

    /// The largest element over axes, which go away: NaN if one is. Equal ones share the gradient evenly, a NaN gets none;
    /// [`Tensor::max`] gives it to the first.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; no elements to choose from; truth values, which [`Tensor::any`] is for.
    #[track_caller]
    #[doc(alias = "max")]
    pub fn amax(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.amax_keepdim(axes.clone()).drop_axes(self, &axes)
    }

    /// As [`Tensor::amax`] over axes that stay with extent 1.
    #[track_caller]
    pub fn amax_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce("amax", ReduceOp::Max, axes.into(), false)
    }

    /// The smallest element over axes, which go away; as [`Tensor::amax`] in all else.
    #[track_caller]
    #[doc(alias = "min")]
    pub fn amin(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.amin_keepdim(axes.clone()).drop_axes(self, &axes)
    }

    /// As [`Tensor::amin`] over axes that stay with extent 1.
    #[track_caller]
    pub fn amin_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce("amin", ReduceOp::Min, axes.into(), false)
    }

    /// The largest element along an axis, which goes away, and where it stands, I32: NaN if one is. Of equal ones, or of
    /// several NaN, it is the first, which alone gets the gradient.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`, twice
    /// # Errors
    /// An axis that there is not, or without elements; truth values.
    #[track_caller]
    pub fn max(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        let axes = Axes::Some(vec![axis.into()]);
        let value = self.reduce("max", ReduceOp::Max, axes.clone(), true).drop_axes(self, &axes);
        (value, self.reduce("max", ReduceOp::ArgMax, axes.clone(), false).drop_axes(self, &axes))
    }

    /// The smallest element along an axis; as [`Tensor::max`] in all else.
    #[track_caller]
    pub fn min(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        let axes = Axes::Some(vec![axis.into()]);
        let value = self.reduce("min", ReduceOp::Min, axes.clone(), true).drop_axes(self, &axes);
        (value, self.reduce("min", ReduceOp::ArgMin, axes.clone(), false).drop_axes(self, &axes))
    }

    /// The position of the largest element within axes, which go away, I32: the first of equal ones, or the first NaN. With
    /// several axes it counts in row-major order.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; no elements to choose from.
    #[track_caller]
    pub fn argmax(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.reduce("argmax", ReduceOp::ArgMax, axes.clone(), false).drop_axes(self, &axes)
    }

    /// The position of the smallest element; as [`Tensor::argmax`] in all else.
    #[track_caller]
    pub fn argmin(&self, axes: impl IntoAxes) -> Tensor {
        let axes = axes.into();
        self.reduce("argmin", ReduceOp::ArgMin, axes.clone(), false).drop_axes(self, &axes)
    }

    /// The largest, over axes that stay; the gradient goes to the first.
    #[track_caller]
    pub(crate) fn max_first_keepdim(&self, axes: Axes) -> Tensor {
        self.reduce("max", ReduceOp::Max, axes, true)
    }

    /// `Σ (x - mean)² / (n - correction)` over axes, which go away, in two passes: 1 for the unbiased estimate, 0 for the
    /// variance of what is there. It is NaN or ∞ where n is not above the correction, as in PyTorch.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; not floats.
    #[track_caller]
    #[doc(alias("unbiased", "correction"))]
    pub fn var(&self, axes: impl IntoAxes, correction: usize) -> Tensor {
        let _scope = Scope::composite("var");
        let axes = axes.into();
        self.var_keepdim(axes.clone(), correction).drop_axes(self, &axes)
    }

    /// As [`Tensor::var`] over axes that stay with extent 1.
    #[track_caller]
    pub fn var_keepdim(&self, axes: impl IntoAxes, correction: usize) -> Tensor {
        let _scope = Scope::composite("var");
        self.wide_var("var", &axes.into(), correction).cast(self.dtype())
    }

    /// The variance, in F32 at least.
    #[track_caller]
    fn wide_var(&self, op: &'static str, axes: &Axes, correction: usize) -> Tensor {
        let x = match self.wide_floats(op) {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let centred = &x - x.mean_keepdim(axes.clone());
        let squares = centred.square().reduce(op, ReduceOp::Sum, axes.clone(), false);
        match axes.of(self.shape()) {
            // As PyTorch: n = correction divides by zero and gives NaN.
            Ok(axes) => squares * (1.0 / extent(self.shape(), &axes).saturating_sub(correction) as f64),
            Err(_) => squares,
        }
    }

    /// The square root of [`Tensor::var`]. Where all elements are equal the gradient is 0, as in PyTorch.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// As [`Tensor::var`].
    #[track_caller]
    #[doc(alias("unbiased", "correction"))]
    pub fn std(&self, axes: impl IntoAxes, correction: usize) -> Tensor {
        let _scope = Scope::composite("std");
        let axes = axes.into();
        root(&self.wide_var("std", &axes, correction), 2.0).cast(self.dtype()).drop_axes(self, &axes)
    }

    /// `ln Σ e^x` over axes, which go away: `m + ln Σ e^(x - m)` with the largest `m`, so that nothing overflows. Of -∞
    /// alone -∞.
    ///
    /// # Shapes
    /// `[.., C, ..]` → `[.., ..]`
    /// # Errors
    /// Axes that there are not, or named twice; no elements; not floats.
    #[track_caller]
    pub fn logsumexp(&self, axes: impl IntoAxes) -> Tensor {
        let _scope = Scope::composite("logsumexp");
        let axes = axes.into();
        self.logsumexp_keepdim(axes.clone()).drop_axes(self, &axes)
    }

    /// As [`Tensor::logsumexp`] over axes that stay with extent 1.
    #[track_caller]
    #[doc(alias = "keepdim")]
    pub fn logsumexp_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        let _scope = Scope::composite("logsumexp");
        let axes = axes.into();
        let x = match self.wide_floats("logsumexp") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        // A shift: no gradient passes through it. Infinities have no difference, and need none.
        let m = x.detach().amax_keepdim(axes.clone());
        if m.check().is_err() {
            return m;
        }
        let m = m.is_inf().where_(0.0, m);
        (shifted(&x, &m).exp().sum_keepdim(axes).log() + m).cast(self.dtype())
    }

    /// `y_j = e^(x_j - m) / Σ_k e^(x_k - m)` along an axis, `m = max_k x_k`. A row of -∞ alone is NaN, as in PyTorch.
    ///
    /// # Shapes
    /// `[.., C, ..]` → the same
    /// # Errors
    /// An axis that there is not, or without elements; not floats.
    /// # Source
    /// The "safe" form in Milakov & Gimelshein 2018, arXiv:1805.02867.
    #[track_caller]
    pub fn softmax(&self, axis: impl IntoAxis) -> Tensor {
        let _scope = Scope::composite("softmax");
        let axis = axis.into();
        let x = match self.wide_floats("softmax") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let e = shifted(&x, &x.detach().amax_keepdim(axis)).exp();
        (&e / e.sum_keepdim(axis)).cast(self.dtype())
    }

    /// `y_j = x_j - m - ln Σ_k e^(x_k - m)` along an axis, `m = max_k x_k`: the logarithm of [`Tensor::softmax`], exact for
    /// small probabilities.
    ///
    /// # Shapes
    /// `[.., C, ..]` → the same
    /// # Errors
    /// As [`Tensor::softmax`].
    #[track_caller]
    pub fn log_softmax(&self, axis: impl IntoAxis) -> Tensor {
        let _scope = Scope::composite("log_softmax");
        let axis = axis.into();
        let x = match self.wide_floats("log_softmax") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let shifted = shifted(&x, &x.detach().amax_keepdim(axis));
        (&shifted - shifted.exp().sum_keepdim(axis).log()).cast(self.dtype())
    }

    /// `softmax(-x)`: [`Tensor::softmax`] with the largest weight for the smallest element.
    ///
    /// # Shapes
    /// `[.., C, ..]` → the same
    /// # Errors
    /// As [`Tensor::softmax`].
    #[track_caller]
    pub fn softmin(&self, axis: impl IntoAxis) -> Tensor {
        let _scope = Scope::composite("softmin");
        (-self).softmax(axis)
    }
}

/// `x - m` of what is to be exponentiated. In mixed precision it is not rounded: exponentials need the digits, and what a mask says
/// may be beyond 16 bits.
#[track_caller]
fn shifted(x: &Tensor, m: &Tensor) -> Tensor {
    keep_f32(|| x - m)
}

fn extent(shape: &[usize], axes: &[usize]) -> usize {
    axes.iter().map(|a| shape[*a]).product()
}

/// The gradient of a reduction's input, from input `x`, output `y` (axes kept) and the output's gradient `g`.
pub(crate) fn vjp(op: ReduceOp, axes: &[usize], x: &Tensor, y: &Tensor, g: &Tensor) -> Option<Tensor> {
    match op {
        ReduceOp::Sum => Some(g.broadcast_to(x.shape())),
        ReduceOp::Max | ReduceOp::Min => {
            let ties = x.eq(y);
            let g = g.wide();
            let count = ties.cast(g.dtype()).sum_keepdim(to_isize(axes).as_slice());
            Some(ties.where_(g / count, 0.0).cast(x.dtype()))
        }
        ReduceOp::Prod => Some((g.wide() * product_of_others(&x.wide(), &to_isize(axes))).cast(x.dtype())),
        ReduceOp::ArgMax | ReduceOp::ArgMin => None,
    }
}

/// Of a maximum or minimum: the gradient goes to the first extreme element, instead of being shared among equal ones.
fn first_extreme(name: &'static str, op: ReduceOp, axes: Vec<usize>) -> Rule {
    let kind = if op == ReduceOp::Max { ReduceOp::ArgMax } else { ReduceOp::ArgMin };
    Rule::new(name, move |inputs, _, g| {
        let x = &inputs[0];
        let index = x.detach().reduce(name, kind, Axes::from(to_isize(&axes).as_slice()), false);
        Ok(vec![Some(position(x, &axes).eq(&index).where_(g, 0.0))])
    })
}

/// The product, over axes, of all elements but each: without a zero `p / x`, with `p` the product of those that are not 0.
///
/// Zeros come in as the sum `s` of the elements that are 0. It is 0, but its slope is not, which gradients of this gradient
/// see: beside one zero all others have `s p / x`, and of two zeros each has `(s - x) p`.
fn product_of_others(x: &Tensor, axes: &[isize]) -> Tensor {
    let zero = x.eq(0.0);
    let zeros = zero.cast(DType::I32).sum_keepdim(axes);
    let s = zero.where_(x, 0.0).sum_keepdim(axes);
    let full = zero.where_(1.0, x);
    let p = full.prod_keepdim(axes);
    let without = &p * full.recip();
    // Nothing times 0 is 0, not even a product that overflows.
    let finite = |t: &Tensor| t.is_finite().where_(t, 0.0);
    let of_zero = zeros.eq(1).where_(&p, zeros.eq(2).where_((&s - x) * finite(&p), 0.0));
    let of_others = zeros.eq(0).where_(&without, zeros.eq(1).where_(&s * finite(&without), 0.0));
    zero.where_(of_zero, of_others)
}

fn to_isize(axes: &[usize]) -> Vec<isize> {
    axes.iter().map(|a| *a as isize).collect()
}

/// The row-major position within `axes` at each element of `x`.
pub(crate) fn position(x: &Tensor, axes: &[usize]) -> Tensor {
    let shape = x.shape();
    let mut at: Option<Tensor> = None;
    for (i, axis) in axes.iter().enumerate() {
        let mut along = vec![1; shape.len()];
        along[*axis] = shape[*axis];
        let stride = count(&axes[i + 1..].iter().map(|a| shape[*a]).collect::<Vec<_>>());
        let part = Tensor::iota(x.device(), &along, *axis) * stride as f64;
        at = Some(match at {
            Some(at) => at + part,
            None => part,
        });
    }
    at.unwrap_or_else(|| Tensor::scalar(x.device(), 0.0, DType::I32))
}
