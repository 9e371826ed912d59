//! One instruction on a block of lanes.
//!
//! A block is a slice of 32-bit words that hold f32, i32, u32 or truth values by the class of the value. An operand has
//! as many lanes as the result, or one lane that stands for all. Each loop runs under `pulp`'s dispatch, which compiles
//! it once for every instruction set.

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use pulp::{Arch, NullaryFnOnce};
use thalweg_ir::{
    Class, DType,
    op::{binary::BinaryOp, unary::UnaryOp},
};

use super::math;

/// `dst[i] = body(a[i])`, as one vectorised loop.
macro_rules! map {
    ($arch:expr, $dst:expr, $t:ty => $r:ty, $a:expr, |$x:ident| $body:expr) => {{
        struct Kernel<'a> {
            dst: &'a mut [$r],
            a: &'a [$t],
        }
        impl NullaryFnOnce for Kernel<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                for (y, &$x) in self.dst.iter_mut().zip(self.a) {
                    *y = $body;
                }
            }
        }
        $arch.dispatch(Kernel { dst: cast_slice_mut($dst), a: cast_slice($a) })
    }};
}

/// `dst[i] = body(a[i], b[i])`, where either operand may be one lane.
macro_rules! zip {
    ($arch:expr, $dst:expr, $t:ty => $r:ty, $a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {{
        struct Kernel<'a> {
            dst: &'a mut [$r],
            a: &'a [$t],
            b: &'a [$t],
        }
        impl NullaryFnOnce for Kernel<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let n = self.dst.len();
                if self.a.len() == 1 && n > 1 {
                    let $x = self.a[0];
                    for (z, &$y) in self.dst.iter_mut().zip(self.b) {
                        *z = $body;
                    }
                } else if self.b.len() == 1 && n > 1 {
                    let $y = self.b[0];
                    for (z, &$x) in self.dst.iter_mut().zip(self.a) {
                        *z = $body;
                    }
                } else {
                    for ((z, &$x), &$y) in self.dst.iter_mut().zip(self.a).zip(self.b) {
                        *z = $body;
                    }
                }
            }
        }
        $arch.dispatch(Kernel { dst: cast_slice_mut($dst), a: cast_slice($a), b: cast_slice($b) })
    }};
}

/// `dst[i] = f(a[i])`, for functions that do not vectorise.
fn each<T: Pod, R: Pod>(dst: &mut [u32], a: &[u32], f: impl Fn(T) -> R) {
    for (y, x) in cast_slice_mut::<u32, R>(dst).iter_mut().zip(cast_slice::<u32, T>(a)) {
        *y = f(*x);
    }
}

/// `dst[i] = f(a[i], b[i])`, for functions that do not vectorise; either operand may be one lane.
fn each_pair<T: Pod, R: Pod>(dst: &mut [u32], a: &[u32], b: &[u32], f: impl Fn(T, T) -> R) {
    let (a, b) = (cast_slice::<u32, T>(a), cast_slice::<u32, T>(b));
    let lane = |x: &[T], i: usize| x[if x.len() == 1 { 0 } else { i }];
    for (i, y) in cast_slice_mut::<u32, R>(dst).iter_mut().enumerate() {
        *y = f(lane(a, i), lane(b, i));
    }
}

/// The words of a number as a value of this dtype.
pub fn word(dtype: DType, x: f64) -> u32 {
    match dtype.class() {
        Class::Float => (dtype.round(x) as f32).to_bits(),
        Class::Int => x as i32 as u32,
        Class::Uint => x as i64 as u32,
        Class::Bool => u32::from(x != 0.0),
    }
}

/// A function of one value.
pub fn unary(arch: Arch, op: UnaryOp, class: Class, a: &[u32], dst: &mut [u32]) {
    match class {
        Class::Float => unary_f32(arch, op, a, dst),
        Class::Int => match op {
            UnaryOp::Neg => map!(arch, dst, i32 => i32, a, |x| x.wrapping_neg()),
            UnaryOp::Abs => map!(arch, dst, i32 => i32, a, |x| x.wrapping_abs()),
            UnaryOp::Sign => map!(arch, dst, i32 => i32, a, |x| x.signum()),
            UnaryOp::Relu => map!(arch, dst, i32 => i32, a, |x| if x > 0 { x } else { 0 }),
            _ => each(dst, a, |x: i32| op.reference(f64::from(x)) as i32),
        },
        Class::Uint | Class::Bool => match op {
            UnaryOp::Not => map!(arch, dst, u32 => u32, a, |x| u32::from(x == 0)),
            _ => each(dst, a, |x: u32| op.reference(f64::from(x)) as u32),
        },
    }
}

fn unary_f32(arch: Arch, op: UnaryOp, a: &[u32], dst: &mut [u32]) {
    use UnaryOp::*;
    match op {
        Neg => map!(arch, dst, f32 => f32, a, |x| -x),
        Abs => map!(arch, dst, f32 => f32, a, |x| x.abs()),
        Sign => map!(arch, dst, f32 => f32, a, |x| {
            let y = if x > 0.0 { 1.0 } else { x };
            if x < 0.0 { -1.0 } else { y }
        }),
        Exp => map!(arch, dst, f32 => f32, a, |x| math::exp(x)),
        Exp2 => map!(arch, dst, f32 => f32, a, |x| math::exp2(x)),
        Expm1 => map!(arch, dst, f32 => f32, a, |x| math::expm1(x)),
        Log => map!(arch, dst, f32 => f32, a, |x| math::log(x)),
        Log2 => map!(arch, dst, f32 => f32, a, |x| math::log2(x)),
        Log1p => map!(arch, dst, f32 => f32, a, |x| math::log1p(x)),
        Sqrt => map!(arch, dst, f32 => f32, a, |x| x.sqrt()),
        Rsqrt => map!(arch, dst, f32 => f32, a, |x| 1.0 / x.sqrt()),
        Recip => map!(arch, dst, f32 => f32, a, |x| 1.0 / x),
        Tanh => map!(arch, dst, f32 => f32, a, |x| math::tanh(x)),
        Erf => map!(arch, dst, f32 => f32, a, |x| math::erf(x)),
        Erfc => map!(arch, dst, f32 => f32, a, |x| math::erfc(x)),
        Sigmoid => map!(arch, dst, f32 => f32, a, |x| math::sigmoid(x)),
        Relu => map!(arch, dst, f32 => f32, a, |x| if x <= 0.0 { 0.0 } else { x }),
        Floor => map!(arch, dst, f32 => f32, a, |x| x.floor()),
        Ceil => map!(arch, dst, f32 => f32, a, |x| x.ceil()),
        Trunc => map!(arch, dst, f32 => f32, a, |x| x.trunc()),
        Round => map!(arch, dst, f32 => f32, a, |x| x.round_ties_even()),
        IsNan => map!(arch, dst, f32 => u32, a, |x| u32::from(x.is_nan())),
        IsInf => map!(arch, dst, f32 => u32, a, |x| u32::from(x.is_infinite())),
        Not => map!(arch, dst, f32 => u32, a, |x| u32::from(x == 0.0)),
        Sin | Cos if cast_slice::<u32, f32>(a).iter().all(|x| x.abs() < math::LARGE_ANGLE) => {
            if op == Sin {
                map!(arch, dst, f32 => f32, a, |x| math::sin_cos(x).0)
            } else {
                map!(arch, dst, f32 => f32, a, |x| math::sin_cos(x).1)
            }
        }
        // The definition, in f64, where no bench has asked for more.
        _ => each(dst, a, |x: f32| op.reference(f64::from(x)) as f32),
    }
}

/// A function of two values of one class.
pub fn binary(arch: Arch, op: BinaryOp, class: Class, a: &[u32], b: &[u32], dst: &mut [u32]) {
    match class {
        Class::Float => binary_f32(arch, op, a, b, dst),
        Class::Int => binary_i32(arch, op, a, b, dst),
        Class::Uint => binary_u32(arch, op, a, b, dst),
        Class::Bool => match op {
            BinaryOp::And => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from(x != 0) & u32::from(y != 0)),
            BinaryOp::Or => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from((x | y) != 0)),
            BinaryOp::Xor | BinaryOp::Ne => {
                zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from((x != 0) != (y != 0)))
            }
            BinaryOp::Eq => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from((x != 0) == (y != 0))),
            _ => binary_u32(arch, op, a, b, dst),
        },
    }
}

fn binary_f32(arch: Arch, op: BinaryOp, a: &[u32], b: &[u32], dst: &mut [u32]) {
    use BinaryOp::*;
    match op {
        Add => zip!(arch, dst, f32 => f32, a, b, |x, y| x + y),
        Sub => zip!(arch, dst, f32 => f32, a, b, |x, y| x - y),
        Mul => zip!(arch, dst, f32 => f32, a, b, |x, y| x * y),
        Div => zip!(arch, dst, f32 => f32, a, b, |x, y| x / y),
        Max => zip!(arch, dst, f32 => f32, a, b, |x, y| larger(x, y)),
        Min => zip!(arch, dst, f32 => f32, a, b, |x, y| smaller(x, y)),
        Eq => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x == y)),
        Ne => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x != y)),
        Lt => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x < y)),
        Le => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x <= y)),
        Gt => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x > y)),
        Ge => zip!(arch, dst, f32 => u32, a, b, |x, y| u32::from(x >= y)),
        Pow if b.len() == 1 => power(arch, a, f32::from_bits(b[0]), dst),
        Pow | Fmod | Atan2 | And | Or | Xor | Shr | Shl => {
            each_pair(dst, a, b, |x: f32, y: f32| op.reference(f64::from(x), f64::from(y)) as f32)
        }
    }
}

/// `a^b` for one exponent: the usual ones without a logarithm.
fn power(arch: Arch, a: &[u32], b: f32, dst: &mut [u32]) {
    match b {
        1.0 => map!(arch, dst, f32 => f32, a, |x| x),
        2.0 => map!(arch, dst, f32 => f32, a, |x| x * x),
        3.0 => map!(arch, dst, f32 => f32, a, |x| x * x * x),
        -1.0 => map!(arch, dst, f32 => f32, a, |x| 1.0 / x),
        // As a power, the root of -0 is 0 and that of -∞ is ∞.
        0.5 => {
            map!(arch, dst, f32 => f32, a, |x| if x == f32::NEG_INFINITY { f32::INFINITY } else { (x + 0.0).sqrt() })
        }
        _ => each(dst, a, |x: f32| BinaryOp::Pow.reference(f64::from(x), f64::from(b)) as f32),
    }
}

/// The larger, or NaN if there is one.
#[inline(always)]
pub fn larger(x: f32, y: f32) -> f32 {
    let z = if x > y { x } else { y };
    if x.is_nan() { x } else { z }
}

/// The smaller, or NaN if there is one.
#[inline(always)]
pub fn smaller(x: f32, y: f32) -> f32 {
    let z = if x < y { x } else { y };
    if x.is_nan() { x } else { z }
}

fn binary_i32(arch: Arch, op: BinaryOp, a: &[u32], b: &[u32], dst: &mut [u32]) {
    use BinaryOp::*;
    match op {
        Add => zip!(arch, dst, i32 => i32, a, b, |x, y| x.wrapping_add(y)),
        Sub => zip!(arch, dst, i32 => i32, a, b, |x, y| x.wrapping_sub(y)),
        Mul => zip!(arch, dst, i32 => i32, a, b, |x, y| x.wrapping_mul(y)),
        Div => zip!(arch, dst, i32 => i32, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
        Fmod => zip!(arch, dst, i32 => i32, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
        Max => zip!(arch, dst, i32 => i32, a, b, |x, y| x.max(y)),
        Min => zip!(arch, dst, i32 => i32, a, b, |x, y| x.min(y)),
        And => zip!(arch, dst, i32 => i32, a, b, |x, y| x & y),
        Or => zip!(arch, dst, i32 => i32, a, b, |x, y| x | y),
        Xor => zip!(arch, dst, i32 => i32, a, b, |x, y| x ^ y),
        Shr => zip!(arch, dst, i32 => i32, a, b, |x, y| x.wrapping_shr(y as u32)),
        Shl => zip!(arch, dst, i32 => i32, a, b, |x, y| x.wrapping_shl(y as u32)),
        Eq => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x == y)),
        Ne => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x != y)),
        Lt => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x < y)),
        Le => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x <= y)),
        Gt => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x > y)),
        Ge => zip!(arch, dst, i32 => u32, a, b, |x, y| u32::from(x >= y)),
        Pow | Atan2 => each_pair(dst, a, b, |x: i32, y: i32| op.reference(f64::from(x), f64::from(y)) as i32),
    }
}

fn binary_u32(arch: Arch, op: BinaryOp, a: &[u32], b: &[u32], dst: &mut [u32]) {
    use BinaryOp::*;
    match op {
        Div => zip!(arch, dst, u32 => u32, a, b, |x, y| x.checked_div(y).unwrap_or(0)),
        Fmod => zip!(arch, dst, u32 => u32, a, b, |x, y| x.checked_rem(y).unwrap_or(0)),
        Max => zip!(arch, dst, u32 => u32, a, b, |x, y| x.max(y)),
        Min => zip!(arch, dst, u32 => u32, a, b, |x, y| x.min(y)),
        Shr => zip!(arch, dst, u32 => u32, a, b, |x, y| x.wrapping_shr(y)),
        Lt => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from(x < y)),
        Le => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from(x <= y)),
        Gt => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from(x > y)),
        Ge => zip!(arch, dst, u32 => u32, a, b, |x, y| u32::from(x >= y)),
        // The others have the bits of the signed ones.
        _ => binary_i32(arch, op, a, b, dst),
    }
}

/// `cond ? a : b`.
pub fn select(arch: Arch, cond: &[u32], a: &[u32], b: &[u32], dst: &mut [u32]) {
    struct Kernel<'a> {
        dst: &'a mut [u32],
        cond: &'a [u32],
        a: &'a [u32],
        b: &'a [u32],
    }
    impl NullaryFnOnce for Kernel<'_> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let Kernel { dst, cond, a, b } = self;
            let n = dst.len();
            let wide = |x: &[u32]| x.len() == n;
            match (wide(cond), wide(a), wide(b)) {
                (true, true, true) => {
                    for (((y, &c), &a), &b) in dst.iter_mut().zip(cond).zip(a).zip(b) {
                        *y = if c != 0 { a } else { b };
                    }
                }
                (true, false, true) => {
                    let a = a[0];
                    for ((y, &c), &b) in dst.iter_mut().zip(cond).zip(b) {
                        *y = if c != 0 { a } else { b };
                    }
                }
                (true, true, false) => {
                    let b = b[0];
                    for ((y, &c), &a) in dst.iter_mut().zip(cond).zip(a) {
                        *y = if c != 0 { a } else { b };
                    }
                }
                (true, false, false) => {
                    let (a, b) = (a[0], b[0]);
                    for (y, &c) in dst.iter_mut().zip(cond) {
                        *y = if c != 0 { a } else { b };
                    }
                }
                (false, ..) => {
                    let chosen = if cond[0] != 0 { a } else { b };
                    if chosen.len() == n { dst.copy_from_slice(chosen) } else { dst.fill(chosen[0]) }
                }
            }
        }
    }
    arch.dispatch(Kernel { dst, cond, a, b });
}

/// To another dtype. Float to integer truncates, saturates, and takes NaN to 0.
pub fn cast(arch: Arch, from: Class, to: DType, a: &[u32], dst: &mut [u32]) {
    match (from, to) {
        (Class::Float, DType::F16 | DType::BF16) => {
            dst.copy_from_slice(a);
            round_to(to, cast_slice_mut(dst));
        }
        (Class::Float, DType::I32) => map!(arch, dst, f32 => i32, a, |x| x as i32),
        (Class::Float, DType::U32) => map!(arch, dst, f32 => u32, a, |x| x as u32),
        (Class::Float, DType::Bool) => map!(arch, dst, f32 => u32, a, |x| u32::from(x != 0.0)),
        (Class::Float, DType::F32 | DType::F64) => dst.copy_from_slice(a),
        (Class::Int, DType::F32 | DType::F64) => map!(arch, dst, i32 => f32, a, |x| x as f32),
        (Class::Int, DType::F16 | DType::BF16) => each(dst, a, |x: i32| to.round(f64::from(x)) as f32),
        (_, DType::F32 | DType::F64) => map!(arch, dst, u32 => f32, a, |x| x as f32),
        (_, DType::F16 | DType::BF16) => each(dst, a, |x: u32| to.round(f64::from(x)) as f32),
        (_, DType::Bool) => map!(arch, dst, u32 => u32, a, |x| u32::from(x != 0)),
        (_, _) => dst.copy_from_slice(a),
    }
}

/// Rounds f32 values to what a 16-bit dtype can hold.
pub fn round_to(dtype: DType, x: &mut [f32]) {
    use half::slice::HalfFloatSliceExt;
    let mut f16 = [half::f16::ZERO; 64];
    let mut bf16 = [half::bf16::ZERO; 64];
    for part in x.chunks_mut(64) {
        let n = part.len();
        match dtype {
            DType::F16 => {
                f16[..n].convert_from_f32_slice(part);
                f16[..n].convert_to_f32_slice(part);
            }
            DType::BF16 => {
                bf16[..n].convert_from_f32_slice(part);
                bf16[..n].convert_to_f32_slice(part);
            }
            _ => {}
        }
    }
}
