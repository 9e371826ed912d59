//! Functions of one operand.

use super::*;

rows! { a;
    // The table of unary functions, where they are defined.
    neg(x: float) {} -x;
    abs(x: float) {} x.abs();
    sign(x: float) {} x.sign();
    exp(x: float) {} x.exp();
    exp2(x: float) {} x.exp2();
    expm1(x: float) {} x.expm1();
    log(x: float) {} (x.square() + 0.25).log();
    log2(x: float) {} (x.square() + 0.25).log2();
    log10(x: float) {} (x.square() + 0.25).log10();
    log1p(x: float) {} x.square().log1p();
    sqrt(x: float) {} (x.square() + 0.125).sqrt();
    rsqrt(x: float) {} (x.square() + 0.125).rsqrt();
    recip(x: float) {} (x.square() + 0.5).recip();
    sin(x: float) {} x.sin();
    cos(x: float) {} x.cos();
    tan(x: float) {} x.tanh().tan();
    asin(x: float) {} (x.tanh() * 0.875).asin();
    acos(x: float) {} (x.tanh() * 0.875).acos();
    atan(x: float) {} x.atan();
    sinh(x: float) {} x.sinh();
    cosh(x: float) {} x.cosh();
    tanh(x: float) {} x.tanh();
    asinh(x: float) {} x.asinh();
    acosh(x: float) {} (x.square() + 1.5).acosh();
    atanh(x: float) {} (x.tanh() * 0.875).atanh();
    erf(x: float) {} x.erf();
    erfc(x: float) {} x.erfc();
    erfinv(x: float) {} (x.tanh() * 0.875).erfinv();
    lgamma(x: float) {} (x.square() + 0.5).lgamma();
    digamma(x: float) {} (x.square() + 0.5).digamma();
    trigamma(x: float) {} (x.square() + 0.5).trigamma();
    frac(x: float) {} x.frac();
    sigmoid(x: float) {} x.sigmoid();
    relu(x: float) {} x.relu();
    floor(x: float) {} x.floor();
    ceil(x: float) {} x.ceil();
    trunc(x: float) {} x.trunc();
    round(x: float) {} x.round();
    is_nan(x: float) {} x.is_nan();
    is_inf(x: float) {} x.is_inf();
    is_finite(x: float) {} x.is_finite();
    not(x: truth) {} x.not();

    // Activations.
    gelu(x: float) {} x.gelu();
    gelu_tanh(x: float) {} x.gelu_tanh();
    silu(x: float) {} x.silu();
    mish(x: float) {} x.mish();
    log_sigmoid(x: float) {} x.log_sigmoid();
    logit(x: float) { eps = a.one(&[0.125, 0.01]) } x.logit(eps);
    softplus(x: float) {} x.softplus();
    softsign(x: float) {} x.softsign();
    tanhshrink(x: float) {} x.tanhshrink();
    leaky_relu(x: float) { slope = a.number(0.0, 0.5) } x.leaky_relu(slope);
    prelu(x: float) { slope = a.weight(&[]) } x.prelu(&slope);
    elu(x: float) { alpha = a.number(0.5, 2.0) } x.elu(alpha);
    celu(x: float) { alpha = a.number(0.5, 2.0) } x.celu(alpha);
    selu(x: float) {} x.selu();
    hardtanh(x: float) { low = a.number(-2.0, 0.0), high = a.number(0.5, 2.0) } x.hardtanh(low, high);
    relu6(x: float) {} x.relu6();
    hardsigmoid(x: float) {} x.hardsigmoid();
    hardswish(x: float) {} x.hardswish();
    hardshrink(x: float) { lambda = a.number(0.0, 1.0) } x.hardshrink(lambda);
    softshrink(x: float) { lambda = a.number(0.0, 1.0) } x.softshrink(lambda);
    threshold(x: float) { at = a.number(-1.0, 1.0), value = a.number(-2.0, 2.0) } x.threshold(at, value);
    glu(x: vector) { axis = a.even_axis(x)? } x.glu(axis);
    swiglu(x: vector) { axis = a.even_axis(x)? } x.swiglu(axis);

    // Powers, bounds and constants.
    square(x: float) {} x.square();
    powf(x: float) { e = a.one(&[2.0, 3.0, 0.5, -1.0, 1.5, 0.0, 1.0]) } (x.square() + 0.25).powf(e);
    whole_power(x: float) { e = a.one(&[2.0, 3.0, 4.0, 1.0, 0.0]) } x.powf(e);
    clamp(x: float) { low = a.number(-2.0, 0.0), high = a.number(0.5, 2.0) } x.clamp(low, high);
    clamp_min(x: float) { low = a.number(-1.0, 1.0) } x.clamp_min(low);
    clamp_max(x: float) { high = a.number(-1.0, 1.0) } x.clamp_max(high);
    add_number(x: float) { c = a.number(-2.0, 2.0) } x + c;
    mul_number(x: float) { c = a.one(&[0.5, -1.0, 2.0, 0.7, 0.0, 1.0]) } x * c;
    from_number(x: float) { c = a.one(&[0.0, 1.0, 2.0, -0.3]) } c - x;
    div_number(x: float) { c = a.one(&[3.0, -0.7, 2.0]) } x / c;
    over(x: float) { c = a.number(-2.0, 2.0) } c / (x.square() + 0.5);
    fmod_number(x: float) { c = a.one(&[1.0, 0.5, 2.0]) } x.fmod(c);
    nan_to_num(x: float) {} x.nan_to_num(0.5, 1.0, -1.0);
    at_zeros(x: float) {} x.eq(0.0).where_(1.5, x);

    // Casts.
    halved(x: float) { dtype = a.half() } x.cast(dtype);
    rounded(x: float) { half = a.half(), float = a.float() } x.cast(half).cast(float);
    widened(x: float) { float = a.float() } x.cast(float);
    to_int(x: float) {} (x * 4.0).cast(DType::I32);
    to_bool(x: float) {} x.cast(DType::Bool);
    int_to_float(x: int) { float = a.float() } x.cast(float);
    int_to_bool(x: int) {} x.cast(DType::Bool);
    bool_to_float(x: truth) { float = a.float() } x.cast(float);
    bool_to_int(x: truth) {} x.cast(DType::I32);
    detach(x: float) {} x.detach();
    past_detach(x: float) {} x * x.detach();

    // Integers.
    int_neg(x: int) {} -x;
    int_abs(x: int) {} x.abs();
    int_sign(x: int) {} x.sign();
    int_relu(x: int) {} x.relu();
    int_add(x: int) { c = a.range(-5, 5)? } x + c as f64;
    int_mul(x: int) { c = a.range(-5, 5)? } x * c as f64;
    int_div(x: int) { c = a.range(1, 5)? } x / c as f64;
    int_remainder(x: int) { c = a.range(1, 5)? } x.remainder(c as f64);
    int_floor_divide(x: int) { c = a.range(1, 5)? } x.floor_divide(-c as f64);
    int_fmod(x: int) { c = a.range(1, 5)? } x.fmod(c as f64);
    int_half(x: int) { float = a.float() } (x * 0.5).cast(float);
    bits(x: int) { c = a.range(0, 7)? } x.and(c as f64);
    shl(x: int) { c = a.range(0, 4)? } x.shl(c as f64);
    bit_not(x: int) {} x.bit_not().and(255.0);
    shr(x: int) { c = a.range(0, 4)? } x.shr(c as f64);
}
