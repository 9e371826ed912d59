//! Functions of two elements: a table of names, WGSL text, references and derivatives.

use crate::dtype::{Class, DType};

/// The rows of the table, one for each function, given to the macro `$apply`:
/// `name Variant: "doc", "WGSL of f(a, b)", reference on f64, |a, b, y, g| [gradient of a, gradient of b];`. The gradients are in ops of
/// tensors, which this crate does not know: `thalweg-graph` makes methods of the rows.
#[macro_export]
#[doc(hidden)]
macro_rules! binary_rows {
    ($apply:ident) => {
        $apply! {
            add Add: "`a + b`.", "(a + b)", |a, b| a + b, |_, _, _, g| [Some(g.clone()), Some(g.clone())];
            sub Sub: "`a - b`.", "(a - b)", |a, b| a - b, |_, _, _, g| [Some(g.clone()), Some(-g)];
            mul Mul: "`a · b`.", "(a * b)", |a, b| a * b, |a, b, _, g| [Some(g * b), Some(g * a)];
            div Div: "`a / b`; of integers rounded towards 0, and 0 where b is 0.", "(a / b)", |a, b| a / b,
                |_, b, y, g| { let ga = g / b; [Some(ga.clone()), Some(-(ga * y))] };
            pow Pow: "`a^b`; NaN where a < 0 and b is no whole number. The gradient of b is 0 where a = 0 and b ≥ 0.",
                "pow_f32(a, b)", |a, b| a.powf(b),
                |a, b, y, g| [
                    Some(b.eq(0.0).where_(0.0, g * b * a.pow(b - 1.0))),
                    // y · ln a, and 0 where a is 0 and b is not negative.
                    Some(a.eq(0.0).and(b.ge(0.0)).where_(0.0, g * y * a.log())),
                ];
            maximum Max: "The larger, NaN if one is. Equal ones share the gradient; from NaN none passes.", "max_f32(a, b)",
                |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) },
                |a, b, _, g| { let half = g * 0.5; [
                    Some(a.eq(b).where_(&half, a.gt(b).where_(g, 0.0))), Some(a.eq(b).where_(&half, b.gt(a).where_(g, 0.0))) ] };
            minimum Min: "The smaller, NaN if one is. Equal ones share the gradient; from NaN none passes.", "min_f32(a, b)",
                |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) },
                |a, b, _, g| { let half = g * 0.5; [
                    Some(a.eq(b).where_(&half, a.lt(b).where_(g, 0.0))), Some(a.eq(b).where_(&half, b.lt(a).where_(g, 0.0))) ] };
            fmod Fmod: "`a - b · trunc(a / b)`, which has the sign of a; of integers 0 where b is 0.", "fmod_f32(a, b)",
                |a, b| a % b,
                |a, b, _, g| [Some(g.clone()), Some(-(g * (a / b).trunc()))];
            atan2 Atan2: "The angle of the point (b, a), in radians from -π to π. The gradient at (0, 0) is 0, as in PyTorch.",
                "atan2_f32(a, b)", |a, b| a.atan2(b),
                |a, b, _, g| {
                    let origin = a.eq(0.0).and(b.eq(0.0));
                    let r = origin.where_(0.0, g / (a * a + b * b));
                    [Some(&r * b), Some(-(&r * a))]
                };
            eq Eq: "Whether `a = b`.", "(a == b)", |a, b| truth(a == b), |_, _, _, _| [None, None];
            ne Ne: "Whether `a ≠ b`.", "(a != b)", |a, b| truth(a != b), |_, _, _, _| [None, None];
            lt Lt: "Whether `a < b`.", "(a < b)", |a, b| truth(a < b), |_, _, _, _| [None, None];
            le Le: "Whether `a ≤ b`.", "(a <= b)", |a, b| truth(a <= b), |_, _, _, _| [None, None];
            gt Gt: "Whether `a > b`.", "(a > b)", |a, b| truth(a > b), |_, _, _, _| [None, None];
            ge Ge: "Whether `a ≥ b`.", "(a >= b)", |a, b| truth(a >= b), |_, _, _, _| [None, None];
            and And: "Logical and; on integers bit by bit.", "(a & b)", |a, b| truth(a != 0.0 && b != 0.0),
                |_, _, _, _| [None, None];
            or Or: "Logical or; on integers bit by bit.", "(a | b)", |a, b| truth(a != 0.0 || b != 0.0),
                |_, _, _, _| [None, None];
            xor Xor: "Logical exclusive or; on integers bit by bit.", "xor(a, b)", |a, b| truth((a != 0.0) != (b != 0.0)),
                |_, _, _, _| [None, None];
            shr Shr: "`a` shifted right by `b` bits, `b` modulo 32; of I32 the sign moves in.", "(a >> u32(b))",
                |a, b| ((a as i64) >> (b as i64 & 31)) as f64,
                |_, _, _, _| [None, None];
            shl Shl: "`a` shifted left by `b` bits, `b` modulo 32.", "(a << u32(b))",
                |a, b| ((a as i64) << (b as i64 & 31)) as f64,
                |_, _, _, _| [None, None];
        }
    };
}

/// Builds [`BinaryOp`] and its tables.
macro_rules! binary_ops {
    ($($name:ident $variant:ident: $doc:literal, $wgsl:literal, $reference:expr, $vjp:expr;)*) => {
        /// A function of two elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BinaryOp { $(#[doc = $doc] $variant,)* }

        impl BinaryOp {
            /// Every op, for tables that tests and benches walk.
            pub const ALL: &'static [BinaryOp] = &[$(BinaryOp::$variant),*];

            /// The name that errors, labels and shaders use.
            pub const fn name(self) -> &'static str {
                match self { $(BinaryOp::$variant => stringify!($name),)* }
            }

            /// The value as a WGSL expression of `a` and `b`, both of the operands' class.
            pub const fn wgsl(self) -> &'static str {
                match self { $(BinaryOp::$variant => $wgsl,)* }
            }

            /// The definition on floats; on integers and bools see [`BinaryOp::reference_of`].
            pub fn reference(self, a: f64, b: f64) -> f64 {
                match self { $(BinaryOp::$variant => { let f: fn(f64, f64) -> f64 = $reference; f(a, b) })* }
            }
        }
    };
}

/// 1 or 0.
fn truth(b: bool) -> f64 {
    f64::from(u8::from(b))
}

binary_rows!(binary_ops);

impl BinaryOp {
    /// Whether it compares: the result is Bool whatever the operands are.
    pub const fn compares(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }

    /// The dtype of the result on operands of dtype `x`, or `None` where the function is not defined on it.
    pub fn result(self, x: DType) -> Option<DType> {
        use BinaryOp::*;
        match (self, x.class()) {
            (Eq | Ne, _) => Some(DType::Bool),
            (Lt | Le | Gt | Ge, Class::Bool) => None,
            (Lt | Le | Gt | Ge, _) => Some(DType::Bool),
            (And | Or | Xor, Class::Float) => None,
            (And | Or | Xor, _) => Some(x),
            (Shr | Shl, Class::Int | Class::Uint) => Some(x),
            (Shr | Shl, _) | (_, Class::Bool) => None,
            (Pow | Atan2, Class::Int | Class::Uint) => None,
            _ => Some(x),
        }
    }

    /// The definition on operands of dtype `x`, before rounding to the result's dtype.
    pub fn reference_of(self, x: DType, a: f64, b: f64) -> f64 {
        use BinaryOp::*;
        match (self, x.class()) {
            // 32-bit products fit i64 but not f64.
            (Mul, Class::Int | Class::Uint) => x.round_int((a as i64).wrapping_mul(b as i64)),
            (Div | Fmod, Class::Int | Class::Uint) if b == 0.0 => 0.0,
            (Div, Class::Int | Class::Uint) => (a as i64 / b as i64) as f64,
            (Fmod, Class::Int | Class::Uint) => (a as i64 % b as i64) as f64,
            (And, Class::Int | Class::Uint) => (a as i64 & b as i64) as f64,
            (Or, Class::Int | Class::Uint) => (a as i64 | b as i64) as f64,
            (Xor, Class::Int | Class::Uint) => (a as i64 ^ b as i64) as f64,
            (Shl, Class::Int | Class::Uint) => x.round_int((a as i64) << (b as i64 & 31)),
            _ => self.reference(a, b),
        }
    }
}

impl DType {
    /// `x` wrapped to 32 bits.
    fn round_int(self, x: i64) -> f64 {
        if self == DType::I32 { f64::from(x as i32) } else { f64::from(x as u32) }
    }
}
