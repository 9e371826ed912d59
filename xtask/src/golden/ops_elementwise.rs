//! Elementwise ops, broadcasting, and what they say about NaN and infinities.

use thalweg_graph::IntoTensor;

use super::{
    call::{Call, Table},
    outcome::Stop,
};

/// `name => method` of the first input.
macro_rules! unary {
    ($($name:literal => $method:ident,)*) => { &[$(($name, |c| Ok(vec![c.x()?.$method()])),)*] };
}

/// `name => method` of two inputs.
macro_rules! binary {
    ($($name:literal => $method:ident,)*) => {
        &[$(($name, |c| { let (a, b) = c.pair()?; Ok(vec![a.$method(b)]) }),)*]
    };
}

pub const UNARY: Table = unary! {
    "neg" => neg, "abs" => abs, "sign" => sign, "exp" => exp, "exp2" => exp2, "expm1" => expm1,
    "log" => log, "log2" => log2, "log1p" => log1p, "sqrt" => sqrt, "rsqrt" => rsqrt, "reciprocal" => recip,
    "square" => square, "sin" => sin, "cos" => cos, "tan" => tan, "asin" => asin, "acos" => acos, "atan" => atan,
    "sinh" => sinh, "cosh" => cosh, "tanh" => tanh, "asinh" => asinh, "acosh" => acosh, "atanh" => atanh,
    "erf" => erf, "erfc" => erfc, "sigmoid" => sigmoid, "logsigmoid" => log_sigmoid, "relu" => relu, "silu" => silu,
    "gelu_exact" => gelu, "gelu_tanh" => gelu_tanh, "floor" => floor, "ceil" => ceil, "trunc" => trunc,
    "round" => round, "logical_not" => not, "isnan" => is_nan, "isinf" => is_inf, "isfinite" => is_finite,
    "log10" => log10, "relu6" => relu6, "softsign" => softsign, "mish" => mish, "selu" => selu,
    "erfinv" => erfinv, "frac" => frac, "lgamma" => lgamma, "digamma" => digamma, "trigamma" => trigamma, "hardswish" => hardswish, "hardsigmoid" => hardsigmoid, "tanhshrink" => tanhshrink,
};

pub const BINARY: Table = binary! {
    "add" => add, "sub" => sub, "mul" => mul, "div" => div, "pow" => pow, "atan2" => atan2, "fmod" => fmod,
    "maximum" => maximum, "minimum" => minimum, "eq" => eq, "ne" => ne, "lt" => lt, "le" => le, "gt" => gt, "ge" => ge,
    "logical_and" => and, "logical_or" => or, "logical_xor" => xor, "copysign" => copysign, "hypot" => hypot,
    "logaddexp" => logaddexp, "remainder" => remainder, "floor_divide" => floor_divide,
};

pub const WITH_ATTRS: Table = &[
    ("gelu", |c| match c.attrs.word("approximate", "none")?.as_str() {
        "none" => Ok(vec![c.x()?.gelu()]),
        "tanh" => Ok(vec![c.x()?.gelu_tanh()]),
        other => Err(Stop::Unsupported(format!("attribute approximate = {other}"))),
    }),
    ("leaky_relu", |c| Ok(vec![c.x()?.leaky_relu(c.attrs.number_or("negative_slope", 0.01)?)])),
    ("elu", |c| Ok(vec![c.x()?.elu(c.attrs.number_or("alpha", 1.0)?)])),
    ("softplus", |c| {
        let (beta, threshold) = (c.attrs.number_or("beta", 1.0)?, c.attrs.number_or("threshold", 20.0)?);
        c.attrs.flag("tail", false)?;
        let x = c.x()?;
        let scaled = x * beta;
        // PyTorch takes x itself above a threshold, which shows where the threshold is low.
        Ok(vec![scaled.gt(threshold).where_(x, scaled.softplus() / beta)])
    }),
    ("celu", |c| Ok(vec![c.x()?.celu(c.attrs.number_or("alpha", 1.0)?)])),
    ("hardtanh", |c| {
        Ok(vec![c.x()?.hardtanh(c.attrs.number_or("min_val", -1.0)?, c.attrs.number_or("max_val", 1.0)?)])
    }),
    ("softshrink", |c| Ok(vec![c.x()?.softshrink(c.attrs.number_or("lambd", 0.5)?)])),
    ("hardshrink", |c| Ok(vec![c.x()?.hardshrink(c.attrs.number_or("lambd", 0.5)?)])),
    ("threshold", |c| Ok(vec![c.x()?.threshold(c.attrs.need("threshold")?, c.attrs.need("value")?)])),
    ("logit", |c| Ok(vec![c.x()?.logit(c.attrs.number_or("eps", 0.0)?)])),
    ("nan_to_num", |c| {
        let largest = f64::from(f32::MAX);
        let (nan, max) = (c.attrs.number_or("nan", 0.0)?, c.attrs.number_or("posinf", largest)?);
        Ok(vec![c.x()?.nan_to_num(nan, max, c.attrs.number_or("neginf", -largest)?)])
    }),
    ("clamp_tensor", |c| {
        let (x, low, high) = c.triple()?;
        Ok(vec![x.clamp_between(low, high)])
    }),
    ("prelu", |c| {
        let (x, w) = c.pair()?;
        // One slope for all, or one for each channel, which is axis 1.
        let mut shape = vec![1; x.rank()];
        if w.count() > 1 {
            shape[1] = w.count();
        }
        Ok(vec![x.prelu(w.reshape(shape))])
    }),
    ("glu", |c| Ok(vec![c.x()?.glu(c.attrs.int("dim")?)])),
    ("clamp", |c| {
        let x = c.x()?;
        match (c.attrs.number("min")?, c.attrs.number("max")?) {
            (Some(min), Some(max)) => Ok(vec![x.clamp(min, max)]),
            (Some(min), None) => Ok(vec![x.clamp_min(min)]),
            (None, Some(max)) => Ok(vec![x.clamp_max(max)]),
            (None, None) => Err(Stop::wrong("clamp without bounds")),
        }
    }),
    ("pow_scalar", |c| Ok(vec![c.x()?.powf(c.attrs.need("exponent")?)])),
    ("scalar_pow", |c| {
        // A number keeps digits that a 16-bit tensor would lose.
        let x = c.x()?;
        Ok(vec![c.attrs.need("base")?.into_tensor(x).pow(x)])
    }),
    ("add_scalar", |c| Ok(vec![c.x()? + c.attrs.need("scalar")?])),
    ("mul_scalar", |c| Ok(vec![c.x()? * c.attrs.need("scalar")?])),
    ("rsub_scalar", |c| Ok(vec![c.attrs.need("scalar")? - c.x()?])),
    ("rdiv_scalar", |c| Ok(vec![c.attrs.need("scalar")? / c.x()?])),
    ("expm1_neg", |c| Ok(vec![(-c.x()?.abs()).expm1()])),
    ("where", |c| {
        let (cond, a, b) = c.triple()?;
        Ok(vec![cond.where_(a, b)])
    }),
    ("masked_fill", |c| {
        let (x, mask) = c.pair()?;
        Ok(vec![x.masked_fill(mask, c.attrs.need("value")?)])
    }),
];

/// Arithmetic on several inputs, written out as a user would.
pub const ARITHMETIC: Table = &[
    ("add_alpha", |c| {
        let (a, b) = c.pair()?;
        Ok(vec![a + b * c.attrs.need("alpha")?])
    }),
    ("lerp", |c| {
        let (a, b) = c.pair()?;
        Ok(vec![match c.attrs.number("weight")? {
            Some(w) => a + (b - a) * w,
            None => a + (b - a) * c.arg(2)?,
        }])
    }),
    ("addcmul", |c| {
        let (y, a, b) = c.triple()?;
        Ok(vec![y + a * b * c.attrs.number_or("value", 1.0)?])
    }),
    ("addcdiv", |c| {
        let (y, a, b) = c.triple()?;
        Ok(vec![y + a / b * c.attrs.number_or("value", 1.0)?])
    }),
    ("gelu(x*w+b)", |c| {
        let (x, w, b) = c.triple()?;
        Ok(vec![(x * w + b).gelu()])
    }),
    ("x*x + sin(x)*x", |c| {
        let x = c.x()?;
        Ok(vec![x * x + x.sin() * x])
    }),
    ("(x.T * 2 + y)", |c| {
        let (x, y) = c.pair()?;
        Ok(vec![x.t() * 2.0 + y])
    }),
];

/// Softmax and its relatives along one axis.
pub const SOFTMAX: Table = &[
    ("softmax", |c| Ok(vec![c.x()?.softmax(axis(c)?)])),
    ("log_softmax", |c| Ok(vec![c.x()?.log_softmax(axis(c)?)])),
    ("softmin", |c| Ok(vec![c.x()?.softmin(axis(c)?)])),
    ("softmax_masked", |c| {
        let (x, mask) = c.pair()?;
        Ok(vec![x.masked_fill(&mask.not(), f64::NEG_INFINITY).softmax(axis(c)?)])
    }),
];

fn axis(c: &Call) -> Result<isize, Stop> {
    c.attrs.int("dim")
}
