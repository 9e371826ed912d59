// math: elementary functions of f32 to a few units in the last place.
//
// WGSL promises too little for training: native tanh, sinh, asin and atan are allowed absolute errors that ruin small
// arguments, and native sin, exp and pow lose digits as the argument grows. Here every function holds its relative
// accuracy. No function branches: both sides are computed and one is selected, so the text serves scalars and vectors.
//
// `name_v4` is the same function on vectors of four, made by replacing every type; hence `f32(1.0)` where a scalar
// literal would not do for a vector.
//
// Polynomials: Cephes (S. Moshier, single precision) for sin, cos, asin, atan, sinh, tanh, asinh, acosh, exp, log; Giles for erfinv; those
// of erf, erfc, lgamma, digamma are interpolated at Chebyshev nodes by ourselves; atanh and log1p are Taylor's.

// by bits, since drivers that compile with fast math drop `x != x`.
fn is_nan_bits(x: f32) -> bool { return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u); }

fn is_inf_bits(x: f32) -> bool { return (bitcast<u32>(x) & u32(0x7fffffffu)) == u32(0x7f800000u); }

fn xor(a: bool, b: bool) -> bool { return a != b; }

// NaN if there is one, where WGSL leaves it open.
fn max_f32(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, is_nan_bits(b)), a, is_nan_bits(a)); }

fn min_f32(a: f32, b: f32) -> f32 { return select(select(min(a, b), b, is_nan_bits(b)), a, is_nan_bits(a)); }

// |y| with the sign of x.
fn with_sign(y: f32, x: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(y) & u32(0x7fffffffu)) | (bitcast<u32>(x) & u32(0x80000000u)));
}

// a - b trunc(a / b), put right where the quotient was rounded over an integer.
fn fmod_f32(a: f32, b: f32) -> f32 {
    let m = abs(b);
    var r = abs(a) - m * trunc(abs(a) / m);
    r = select(r, r + m, r < f32(0.0));
    r = select(r, r - m, r >= m);
    r = select(r, abs(a), is_inf_bits(b));
    return bitcast<f32>(bitcast<u32>(r) ^ (bitcast<u32>(a) & u32(0x80000000u)));
}

// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
fn exp_poly(r: f32) -> f32 {
    return ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
        + 1.6666665459e-1) * r + 5.0000001201e-1;
}

// e^r 2^n for |r| <= ln 2 / 2 and -252 <= n <= 254, in two factors because 2^n alone may overflow.
fn exp_scaled(r: f32, n: f32) -> f32 {
    let i = i32(n);
    let half = i >> u32(1u);
    return (exp_poly(r) * r * r + r + 1.0) * bitcast<f32>((half + 127) << u32(23u)) * bitcast<f32>((i - half + 127) << u32(23u));
}

fn exp_f32(x: f32) -> f32 {
    let y = clamp(x, f32(-104.0), f32(89.0));
    let n = round(y * 1.44269504);
    let r = (y - n * 0.693359375) - n * -2.12194440e-4;    // ln 2 in two parts: the first product is exact
    return select(exp_scaled(r, n), x, is_nan_bits(x));
}

fn exp2_f32(x: f32) -> f32 {
    let y = clamp(x, f32(-152.0), f32(130.0));
    let n = round(y);
    return select(exp_scaled((y - n) * 0.693147181, n), x, is_nan_bits(x));
}

fn expm1(x: f32) -> f32 { return select(exp_f32(x) - 1.0, x + x * x * exp_poly(x), abs(x) < f32(0.34)); }

fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp_f32(-x)); }

// ln m for m in [sqrt 1/2, sqrt 2), less f = m - 1.
fn log_poly(f: f32) -> f32 {
    let p = (((((((7.0376836292e-2 * f - 1.1514610310e-1) * f + 1.1676998740e-1) * f - 1.2420140846e-1) * f
        + 1.4249322787e-1) * f - 1.6668057665e-1) * f + 2.0000714765e-1) * f - 2.4999993993e-1) * f + 3.3333331174e-1;
    return p * f * f * f - 0.5 * f * f;
}

// e of x = m 2^e with m in [sqrt 1/2, sqrt 2).
fn log_exponent(x: f32) -> i32 { return (bitcast<i32>(x) - 0x3f3504f3) >> u32(23u); }

// m - 1, exact.
fn log_mantissa(x: f32) -> f32 { return bitcast<f32>(((bitcast<i32>(x) - 0x3f3504f3) & i32(0x7fffff)) + 0x3f3504f3) - 1.0; }

fn log_f32(x: f32) -> f32 {
    let e = f32(log_exponent(x));
    let f = log_mantissa(x);
    var y = e * 0.693359375 + (f + (log_poly(f) - e * 2.12194440e-4));
    y = select(y, bitcast<f32>(u32(0xff800000u)), x == f32(0.0));
    y = select(y, bitcast<f32>(u32(0x7fc00000u)), x < f32(0.0));
    return select(y, x, is_nan_bits(x) | (is_inf_bits(x) & (x > f32(0.0))));
}

fn log2_f32(x: f32) -> f32 {
    let f = log_mantissa(x);
    let y = f32(log_exponent(x)) + (f * 0.442695041 + log_poly(f) * 1.44269504 + f);
    return select(select(y, log_f32(x), (x <= f32(0.0)) | is_inf_bits(x)), x, is_nan_bits(x));
}

// for |s| < 0.25.
fn atanh_series(s: f32) -> f32 {
    let z = s * s;
    return s + s * z * ((((z / 11.0 + 0.11111111) * z + 0.14285714) * z + 0.2) * z + 0.33333333);
}

// ln(1 + x) = 2 atanh(x / (2 + x)) near 0.
fn log1p(x: f32) -> f32 {
    let near = (x > f32(-0.33)) & (x < f32(0.5));
    return select(log_f32(1.0 + x), 2.0 * atanh_series(x / (2.0 + x)), near);
}

// the sine (shift 0) or cosine (shift 1). Reduced by pi / 2 in three parts; good for |x| up to some 10^5.
fn trig(x: f32, shift: i32) -> f32 {
    let n = round(x * 0.636619772);
    let r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789948768648e-8;
    let z = r * r;
    let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
    let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
    let quadrant = i32(n) + shift;
    let y = select(s, c, (quadrant & i32(1)) == i32(1));
    return select(y, -y, (quadrant & i32(2)) == i32(2));
}

fn sin_f32(x: f32) -> f32 { return trig(x, i32(0)); }

fn cos_f32(x: f32) -> f32 { return trig(x, i32(1)); }

fn tan_f32(x: f32) -> f32 { return trig(x, i32(0)) / trig(x, i32(1)); }

// asin s for 0 <= s <= 1/2.
fn asin_core(s: f32) -> f32 {
    let z = s * s;
    return ((((4.2163199048e-2 * z + 2.4181311049e-2) * z + 4.5470025998e-2) * z + 7.4953002686e-2) * z
        + 1.6666752422e-1) * z * s + s;
}

fn asin_f32(x: f32) -> f32 {
    let a = abs(x);
    let big = a > f32(0.5);
    let p = asin_core(select(a, sqrt(0.5 - 0.5 * a), big));
    return with_sign(select(p, 1.57079633 - 2.0 * p, big), x);
}

fn acos_f32(x: f32) -> f32 {
    let a = abs(x);
    let big = a > f32(0.5);
    let p = asin_core(select(a, sqrt(0.5 - 0.5 * a), big));
    let near_one = select(2.0 * p, 3.14159265 - 2.0 * p, x < f32(0.0));
    return select(1.57079633 - with_sign(p, x), near_one, big);
}

fn atan_f32(x: f32) -> f32 {
    let a = abs(x);
    let mid = a > f32(0.41421356);
    let big = a > f32(2.41421356);
    let s = select(select(a, (a - 1.0) / (a + 1.0), mid), -1.0 / a, big);
    let z = s * s;
    let p = (((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1) * z * s + s;
    return with_sign(select(select(p, p + 0.785398163, mid), p + 1.57079633, big), x);
}

fn atan2_f32(y: f32, x: f32) -> f32 {
    let a = abs(y);
    let b = abs(x);
    let most = max(a, b);
    let quotient = select(min(a, b) / most, select(f32(1.0), f32(0.0), most == f32(0.0)), a == b);
    var r = atan_f32(quotient);
    r = select(r, 0.785398163 + f32(0.0), (a == b) & (most > f32(0.0)));
    r = select(r, 1.57079633 - r, a > b);
    r = select(r, 3.14159265 - r, (bitcast<u32>(x) >> u32(31u)) == u32(1u));
    return select(with_sign(r, y), x + y, is_nan_bits(x) | is_nan_bits(y));
}

// e^a / 2, without overflow before the result does.
fn half_exp(a: f32) -> f32 {
    let e = exp_f32(0.5 * a);
    return (0.5 * e) * e;
}

fn sinh_f32(x: f32) -> f32 {
    let e = half_exp(abs(x));
    let z = x * x;
    let p = ((2.03721912945e-4 * z + 8.33028376239e-3) * z + 1.66667160211e-1) * z * x + x;
    return select(with_sign(e - 0.25 / e, x), p, abs(x) < f32(1.0));
}

fn cosh_f32(x: f32) -> f32 {
    let e = half_exp(abs(x));
    return e + 0.25 / e;
}

fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let p = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        - 3.33332819422e-1) * z * x + x;
    return select(with_sign(1.0 - 2.0 / (exp_f32(2.0 * abs(x)) + 1.0), x), p, abs(x) < f32(0.625));
}

// above 10^9 the square root is x itself.
fn asinh_f32(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let p = (((2.0122003309e-2 * z - 4.2699340972e-2) * z + 7.4847586088e-2) * z - 1.6666288134e-1) * z * x + x;
    let huge = a > f32(1e9);
    let l = log_f32(select(a + sqrt(z + 1.0), a, huge)) + select(f32(0.0), f32(0.693147181), huge);
    return select(with_sign(l, x), p, a < f32(0.5));
}

fn acosh_f32(x: f32) -> f32 {
    let z = x - 1.0;
    let p = ((((1.7596881071e-3 * z - 7.5272886713e-3) * z + 2.6454905019e-2) * z - 1.1784741703e-1) * z
        + 1.4142135263e0) * sqrt(z);
    let huge = x > f32(1e9);
    let l = log_f32(select(x + sqrt(z * (x + 1.0)), x, huge)) + select(f32(0.0), f32(0.693147181), huge);
    return select(l, p, x < f32(1.5));
}

fn atanh_f32(x: f32) -> f32 {
    return select(0.5 * log_f32((1.0 + x) / (1.0 - x)), atanh_series(x), abs(x) < f32(0.25));
}

// an odd polynomial, then 1 - e^p.
fn erf(x: f32) -> f32 {
    let a = min(abs(x), f32(4.0));
    let z = a * a;
    let near = ((((-6.1026871e-4 * z + 5.0144842e-3) * z - 2.6780719e-2) * z + 1.1282194e-1) * z - 3.7612529e-1) * z
        + 1.1283792;
    let far = (((((((1.62556817e-6 * a - 4.57890751e-5) * a + 5.94156903e-4) * a - 4.74518636e-3) * a + 2.63738668e-2) * a
        - 1.09984589e-1) * a - 6.31941745e-1) * a - 1.13015682) * a + 2.98954515e-4;
    return select(select(with_sign(1.0 - exp_f32(far), x), near * x, a < f32(0.9)), x, is_nan_bits(x));
}

// e^(-a^2) q(t) / (1 + 2a), t = (a - 2) / (a + 2). The square is split: its rounding error would be scaled by it.
fn erfc(x: f32) -> f32 {
    let a = min(abs(x), f32(10.5));
    let t = (a - 2.0) / (a + 2.0);
    let q = ((((((((-4.2006230e-4 * t - 1.25541391e-3) * t + 1.33004456e-3) * t + 8.65847001e-3) * t - 8.06387440e-3) * t
        - 5.42132211e-2) * t + 1.64055616e-1) * t - 1.66030462e-1) * t - 9.27639847e-2) * t + 1.27697838;
    let head = bitcast<f32>(bitcast<u32>(a) & u32(0xfffff000u));
    let square = -head * head;    // exact
    let rest = (head - a) * (head + a);
    let n = round((square + rest) * 1.44269504);
    let r = ((square - n * 0.693359375) - n * -2.12194440e-4) + rest;
    let y = exp_scaled(r, n) * q / (1.0 + 2.0 * a);
    return select(select(y, 2.0 - y, x < f32(0.0)), x, is_nan_bits(x));
}

// x times a polynomial in -ln(1 - x^2), another in its root where that is large. Giles 2010, single precision.
fn erfinv(x: f32) -> f32 {
    let w = -log_f32((1.0 - x) * (1.0 + x));
    let a = w - 2.5;
    let near = (((((((2.81022636e-8 * a + 3.43273939e-7) * a - 3.5233877e-6) * a - 4.39150654e-6) * a + 2.1858087e-4) * a
        - 1.25372503e-3) * a - 4.17768164e-3) * a + 2.46640727e-1) * a + 1.50140941;
    let b = sqrt(w) - 3.0;
    let far = (((((((-2.00214257e-4 * b + 1.00950558e-4) * b + 1.34934322e-3) * b - 3.67342844e-3) * b + 5.73950773e-3) * b
        - 7.6224613e-3) * b + 9.43887047e-3) * b + 1.00167406) * b + 2.83297682;
    var y = x * select(far, near, w < f32(5.0));
    y = select(y, with_sign(bitcast<f32>(u32(0x7f800000u)) + x, x), abs(x) == f32(1.0));
    y = select(y, bitcast<f32>(u32(0x7fc00000u)), abs(x) > f32(1.0));
    return select(y, x, is_nan_bits(x));
}

// ln gamma of y >= 0: (s - 1)(s - 2) p(s) for s in [1, 2), to where y < 3 is moved by gamma(s + 1) = s gamma(s); beyond,
// Stirling's (y - 1/2) ln y - y + ln(2 pi) / 2 + q(1 / y^2) / y.
fn lgamma_positive(y: f32) -> f32 {
    let low = y < f32(1.0);
    let high = y >= f32(2.0);
    let s = select(select(y, y + 1.0, low), y - 1.0, high);
    // not s - 1 and s - 2: near their zeros these are exact.
    let zeros = select(select((y - 1.0) * (y - 2.0), y * (y - 1.0), low), (y - 2.0) * (y - 3.0), high);
    let t = s - 1.5;
    let p = ((((((((-1.48748434e-3 * t + 2.44674466e-3) * t - 3.13773641e-3) * t + 5.32599199e-3) * t - 9.43241148e-3) * t
        + 1.68080977e-2) * t - 3.13082732e-2) * t + 6.29110539e-2) * t - 1.45959897e-1) * t + 4.83128952e-1;
    let far = y >= f32(3.0);
    let l = log_f32(select(y, y - 1.0, high & !far));
    let near = zeros * p + select(select(f32(0.0), -l, low), l, high);
    let z = 1.0 / (y * y);
    let q = (7.08590349e-4 * z - 2.77438663e-3) * z + 8.33333126e-2;
    return select(near, (y - 0.5) * (l - 1.0) + (0.418938533 + q / y), far);
}

// where x < 0: ln(pi / |x sin(pi x)|) - ln gamma(-x). Near its zeros there the error is absolute.
fn lgamma(x: f32) -> f32 {
    let y = lgamma_positive(abs(x));
    let r = x - round(x);
    let reflected = 1.14472989 - log_f32(abs(x)) - log_f32(abs(trig(r * 3.14159265, i32(0)))) - y;
    let pole = is_inf_bits(x) | ((x < f32(0.0)) & (r == f32(0.0)));
    let value = select(select(y, reflected, x < f32(0.0)), bitcast<f32>(u32(0x7f800000u)), pole);
    return select(value, x, is_nan_bits(x));
}

// its derivative: (s - s0) p(s) around the zero s0 for s in [1, 2), else as lgamma. Near other zeros the error is absolute.
fn digamma(x: f32) -> f32 {
    let reflect = x < f32(0.0);
    let y = select(x, 1.0 - x, reflect);
    let low = y < f32(1.0);
    let high = y >= f32(2.0);
    let s = select(select(y, y + 1.0, low), y - 1.0, high);
    let t = s - 1.5;
    let p = ((((((((-1.59063176e-2 * t + 2.39090714e-2) * t - 2.60488822e-2) * t + 3.93694193e-2) * t - 6.20070689e-2) * t
        + 9.51162218e-2) * t - 1.48402238e-1) * t + 2.40538453e-1) * t - 4.23627435e-1) * t + 9.51055896e-1;
    let step = 1.0 / select(y, y - 1.0, high);
    // the rest of s0, times the slope there: compilers would add two constants in a row.
    let near = ((s - 1.46163213) * p - 1.2036050e-8) + select(select(f32(0.0), -step, low), step, high);
    let z = 1.0 / (y * y);
    let q = (3.39594633e-3 * z - 8.31078492e-3) * z + 8.33331955e-2;
    let right = select(near, log_f32(y) - 0.5 / y - q * z, y >= f32(3.0));
    let r = x - round(x);
    let angle = r * 3.14159265;
    let left = right - 3.14159265 * trig(angle, i32(1)) / trig(angle, i32(0));
    let nowhere = reflect & ((r == f32(0.0)) | is_inf_bits(x));
    let value = select(select(right, left, reflect), bitcast<f32>(u32(0x7fc00000u)), nowhere);
    return select(value, x, is_nan_bits(x) | (is_inf_bits(x) & !reflect));
}

// 2^(b (e + l)) with |a| = m 2^e, l = log2 m. b e is summed exactly, from b in two parts of 12 bits.
fn pow_f32(a: f32, b: f32) -> f32 {
    let m = abs(a);
    let e = f32(log_exponent(m));
    let f = log_mantissa(m);
    let l = (f + log_poly(f)) * 1.44269504;
    let head = bitcast<f32>(bitcast<u32>(b) & u32(0xfffff000u));
    let n = clamp(round(b * (e + l)), f32(-152.0), f32(130.0));
    let r = clamp((head * e - n) + (b - head) * e + b * l, f32(-0.5), f32(0.5));
    var y = exp_scaled(r * 0.693147181, n);
    let zero = f32(0.0);
    let inf = bitcast<f32>(u32(0x7f800000u));
    y = select(y, select(zero, inf, b < zero), a == zero);
    y = select(y, select(zero, inf, b > zero), is_inf_bits(a));
    y = select(y, select(select(zero, inf, (b > zero) == (m > f32(1.0))), f32(1.0), m == f32(1.0)), is_inf_bits(b));
    let whole = floor(b) == b;
    let odd = whole & (abs(b) < f32(16777216.0)) & ((i32(b) & i32(1)) == i32(1));
    y = select(y, select(bitcast<f32>(u32(0x7fc00000u)), select(y, -y, odd), whole | is_inf_bits(a)), a < zero);
    y = select(y, a + b, is_nan_bits(a) | is_nan_bits(b));
    return select(y, f32(1.0), (b == zero) | (a == f32(1.0)));
}
