//! Running sums, products and extremes along an axis.
//!
//! An axis is cut into blocks of [`BLOCK`] elements. Every element looks at those of its block up to itself, which is a
//! reduction over sliding windows; what the blocks came to is scanned in the same way and joined to the blocks behind. That is
//! `BLOCK` steps for each element, a few launches for any length, sums of few terms each, and gradients like any other.

use thalweg_ir::{DType, ErrorKind, ReduceOp, Window, shape::count};

use crate::{
    shape::{Axes, IntoAxis},
    tensor::Tensor,
};

/// Elements that look at each other directly.
const BLOCK: usize = 32;

/// What a scan does with two neighbours, in pieces that suit windows.
struct Joining {
    /// What changes nothing.
    neutral: f64,
    /// Of the last axis, which goes away.
    fold: fn(&Tensor) -> Tensor,
    /// Of what came before and what is there.
    join: fn(&Tensor, &Tensor) -> Tensor,
}

const SUM: Joining = Joining { neutral: 0.0, fold: |x| x.sum(-1), join: |a, b| a + b };
const PRODUCT: Joining = Joining { neutral: 1.0, fold: |x| x.prod(-1), join: |a, b| a * b };
const LOG_SUM: Joining = Joining {
    neutral: f64::NEG_INFINITY,
    fold: |x| {
        let m = finite(&x.detach().amax_keepdim(-1));
        (x - &m).exp().sum_keepdim(-1).log_or_none() + m
    },
    join: |a, b| {
        let m = finite(&a.detach().maximum(b.detach()));
        ((a - &m).exp() + (b - &m).exp()).log_or_none() + m
    },
};

/// A shift for exponents: 0 where the largest is -∞.
fn finite(m: &Tensor) -> Tensor {
    m.eq(f64::NEG_INFINITY).where_(0.0, m)
}

/// # Running sums, products and extremes
impl Tensor {
    /// `ln x`, and -∞ without a gradient where `x = 0`.
    fn log_or_none(&self) -> Tensor {
        let none = self.eq(0.0);
        none.where_(f64::NEG_INFINITY, none.where_(1.0, self).log())
    }

    /// The running sum along an axis: `y_i = x_0 + .. + x_i`.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same; of truth values I32
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn cumsum(&self, axis: impl IntoAxis) -> Tensor {
        self.scan("cumsum", axis, |x| running(x, &SUM))
    }

    /// The running product along an axis: `y_i = x_0 · .. · x_i`. Gradients are right past zeros.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same; of truth values I32
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    pub fn cumprod(&self, axis: impl IntoAxis) -> Tensor {
        self.scan("cumprod", axis, |x| running(x, &PRODUCT))
    }

    /// `y_i = ln (e^x_0 + .. + e^x_i)` along an axis, without overflow on the way; -∞ adds nothing.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same
    /// # Errors
    /// An axis that there is not; not floats.
    #[track_caller]
    pub fn logcumsumexp(&self, axis: impl IntoAxis) -> Tensor {
        if self.check().is_ok() && !self.dtype().is_float() {
            let problem = "has no exponential; cast to a float first".to_string();
            return self.fail("logcumsumexp", ErrorKind::DType { got: self.dtype(), problem });
        }
        self.scan("logcumsumexp", axis, |x| running(x, &LOG_SUM))
    }

    /// The largest so far along an axis, and where it stands, I32: of equal ones the latest, which alone gets the gradient.
    /// From a NaN on it is NaN.
    ///
    /// # Shapes
    /// `[.., N, ..]` → the same, twice
    /// # Errors
    /// An axis that there is not; truth values.
    #[track_caller]
    pub fn cummax(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        self.extremes("cummax", axis, ReduceOp::Max)
    }

    /// The smallest so far along an axis, and where it stands; as [`Tensor::cummax`] in all else.
    #[track_caller]
    pub fn cummin(&self, axis: impl IntoAxis) -> (Tensor, Tensor) {
        self.extremes("cummin", axis, ReduceOp::Min)
    }

    /// A function of rows `[R, n]`, applied along an axis. 16-bit floats are rounded once, at the end.
    #[track_caller]
    fn scan(&self, op: &'static str, axis: impl IntoAxis, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let axis = match self.axis(op, axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let dtype = if self.dtype() == DType::Bool { DType::I32 } else { self.dtype() };
        // Integers stay integers: F32 has no room for all of them.
        let x = if dtype.is_float() { self.wide() } else { self.cast(dtype) };
        if self.count() == 0 {
            return x.cast(dtype);
        }
        let (rows, moved) = x.rows_along(axis);
        f(&rows).reshape(moved).movedim(&[-1], &[axis as isize]).cast(dtype)
    }

    /// An axis as rows `[R, n]`, and the shape with the axis last.
    #[track_caller]
    pub(crate) fn rows_along(&self, axis: usize) -> (Tensor, Vec<usize>) {
        let x = self.movedim(&[axis as isize], &[-1]);
        let moved = x.shape().to_vec();
        (x.reshape([count(&moved[..moved.len() - 1]), self.shape()[axis]]), moved)
    }

    #[track_caller]
    fn extremes(&self, op: &'static str, axis: impl IntoAxis, reduce: ReduceOp) -> (Tensor, Tensor) {
        let axis = match self.axis(op, axis) {
            Ok(axis) => axis,
            Err(failed) => return (failed.clone(), failed),
        };
        if self.dtype() == DType::Bool {
            let failed = self.fail(op, ErrorKind::DType { got: DType::Bool, problem: "has no order".into() });
            return (failed.clone(), failed);
        }
        if self.count() == 0 {
            return (self.clone(), self.cast(DType::I32));
        }
        let (rows, moved) = self.rows_along(axis);
        let (values, at) = running_extreme(&rows, reduce);
        let back = |t: Tensor| t.reshape(&moved[..]).movedim(&[-1], &[axis as isize]);
        (back(values), back(at))
    }
}

/// Rows `[R, n]` as blocks `[R, m, BLOCK]`, or of fewer elements where there are fewer.
fn blocks(x: &Tensor, fill: f64) -> Tensor {
    let (rows, n) = (x.shape()[0], x.shape()[1]);
    let size = n.min(BLOCK);
    let count = n.div_ceil(size);
    x.pad(&[(0, (count * size - n) as isize)], fill).reshape([rows, count, size])
}

/// For each element of a block those up to itself, in a new last axis with `fill` in front.
fn prefixes(blocks: &Tensor, fill: f64) -> Tensor {
    let size = blocks.shape()[2];
    let window = Window { kernel: vec![size], stride: vec![1], dilation: vec![1], pad: vec![size - 1] };
    blocks.windows(&window, &[size], fill, false)
}

/// Blocks as rows again, less what filled the last.
fn rows(blocks: &Tensor, n: usize) -> Tensor {
    blocks.reshape([blocks.shape()[0], blocks.shape()[1] * blocks.shape()[2]]).strided(1, 0, 1, n)
}

/// The scan of rows `[R, n]`.
fn running(x: &Tensor, joining: &Joining) -> Tensor {
    let n = x.shape()[1];
    if n == 1 {
        return x.clone();
    }
    let blocks = blocks(x, joining.neutral);
    let within = (joining.fold)(&prefixes(&blocks, joining.neutral)).reshape(blocks.shape());
    if blocks.shape()[1] == 1 {
        return rows(&within, n);
    }
    let before = running(&within.select(2, -1), joining).pad(&[(1, -1)], joining.neutral);
    rows(&(joining.join)(&before.unsqueeze(-1), &within), n)
}

/// The extremes so far of rows `[R, n]`, and their positions.
fn running_extreme(x: &Tensor, reduce: ReduceOp) -> (Tensor, Tensor) {
    let n = x.shape()[1];
    let device = x.device();
    let largest = reduce == ReduceOp::Max;
    let none = x.dtype().lowest(!largest);
    let blocks = blocks(x, none);
    let (count, size) = (blocks.shape()[1], blocks.shape()[2]);
    // Backwards, so that the first extreme is the latest.
    let latest_first = prefixes(&blocks, none).flip(-1);
    let value = latest_first.reduce("cummax", reduce, Axes::from(-1), true).squeeze(-1);
    let back = if largest { latest_first.argmax(-1) } else { latest_first.argmin(-1) };
    let here = Tensor::iota(device, &[1, 1, size], 2) + Tensor::iota(device, &[1, count, 1], 1) * size as f64;
    let at = here - back;
    if count == 1 {
        return (rows(&value, n), rows(&at, n));
    }
    let (carried, from) = running_extreme(&value.select(2, -1), reduce);
    // What the blocks in front came to, and where they had it.
    let carried_at = at.detach().select(2, -1).gather(1, &from).pad(&[(1, -1)], 0.0).unsqueeze(-1);
    let carried = carried.pad(&[(1, -1)], none).unsqueeze(-1);
    let beyond = if largest { carried.gt(&value) } else { carried.lt(&value) };
    let take = match x.dtype().is_float() {
        true => beyond.or(carried.is_nan().and(value.is_nan().not())),
        false => beyond,
    };
    (rows(&take.where_(&carried, &value), n), rows(&take.where_(carried_at, at), n))
}
