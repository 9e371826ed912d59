//! Operators between tensors and numbers, and sums of iterators.

use std::ops::{
    Add, AddAssign, BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, BitXorAssign, Div, DivAssign, Mul, MulAssign,
    Neg, Not, Sub, SubAssign,
};

use thalweg_ir::{DType, ErrorKind};

use crate::tensor::Tensor;

/// A number of the host: what settings and operands may be.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a number", label = "an integer or a float is expected here")]
pub trait Number: Copy {
    /// As an `f64`; integers beyond 53 bits are rounded.
    fn number(self) -> f64;
}

/// Something an op takes as its second operand: a tensor or a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a tensor nor a number",
    label = "a `Tensor`, a `&Tensor`, an integer or a float is expected here"
)]
pub trait IntoTensor {
    /// As a tensor on the device of `like`; a number takes the dtype of `like`, or F32 if it is a fraction, or beyond 32 bits,
    /// and `like` holds integers.
    fn into_tensor(self, like: &Tensor) -> Tensor;

    /// Whether it is a number, and so takes its dtype from what stands beside it.
    fn is_number(&self) -> bool {
        false
    }
}

impl IntoTensor for &Tensor {
    fn into_tensor(self, _: &Tensor) -> Tensor {
        self.clone()
    }
}
impl IntoTensor for Tensor {
    fn into_tensor(self, _: &Tensor) -> Tensor {
        self
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn number(self) -> f64 {
                self as f64
            }
        }
        impl IntoTensor for $type {
            #[track_caller]
            fn into_tensor(self, like: &Tensor) -> Tensor {
                operand(self.number(), like)
            }
            fn is_number(&self) -> bool {
                true
            }
        }
    )*};
}
numbers! { f64 f32 i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

/// A number beside a tensor.
#[track_caller]
fn operand(number: f64, like: &Tensor) -> Tensor {
    let dtype = match like.dtype() {
        dtype if dtype.is_float() => dtype,
        DType::I32 if number.fract() == 0.0 && number == DType::I32.round(number) => DType::I32,
        // A negative one wraps, so that it can be added.
        DType::U32 if number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX) => DType::U32,
        _ => DType::F32,
    };
    Tensor::number(like.device(), number, dtype)
}

macro_rules! operators {
    ($($trait:ident $operator:ident, $assign:ident $assigns:ident: $method:ident;)*) => {$(
        impl<R: IntoTensor> $trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $operator(self, rhs: R) -> Tensor {
                Tensor::$method(self, rhs)
            }
        }
        impl<R: IntoTensor> $trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $operator(self, rhs: R) -> Tensor {
                Tensor::$method(&self, rhs)
            }
        }
        impl<R: IntoTensor> $assign<R> for Tensor {
            #[track_caller]
            fn $assigns(&mut self, rhs: R) {
                *self = Tensor::$method(self, rhs);
            }
        }
    )*};
}

// One float type and one integer type on the left: a second one would leave the type of a literal open, and
// `(1.0 - &x).exp()` would not compile.
macro_rules! numbers_on_the_left {
    ($($trait:ident $method:ident)*) => {$(
        numbers_on_the_left! { $trait $method: f64 i32 }
    )*};
    ($trait:ident $method:ident: $($number:ty)*) => {$(
        impl $trait<&Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: &Tensor) -> Tensor {
                Tensor::$method(&self.into_tensor(rhs), rhs)
            }
        }
        impl $trait<Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: Tensor) -> Tensor {
                Tensor::$method(&self.into_tensor(&rhs), &rhs)
            }
        }
    )*};
}

operators! {
    Add add, AddAssign add_assign: add;
    Sub sub, SubAssign sub_assign: sub;
    Mul mul, MulAssign mul_assign: mul;
    Div div, DivAssign div_assign: div;
    BitAnd bitand, BitAndAssign bitand_assign: and;
    BitOr bitor, BitOrAssign bitor_assign: or;
    BitXor bitxor, BitXorAssign bitxor_assign: xor;
}
numbers_on_the_left! { Add add Sub sub Mul mul Div div }

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

/// Of truth values [`Tensor::not`], of integers [`Tensor::bit_not`].
impl Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        if self.dtype() == DType::Bool { Tensor::not(self) } else { self.bit_not() }
    }
}
impl Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        !&self
    }
}

/// So that lists of tensors and lists of references are taken alike.
impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}

impl std::iter::Sum for Tensor {
    /// The sum of tensors that broadcast; of none, a tensor that carries an error, because no device is known.
    fn sum<I: Iterator<Item = Tensor>>(mut tensors: I) -> Tensor {
        match tensors.next() {
            Some(first) => tensors.fold(first, |sum, t| sum + t),
            None => Tensor::of_nothing("sum", ErrorKind::Invalid("no tensors given".into())),
        }
    }
}
impl<'a> std::iter::Sum<&'a Tensor> for Tensor {
    fn sum<I: Iterator<Item = &'a Tensor>>(tensors: I) -> Tensor {
        tensors.cloned().sum()
    }
}
