//! Functions of one f32 that vectorise: straight-line arithmetic and selections, no branches and no fused multiply-add,
//! so that every instruction set gives the same bits. The tests at the foot hold each to its stated error.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few enough bits that small multiples of it are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding it rounds to the nearest integer, which the low bits of the sum then hold.
const ROUND: f32 = 12_582_912.0;

/// `2ⁿ` for `n` in -126 ..= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x = n · ln 2 + r` with `|r| ≤ ln 2 / 2`, for `|x| < 200`: `(n, r)`.
#[inline(always)]
fn split(x: f32) -> (i32, f32) {
    let t = x * LOG2_E + ROUND;
    let n = t - ROUND;
    ((t.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), (x - n * LN2_HIGH) - n * LN2_LOW)
}

/// `eʳ - 1` for `|r| ≤ ln 2 / 2`. Coefficients from Moshier's Cephes library, `expf`.
#[inline(always)]
fn exp_small_m1(r: f32) -> f32 {
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    p * (r * r) + r
}

/// `eˣ`, to 2 ulp.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let bounded = if x < 89.0 { x } else { 89.0 };
    let bounded = if bounded > -104.0 { bounded } else { -104.0 };
    let (n, r) = split(bounded);
    // In two factors, because 2ⁿ itself may be too large or too small for a normal number.
    let half = n >> 1;
    let y = (exp_small_m1(r) + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if x.is_nan() { x } else { y }
}

/// `2ˣ`, to 2 ulp.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let bounded = if x < 129.0 { x } else { 129.0 };
    let bounded = if bounded > -151.0 { bounded } else { -151.0 };
    let t = bounded + ROUND;
    let n = (t.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let r = (bounded - (t - ROUND)) * std::f32::consts::LN_2;
    let y = (exp_small_m1(r) + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if x.is_nan() { x } else { y }
}

/// `eˣ - 1`, to 3 ulp.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let bounded = if x < 89.0 { x } else { 89.0 };
    let bounded = if bounded > -40.0 { bounded } else { -40.0 };
    let (n, r) = split(bounded);
    // 2ⁿ (eʳ - 1) + (2ⁿ - 1), halved until the end so that 2¹²⁸ does not occur.
    let half = power_of_two(n.wrapping_sub(1));
    let y = (exp_small_m1(r) * half + (half - 0.5)) * 2.0;
    // x itself keeps the sign of zero.
    if x.is_nan() || x == 0.0 { x } else { y }
}

/// `x = 2ᵉ · m` with `√½ ≤ m < √2`: `(e, m - 1)`, for positive normal and subnormal x.
#[inline(always)]
fn significand(x: f32) -> (f32, f32) {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let shift = if tiny { -23.0 } else { 0.0 };
    // Moves the interval's start from 1 to √½ before the exponent is read.
    let bits = scaled.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let e = ((bits >> 23) as i32).wrapping_sub(127);
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    (e as f32 + shift, m - 1.0)
}

/// `ln(1 + f) - f` for `√½ ≤ 1 + f < √2`. Coefficients from Cephes, `logf`.
#[inline(always)]
fn log_small(f: f32) -> f32 {
    let p = 7.037_683_6e-2 * f - 1.151_461e-1;
    let p = p * f + 1.167_699_9e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_7e-1;
    let p = p * f + 2.000_071_5e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 3.333_333e-1;
    p * f * (f * f) - 0.5 * (f * f)
}

/// Puts the values at 0, ∞ and where there is none.
#[inline(always)]
fn log_ends(x: f32, y: f32) -> f32 {
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// The natural logarithm, to 2 ulp.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let (e, f) = significand(x);
    log_ends(x, (log_small(f) + e * LN2_LOW) + f + e * LN2_HIGH)
}

/// The logarithm to base 2, to 3 ulp; exact on powers of two.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let (e, f) = significand(x);
    // log₂e = 1 + 0.4427, so that the larger part is exact.
    let small = log_small(f);
    log_ends(x, ((small * 0.442_695_04 + f * 0.442_695_04) + small) + f + e)
}

/// `ln(1 + x)`, to 4 ulp.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    // With u = 1 + x rounded, ln(1 + x) = ln u + (x - (u - 1)) / u to first order.
    let u = 1.0 + x;
    let y = log(u) + (x - (u - 1.0)) / u;
    if u == f32::INFINITY || u == 0.0 {
        log(u)
    } else if x == 0.0 {
        x
    } else {
        y
    }
}

/// `tanh x`, to 3 ulp. The polynomial is Cephes, `tanhf`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = -5.704_988_7e-3 * z + 2.063_909e-2;
    let p = p * z - 5.373_971_5e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 || x.is_nan() { small } else { large }
}

/// `1 / (1 + e⁻ˣ)`, to 3 ulp where it is a normal number.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^(-x²)`: x is cut into a part whose square is exact and a rest, because rounding x² alone would cost x² ulp.
#[inline(always)]
fn exp_neg_square(x: f32) -> f32 {
    let high = f32::from_bits(x.to_bits() & 0xffff_f000);
    exp(-(high * high)) * exp((high - x) * (high + x))
}

/// `erf x / x` for `|x| ≤ 1`: Chebyshev interpolation in `z = x²`, error 4e-9.
#[inline(always)]
fn erf_small(x: f32) -> f32 {
    let z = x * x;
    let p = 7.875_875e-5 * z - 8.016_864_3e-4;
    let p = p * z + 5.189_087_2e-3;
    let p = p * z - 2.685_421_2e-2;
    let p = p * z + 1.128_359_4e-1;
    let p = p * z - 3.761_262_6e-1;
    let p = p * z + std::f32::consts::FRAC_2_SQRT_PI;
    x * p
}

/// `e^(x²) · erfc x` for `x ≥ 1`: `t · P(t)` with `t = 1 / (1 + 0.4 x)`; P interpolates at Chebyshev points, error 7e-8.
#[inline(always)]
fn erfc_scaled(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.4 * x);
    let p = 2.490_812_2e-1 - 1.182_993_3e-1 * t;
    let p = p * t + 2.328_632e-3;
    let p = p * t + 2.163_619e-1;
    let p = p * t + 1.977_814_1e-1;
    let p = p * t + 2.268_476_6e-1;
    let p = p * t + 2.256_174_1e-1;
    p * t
}

/// The error function, to 3 ulp.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    // Beyond 4 it is 1 to the last bit.
    let bounded = if a < 4.0 { a } else { 4.0 };
    // Here an error of x² ulp in the exponential is far below an ulp of the result.
    let large = (1.0 - erfc_scaled(bounded) * exp(-(bounded * bounded))).copysign(x);
    if a < 1.0 || x.is_nan() { erf_small(x) } else { large }
}

/// `1 - erf x`, to 8 ulp where it is a normal number.
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let a = x.abs();
    let bounded = if a < 11.0 { a } else { 11.0 };
    let tail = erfc_scaled(bounded) * exp_neg_square(bounded);
    let large = if x < 0.0 { 2.0 - tail } else { tail };
    if a < 1.0 || x.is_nan() { 1.0 - erf_small(x) } else { large }
}

/// Beyond this, reducing an angle in f32 loses bits; see [`sin_cos`].
pub const LARGE_ANGLE: f32 = 8192.0;

/// `(sin x, cos x)` for `|x| <` [`LARGE_ANGLE`], to 2⁻²³ absolutely and 2 ulp near zero. Cephes, `sinf`, `cosf`.
#[inline(always)]
pub fn sin_cos(x: f32) -> (f32, f32) {
    let t = x * std::f32::consts::FRAC_2_PI + ROUND;
    let n = t - ROUND;
    let quadrant = t.to_bits();
    // π/2 in three parts of few bits each.
    let r = ((x - n * 1.570_312_5) - n * 4.837_513e-4) - n * 7.549_79e-8;
    let z = r * r;
    let s = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * r + r;
    let c = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * (z * z) - 0.5 * z + 1.0;
    let (a, b) = if quadrant & 1 == 0 { (s, c) } else { (c, s) };
    let a = f32::from_bits(a.to_bits() ^ ((quadrant & 2) << 30));
    let b = f32::from_bits(b.to_bits() ^ ((quadrant.wrapping_add(1) & 2) << 30));
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of `f` against `g` in ulp of the result, over numbers of every size in `low ..= high`.
    fn worst(f: fn(f32) -> f32, g: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let mut worst = 0.0f64;
        let mut check = |x: f32| {
            if !(low..=high).contains(&x) {
                return;
            }
            let want = g(f64::from(x));
            let ulp = f64::from(f32::EPSILON) * (want as f32).abs().max(f32::MIN_POSITIVE) as f64;
            let error = (f64::from(f(x)) - want).abs() / ulp;
            assert!(!error.is_nan(), "at {x}: {} for {want}", f(x));
            worst = worst.max(error);
        };
        for i in 0..200_000u32 {
            check(low + (high - low) * (i as f32 / 200_000.0));
            let bits = i.wrapping_mul(0x0000_54c3) & 0x7fff_ffff;
            check(f32::from_bits(bits));
            check(-f32::from_bits(bits));
        }
        worst
    }

    #[test]
    fn errors_are_as_stated() {
        let rows: [(&str, fn(f32) -> f32, fn(f64) -> f64, f32, f32, f64); 11] = [
            ("exp", exp, f64::exp, -87.0, 88.7, 2.0),
            ("exp2", exp2, f64::exp2, -126.0, 127.9, 2.0),
            ("expm1", expm1, f64::exp_m1, -100.0, 88.0, 3.0),
            ("log", log, f64::ln, 1e-44, f32::MAX, 2.0),
            ("log2", log2, f64::log2, 1e-44, f32::MAX, 3.0),
            ("log1p", log1p, f64::ln_1p, -0.999_999, f32::MAX, 4.0),
            ("tanh", tanh, f64::tanh, -20.0, 20.0, 3.0),
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 80.0, 3.0),
            ("erf", erf, |x| thalweg_ir::op::unary::UnaryOp::Erf.reference(x), -6.0, 6.0, 3.0),
            ("erfc", erfc, |x| thalweg_ir::op::unary::UnaryOp::Erfc.reference(x), -6.0, 9.0, 8.0),
            ("sin", |x| sin_cos(x).0, f64::sin, -1.5, 1.5, 2.0),
        ];
        for (name, f, g, low, high, ulp) in rows {
            let worst = worst(f, g, low, high);
            println!("{name}: {worst:.2} ulp");
            assert!(worst <= ulp, "{name}: {worst} ulp");
        }
    }

    #[test]
    fn angles_are_reduced() {
        for i in -800_000..800_000 {
            let x = i as f32 * 0.010_239;
            let (s, c) = sin_cos(x);
            assert!((f64::from(s) - f64::from(x).sin()).abs() < 1.2e-7, "sin {x}: {s}");
            assert!((f64::from(c) - f64::from(x).cos()).abs() < 1.2e-7, "cos {x}: {c}");
        }
    }

    #[test]
    fn ends_are_kept() {
        let inf = f32::INFINITY;
        assert_eq!((exp(inf), exp(-inf), exp(0.0)), (inf, 0.0, 1.0));
        assert_eq!((exp2(inf), exp2(-inf), exp2(3.0)), (inf, 0.0, 8.0));
        assert_eq!((expm1(inf), expm1(-inf), expm1(0.0)), (inf, -1.0, 0.0));
        assert_eq!((log(inf), log(0.0), log(1.0)), (inf, -inf, 0.0));
        assert_eq!((log2(inf), log2(8.0), log2(0.125)), (inf, 3.0, -3.0));
        assert_eq!((log1p(inf), log1p(-1.0), log1p(0.0)), (inf, -inf, 0.0));
        assert_eq!((tanh(inf), tanh(-inf), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(inf), sigmoid(-inf), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert_eq!((erf(inf), erf(-inf), erf(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((erfc(inf), erfc(-inf), erfc(0.0)), (0.0, 2.0, 1.0));
        for f in [exp, exp2, expm1, log, log2, log1p, tanh, sigmoid, erf, erfc] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(log(-1.0).is_nan() && log1p(-2.0).is_nan());
    }
}
