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
            // Through f32 would round twice; `half` converts from f64 in one rounding.
            DType::F16 => half::f16::from_f64(x).to_f64(),
            DType::BF16 => half::bf16::from_f64(x).to_f64(),
            DType::I32 => f64::from(x as i64 as i32),
            DType::U32 => f64::from(x as i64 as u32),
            DType::Bool => f64::from(u8::from(x != 0.0)),
        }
    }
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
}
