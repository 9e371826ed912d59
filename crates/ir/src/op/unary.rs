//! Functions of one element: a table of names, WGSL text, references and derivatives.

use crate::dtype::DType;

/// The rows of the table, one for each function, given to the macro `$apply`:
/// `name Variant: "doc", "WGSL of f(x)", reference on f64, |x, y, g| vjp;`. `vjp` is the gradient of the input from input, output and
/// the output's gradient, in ops of tensors, which this crate does not know: `thalweg-graph` makes methods of the rows.
#[macro_export]
#[doc(hidden)]
macro_rules! unary_rows {
    ($apply:ident) => {
        $apply! {
            neg Neg: "`-x`.", "-x", |x| -x, |_, _, g| Some(g.neg());
            abs Abs: "`|x|`. The gradient at 0 is 0.", "abs(x)", |x| x.abs(), |x, _, g| Some(g * x.sign());
            sign Sign: "-1, 0 or 1. The gradient is 0.", "sign(x)", |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x },
                |_, _, _| None;
            exp Exp: "`e^x`.", "exp_f32(x)", |x| x.exp(), |_, y, g| Some(g * y);
            exp2 Exp2: "`2^x`.", "exp2_f32(x)", |x| x.exp2(), |_, y, g| Some(g * y * std::f64::consts::LN_2);
            expm1 Expm1: "`e^x - 1`, exact near 0.", "expm1(x)", |x| x.exp_m1(), |_, y, g| Some(g * (y + 1.0));
            log Log: "The natural logarithm; -∞ at 0, NaN below.", "log_f32(x)", |x| x.ln(), |x, _, g| Some(g / x);
            log2 Log2: "The logarithm to base 2; -∞ at 0, NaN below.", "log2_f32(x)",
                |x| x.log2(), |x, _, g| Some(g / (x * std::f64::consts::LN_2));
            log1p Log1p: "`ln(1 + x)`, exact near 0.", "log1p(x)", |x| x.ln_1p(), |x, _, g| Some(g / (x + 1.0));
            sqrt Sqrt: "The square root; NaN below 0. The gradient at 0 is ∞.", "sqrt(x)",
                |x| x.sqrt(), |_, y, g| Some(g * 0.5 / y);
            rsqrt Rsqrt: "`1 / √x`.", "inverseSqrt(x)", |x| 1.0 / x.sqrt(), |_, y, g| Some(g * -0.5 * y * y * y);
            recip Recip: "`1 / x`.", "(1.0 / x)", |x| 1.0 / x, |_, y, g| Some(-(g * y * y));
            sin Sin: "The sine of an angle in radians.", "sin_f32(x)", |x| x.sin(), |x, _, g| Some(g * x.cos());
            cos Cos: "The cosine of an angle in radians.", "cos_f32(x)", |x| x.cos(), |x, _, g| Some(-(g * x.sin()));
            tan Tan: "The tangent of an angle in radians.", "tan_f32(x)", |x| x.tan(), |_, y, g| Some(g * (y * y + 1.0));
            asin Asin: "The inverse sine, in radians from -π/2 to π/2; NaN outside [-1, 1].", "asin_f32(x)", |x| x.asin(),
                |x, _, g| Some(g * (1.0 - x * x).rsqrt());
            acos Acos: "The inverse cosine, in radians from 0 to π; NaN outside [-1, 1].", "acos_f32(x)", |x| x.acos(),
                |x, _, g| Some(-(g * (1.0 - x * x).rsqrt()));
            atan Atan: "The inverse tangent, in radians from -π/2 to π/2.", "atan_f32(x)",
                |x| x.atan(), |x, _, g| Some(g / (x * x + 1.0));
            sinh Sinh: "The hyperbolic sine.", "sinh_f32(x)", |x| x.sinh(), |x, _, g| Some(g * x.cosh());
            cosh Cosh: "The hyperbolic cosine.", "cosh_f32(x)", |x| x.cosh(), |x, _, g| Some(g * x.sinh());
            tanh Tanh: "The hyperbolic tangent.", "tanh_f32(x)", |x| x.tanh(), |_, y, g| Some(g * (1.0 - y * y));
            asinh Asinh: "The inverse hyperbolic sine.", "asinh_f32(x)", |x| x.asinh(),
                |x, _, g| Some(g * (x * x + 1.0).rsqrt());
            acosh Acosh: "The inverse hyperbolic cosine; NaN below 1.", "acosh_f32(x)", |x| x.acosh(),
                |x, _, g| Some(g * (x * x - 1.0).rsqrt());
            atanh Atanh: "The inverse hyperbolic tangent; ±∞ at ±1, NaN outside.", "atanh_f32(x)",
                |x| x.atanh(), |x, _, g| Some(g / (1.0 - x * x));
            erf Erf: "`2/√π ∫₀ˣ e^(-t²) dt`.", "erf(x)", libm::erf, |x, _, g| Some(g * (-(x * x)).exp() * FRAC_2_SQRT_PI);
            erfc Erfc: "`1 - erf(x)`, exact for large x.", "erfc(x)", libm::erfc,
                |x, _, g| Some(g * (-(x * x)).exp() * -FRAC_2_SQRT_PI);
            erfinv Erfinv: "The inverse of `erf`; ±∞ at ±1, NaN outside.", "erfinv(x)", super::special::erfinv,
                |_, y, g| Some(g * (y * y).exp() * FRAC_2_SQRT_PI.recip());
            lgamma Lgamma: "`ln |Γ(x)|`; ∞ at 0, -1, -2, ..", "lgamma(x)", libm::lgamma, |x, _, g| Some(g * x.digamma());
            digamma Digamma: "`ψ(x) = d/dx ln |Γ(x)|`; undefined at -1, -2, .., and ∓∞ at ±0.", "digamma(x)", super::special::digamma,
                |x, _, g| Some(g * x.trigamma());
            sigmoid Sigmoid: "`1 / (1 + e^(-x))`.", "sigmoid(x)",
                |x| if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) },
                |_, y, g| Some(g * y * (1.0 - y));
            relu Relu: "`max(x, 0)`. The gradient at 0 is 0.", "max(x, 0.0)", |x| if x > 0.0 || x.is_nan() { x } else { 0.0 },
                |_, y, g| Some(y.gt(0.0).where_(g, 0.0));
            floor Floor: "The largest integer not above x. The gradient is 0.", "floor(x)", |x| x.floor(), |_, _, _| None;
            ceil Ceil: "The smallest integer not below x. The gradient is 0.", "ceil(x)", |x| x.ceil(), |_, _, _| None;
            trunc Trunc: "The integer part: x rounded towards 0. The gradient is 0.", "trunc(x)", |x| x.trunc(), |_, _, _| None;
            round Round: "The nearest integer, the even one of two. The gradient is 0.", "round(x)",
                |x| x.round_ties_even(), |_, _, _| None;
            not Not: "Logical not.", "!x", |x| f64::from(u8::from(x == 0.0)), |_, _, _| None;
            is_nan IsNan: "Whether it is not a number, told by its bits.", "is_nan_bits(x)",
                |x| f64::from(u8::from(x.is_nan())), |_, _, _| None;
            is_inf IsInf: "Whether it is infinite, told by its bits.", "is_inf_bits(x)",
                |x| f64::from(u8::from(x.is_infinite())), |_, _, _| None;
        }
    };
}

/// Builds [`UnaryOp`] and its tables.
macro_rules! unary_ops {
    ($($name:ident $variant:ident: $doc:literal, $wgsl:literal, $reference:expr, $vjp:expr;)*) => {
        /// A function of one element.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum UnaryOp { $(#[doc = $doc] $variant,)* }

        impl UnaryOp {
            /// Every op, for tables that tests and benches walk.
            pub const ALL: &'static [UnaryOp] = &[$(UnaryOp::$variant),*];

            /// The name that errors, labels and shaders use.
            pub const fn name(self) -> &'static str {
                match self { $(UnaryOp::$variant => stringify!($name),)* }
            }

            /// The value as a WGSL expression of `x`, an `f32` (or `i32`, `u32`, `bool` where [`UnaryOp::result`] says so).
            pub const fn wgsl(self) -> &'static str {
                match self { $(UnaryOp::$variant => $wgsl,)* }
            }

            /// The definition.
            pub fn reference(self, x: f64) -> f64 {
                match self { $(UnaryOp::$variant => { let f: fn(f64) -> f64 = $reference; f(x) })* }
            }
        }
    };
}

unary_rows!(unary_ops);

impl UnaryOp {
    /// The dtype of the result on `x`, or `None` where the function is not defined on it.
    pub fn result(self, x: DType) -> Option<DType> {
        match self {
            UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign => (x.is_float() || x == DType::I32).then_some(x),
            UnaryOp::Relu => (x.is_float() || x == DType::I32).then_some(x),
            UnaryOp::Not => (x == DType::Bool).then_some(DType::Bool),
            UnaryOp::IsNan | UnaryOp::IsInf => x.is_float().then_some(DType::Bool),
            _ => x.is_float().then_some(x),
        }
    }
}
