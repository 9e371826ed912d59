//! Elementwise plumbing, and functions composed of the tables' rows.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{DType, ErrorKind, Op, shape::broadcast};

use crate::{
    operators::{IntoTensor, Number},
    ops::{binary::BinaryOp, unary::UnaryOp},
    tensor::Tensor,
};

/// # Element by element
impl Tensor {
    /// A function of the table by its row, for code that walks [`UnaryOp::ALL`].
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// A dtype that the function is not defined on.
    #[track_caller]
    pub fn unary(&self, op: UnaryOp) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        match op.result(self.dtype()) {
            Some(dtype) => {
                let inputs = smallvec![self.clone()];
                Tensor::node(Op::Unary(op), inputs, self.shape(), dtype, self.device(), Location::caller())
            }
            None => {
                self.fail(op.name(), ErrorKind::DType { got: self.dtype(), problem: "is not what this is for".into() })
            }
        }
    }

    /// A function of the table by its row, for code that walks [`BinaryOp::ALL`].
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; a dtype that the function is not defined on.
    #[track_caller]
    pub fn binary(&self, op: BinaryOp, other: &Tensor) -> Tensor {
        let (a, b) = match self.broadcast_with(op.name(), other) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        match op.result(a.dtype()) {
            Some(dtype) => {
                let (shape, device) = (a.0.shape.clone(), a.device().clone());
                Tensor::node(Op::Binary(op), smallvec![a, b], shape, dtype, &device, Location::caller())
            }
            None => {
                self.fail(op.name(), ErrorKind::DType { got: a.dtype(), problem: "is not what this is for".into() })
            }
        }
    }

    /// `a` where this holds, else `b`. The gradient goes to the side that was chosen, and is 0 at the other: an infinite
    /// slope there, times that 0, is NaN.
    ///
    /// # Shapes
    /// `[..]`, `[..]`, `[..]` that broadcast → what they broadcast to, in the common dtype of `a` and `b`
    /// # Errors
    /// This is not Bool; shapes that do not broadcast.
    #[track_caller]
    #[doc(alias = "where")]
    pub fn where_(&self, a: impl IntoTensor, b: impl IntoTensor) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if self.dtype() != DType::Bool {
            return self.fail("where", ErrorKind::DType { got: self.dtype(), problem: "is no condition".into() });
        }
        // A number takes its dtype from the other side.
        let like = Tensor::scalar(self.device(), 0.0, DType::F32);
        let (a, b) = match a.is_number() {
            true => {
                let b = b.into_tensor(&like);
                (a.into_tensor(&b), b)
            }
            false => {
                let a = a.into_tensor(&like);
                let b = b.into_tensor(&a);
                (a, b)
            }
        };
        let (a, b) = match a.broadcast_with("where", &b) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let Some(shape) = broadcast(self.shape(), a.shape()) else {
            let (lhs, rhs) = (self.shape().to_vec(), a.shape().to_vec());
            return self.fail("where", ErrorKind::Shapes { lhs, rhs, problem: "do not broadcast".into() });
        };
        let inputs = smallvec![self.broadcast_to(&shape), a.broadcast_to(&shape), b.broadcast_to(&shape)];
        Tensor::node(Op::Select, inputs, shape, a.dtype(), self.device(), Location::caller())
    }

    /// `value` where `mask` holds, else this tensor, which gets no gradient there.
    ///
    /// # Shapes
    /// `[..]`, a mask `[..]`, that broadcast → what they broadcast to
    /// # Errors
    /// A mask that is not Bool; shapes that do not broadcast.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Number) -> Tensor {
        mask.where_(value.number(), self)
    }

    /// The same numbers in another dtype. To a float it rounds to nearest, ties to even; from a float to an integer it
    /// truncates; to Bool it is `x != 0`. Gradients pass from float to float alone.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// F64 on a device that has none.
    #[track_caller]
    #[doc(alias("type", "float", "half", "to", "astype", "double", "int", "bool"))]
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.check().is_err() || self.dtype() == dtype {
            return self.clone();
        }
        Tensor::node(Op::Cast, smallvec![self.clone()], self.shape(), dtype, self.device(), Location::caller())
    }

    /// `x²`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Truth values.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self * self
    }

    /// `x^e` for a number `e`. For 1, 2, 3, 4, -1, -2 and ±1/2 it is products, reciprocals and roots, else [`Tensor::pow`].
    /// `x^0` is 1 with a gradient of 0 everywhere.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Integers and truth values, where what it is made of is not defined on them.
    #[track_caller]
    pub fn powf(&self, e: impl Number) -> Tensor {
        match e.number() {
            1.0 => self.clone(),
            2.0 => self.square(),
            3.0 => self.square() * self,
            4.0 => self.square().square(),
            0.5 => self.sqrt(),
            -0.5 => self.rsqrt(),
            -1.0 => self.recip(),
            -2.0 => self.square().recip(),
            e => self.pow(e),
        }
    }

    /// `x` limited to `[min, max]`; with `min` above `max` it is `max`. The gradient is 0 at and outside the bounds, as in
    /// PyTorch since 2.14.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    #[doc(alias = "clip")]
    pub fn clamp(&self, min: impl Number, max: impl Number) -> Tensor {
        let (min, max) = (min.number(), max.number());
        let inside = self.gt(min).and(self.lt(max));
        // The bounds do not depend on x, so only the inside passes a gradient.
        let limited = self.detach().maximum(min).minimum(max);
        inside.where_(self, limited)
    }

    /// `max(x, min)`; the gradient is 0 at and below the bound.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn clamp_min(&self, min: impl Number) -> Tensor {
        let min = min.number();
        self.le(min).where_(min, self)
    }

    /// `min(x, max)`; the gradient is 0 at and above the bound.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn clamp_max(&self, max: impl Number) -> Tensor {
        let max = max.number();
        self.ge(max).where_(max, self)
    }

    /// `x` limited to `[min, max]`, element by element; with `min` above `max` it is `max`. The gradient goes to x inside,
    /// to a bound where x is beyond it, and half to each where they are equal, as in PyTorch since 2.14.
    ///
    /// # Shapes
    /// `[..]`, `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; truth values as bounds.
    #[track_caller]
    #[doc(alias = "clamp")]
    pub fn clamp_between(&self, min: impl IntoTensor, max: impl IntoTensor) -> Tensor {
        self.maximum(min).minimum(max)
    }

    /// The logarithm to base 10.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn log10(&self) -> Tensor {
        match self.wide_floats("log10") {
            Ok(x) => (x.log2() * std::f64::consts::LOG10_2).cast(self.dtype()),
            Err(failed) => failed,
        }
    }

    /// `|x|` with the sign of `sign`; the sign of a zero counts. The gradient of x is 0 where x is 0; `sign` gets none.
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; a sign that is not a float, or an x that has no sign.
    #[track_caller]
    pub fn copysign(&self, sign: impl IntoTensor) -> Tensor {
        let sign = sign.into_tensor(self);
        // 1/x tells -0 from 0.
        let negative = sign.lt(0.0).or(sign.eq(0.0).and(sign.recip().lt(0.0)));
        let x = self.abs();
        negative.where_(-&x, &x)
    }

    /// `√(a² + b²)`, without overflow on the way. The gradient is NaN at (0, 0).
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; not floats.
    #[track_caller]
    pub fn hypot(&self, other: impl IntoTensor) -> Tensor {
        let other = other.into_tensor(self);
        let dtype = self.dtype().promote(other.dtype());
        let (a, b) = match (self.wide_floats("hypot"), other.wide_floats("hypot")) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        let scale = a.detach().abs().maximum(b.detach().abs());
        let scale = scale.eq(0.0).or(scale.eq(f64::INFINITY)).where_(1.0, scale);
        let (a, b) = (a / &scale, b / &scale);
        ((a.square() + b.square()).sqrt() * scale).cast(dtype)
    }

    /// `ln(e^a + e^b)`, without overflow on the way; -∞ adds nothing.
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast; not floats.
    #[track_caller]
    pub fn logaddexp(&self, other: impl IntoTensor) -> Tensor {
        let other = other.into_tensor(self);
        let dtype = self.dtype().promote(other.dtype());
        let (a, b) = match (self.wide_floats("logaddexp"), other.wide_floats("logaddexp")) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        // Equal infinities have no difference, and what is added to nothing stays itself.
        let none = b.eq(f64::NEG_INFINITY);
        let gap = none.or(a.eq(&b).and(a.is_inf())).where_(0.0, &a - &b);
        // The larger one and what the smaller adds to it: a small share keeps its digits in the gradient.
        let first = gap.ge(0.0);
        none.where_(&a, first.where_(&a, b) + first.where_(-&gap, gap).softplus()).cast(dtype)
    }

    /// Every bit of an integer turned over: `-1 - x` of I32, `2³² - 1 - x` of U32. Of truth values, see [`Tensor::not`].
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not integers.
    #[track_caller]
    #[doc(alias = "bitwise_not")]
    pub fn bit_not(&self) -> Tensor {
        match self.dtype() {
            _ if self.check().is_err() => self.clone(),
            DType::I32 => self.xor(-1.0),
            DType::U32 => self.xor(f64::from(u32::MAX)),
            got => self.fail("bit_not", ErrorKind::DType { got, problem: "has no bits to turn over".into() }),
        }
    }

    /// Whether it is neither infinite nor NaN, told by its bits.
    ///
    /// # Shapes
    /// `[..]` → the same, Bool
    /// # Errors
    /// Not floats.
    #[track_caller]
    #[doc(alias = "isfinite")]
    pub fn is_finite(&self) -> Tensor {
        self.is_nan().or(self.is_inf()).not()
    }

    /// `x`, with `nan` for NaN and `max` and `min` for the infinities; what was replaced gets no gradient.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn nan_to_num(&self, nan: impl Number, max: impl Number, min: impl Number) -> Tensor {
        let (nan, max, min) = (nan.number(), max.number(), min.number());
        let limited = self.is_inf().where_(self.gt(0.0).where_(max, self.zeros_like() + min), self);
        self.is_nan().where_(nan, limited)
    }

    /// Two operands made fit for an elementwise op: same dtype, same shape.
    #[track_caller]
    pub(crate) fn broadcast_with(&self, op: &'static str, other: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
        if self.check().is_err() {
            return Err(self.clone());
        }
        if other.check().is_err() {
            return Err(other.clone());
        }
        let Some(shape) = broadcast(self.shape(), other.shape()) else {
            let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem: "do not broadcast".into() }));
        };
        let dtype = self.dtype().promote(other.dtype());
        Ok((self.cast(dtype).broadcast_to(&shape), other.cast(dtype).broadcast_to(&shape)))
    }
}
