//! Element types.

use std::fmt;

/// The type of a tensor's elements.
///
/// 16-bit floats are storage types: arithmetic on them is done in f32 and rounded (to nearest, ties to even) where a
/// value of that type is stored. `Bool` is stored as a `u32` that is 0 or 1. `F64` exists on the strict CPU only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// Two's complement, 32 bits.
    I32,
    /// Unsigned, 32 bits.
    U32,
    /// Truth value, stored as a `u32`.
    Bool,
    /// IEEE 754 binary64, for the strict CPU executor.
    F64,
}

/// What arithmetic a value takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Computed in f32 (f64 on the strict CPU).
    Float,
    /// Wrapping two's complement.
    Int,
    /// Wrapping unsigned.
    Uint,
    /// Logic.
    Bool,
}

impl DType {
    /// Bytes that one stored element takes.
    pub const fn size_bytes(self) -> usize {
        match self {
            DType::F16 | DType::BF16 => 2,
            DType::F64 => 8,
            _ => 4,
        }
    }

    /// The arithmetic its values take part in.
    pub const fn class(self) -> Class {
        match self {
            DType::F32 | DType::F16 | DType::BF16 | DType::F64 => Class::Float,
            DType::I32 => Class::Int,
            DType::U32 => Class::Uint,
            DType::Bool => Class::Bool,
        }
    }

    /// A number that no other of the dtype is below, or above.
    pub fn lowest(self, above: bool) -> f64 {
        match (self, above) {
            (DType::I32, false) => f64::from(i32::MIN),
            (DType::I32, true) => f64::from(i32::MAX),
            (DType::U32 | DType::Bool, false) => 0.0,
            (DType::U32 | DType::Bool, true) => f64::from(u32::MAX),
            (_, false) => f64::NEG_INFINITY,
            (_, true) => f64::INFINITY,
        }
    }

    /// What is computed in: F32 for 16-bit floats.
    pub const fn wide(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            other => other,
        }
    }

    /// Whether its values are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self.class(), Class::Float)
    }

    /// The type that an operation on `self` and `other` gives: `Bool < U32 < I32 < F16, BF16 < F32 < F64`; two different
    /// 16-bit floats give `F32`.
    pub fn promote(self, other: DType) -> DType {
        use DType::*;
        if self == other {
            return self;
        }
        let rank = |d: DType| match d {
            Bool => 0,
            U32 => 1,
            I32 => 2,
            F16 | BF16 => 3,
            F32 => 4,
            F64 => 5,
        };
        match (rank(self), rank(other)) {
            (3, 3) => F32,
            (a, b) if a > b => self,
            _ => other,
        }
    }

    /// `x` as this type stores it: rounded to nearest even, wrapped to 32 bits, or made 0 or 1.
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F64 => x,
            DType::F32 => f64::from(x as f32),
            DType::F16 => nearest::<11, -14>(x, half::f16::MAX.to_f64()),
            DType::BF16 => nearest::<8, -126>(x, half::bf16::MAX.to_f64()),
            DType::I32 => f64::from(x as i64 as i32),
            DType::U32 => f64::from(x as i64 as u32),
            DType::Bool => f64::from(u8::from(x != 0.0)),
        }
    }
}

/// `x` to so many binary digits, ties to even; fewer below the smallest normal number, `2^LEAST`; infinite beyond `max`.
///
/// The conversions of crate `half` round f64 twice (through f32, or by dropping the low half of its bits).
fn nearest<const DIGITS: i32, const LEAST: i32>(x: f64, max: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(LEAST);
    // A power of two: neither the division nor the product rounds.
    let unit = 2f64.powi(exponent - DIGITS + 1);
    let y = (x / unit).round_ties_even() * unit;
    if y.abs() > max { f64::INFINITY.copysign(y) } else { y }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::Bool => "bool",
            DType::F64 => "f64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_commutative_and_widens() {
        use DType::*;
        for a in [F32, F16, BF16, I32, U32, Bool, F64] {
            for b in [F32, F16, BF16, I32, U32, Bool, F64] {
                assert_eq!(a.promote(b), b.promote(a));
            }
        }
        assert_eq!(F16.promote(BF16), F32);
        assert_eq!(I32.promote(F16), F16);
    }

    #[test]
    fn halves_round_to_even_and_overflow_to_infinity() {
        assert_eq!(DType::F16.round(65519.0), 65504.0);
        assert_eq!(DType::F16.round(65520.0), f64::INFINITY);
        assert_eq!(DType::F16.round(1.0 + 2f64.powi(-11)), 1.0);
    }

    /// Around the middle of every two neighbours.
    #[test]
    fn every_half_is_rounded_to_once() {
        let f16 = |bits| half::f16::from_bits(bits).to_f64();
        let bf16 = |bits| half::bf16::from_bits(bits).to_f64();
        let all: [(DType, &dyn Fn(u16) -> f64, u16); 2] =
            [(DType::F16, &f16, half::f16::MAX.to_bits()), (DType::BF16, &bf16, half::bf16::MAX.to_bits())];
        for (dtype, value, last) in all {
            for bits in 0..last {
                let (low, high) = (value(bits), value(bits + 1));
                let middle = (low + high) / 2.0;
                let even = if bits % 2 == 0 { low } else { high };
                for sign in [1.0, -1.0] {
                    let round = |x: f64| dtype.round(sign * x) * sign;
                    assert_eq!([round(low), round(middle.next_down()), round(middle)], [low, low, even]);
                    assert_eq!(round(middle.next_up()), high, "{dtype}: {}", middle.next_up());
                }
            }
        }
        assert!(DType::F16.round(f64::NAN).is_nan() && DType::BF16.round(-0.0).is_sign_negative());
    }
}
