//! Definitions that need more than a row of the table: `digamma` and `erfinv`.

use std::f64::consts::PI;

/// Arguments are moved up by this many before an asymptotic series is used.
pub const STEPS: usize = 10;

/// `B₂, B₄, ..`: Bernoulli's numbers. At 10 the terms that follow are below an ulp of f64.
pub const BERNOULLI: [f64; 8] =
    [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0, -3617.0 / 510.0];

/// `ψ(x) = ψ(x + 1) - 1 / x`, `ψ(1 - x) - ψ(x) = π / tan πx`, and for large x `ψ(x) ≈ ln x - 1/(2x) - Σ B₂ₖ / (2k x²ᵏ)`.
///
/// # Source
/// NIST Digital Library of Mathematical Functions, 5.5.2, 5.5.4, 5.11.2.
pub fn digamma(x: f64) -> f64 {
    if x < 0.0 {
        let r = x - x.round_ties_even();
        return if r == 0.0 || x.is_infinite() { f64::NAN } else { digamma(1.0 - x) - PI / (PI * r).tan() };
    }
    if x == 0.0 || x.is_infinite() {
        return -1.0 / x + x;
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < STEPS as f64 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = BERNOULLI.iter().enumerate().rev().fold(0.0, |s, (i, b)| s * z + b / (2 * i + 2) as f64);
    sum + x.ln() - 0.5 / x - z * series
}

/// The inverse of the error function: an approximation to f32, then Halley's iteration `y ← y - t / (1 + y t)` with
/// `t = (erf y - x) / erf' y`, which triples the digits; more often where the approximation was not made for.
///
/// # Source
/// Giles 2010, "Approximating the erfinv function", table 5 (single precision).
pub fn erfinv(x: f64) -> f64 {
    let a = x.abs();
    if a >= 1.0 || x.is_nan() {
        return if a == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    let w = -((1.0 - a) * (1.0 + a)).ln();
    let polynomial = |c: [f64; 9], w: f64| c.into_iter().fold(0.0, |p, c| p * w + c);
    let mut y = a * if w < 5.0 {
        let c = [
            2.81022636e-08,
            3.43273939e-07,
            -3.5233877e-06,
            -4.39150654e-06,
            0.00021858087,
            -0.00125372503,
            -0.00417768164,
            0.246640727,
            1.50140941,
        ];
        polynomial(c, w - 2.5)
    } else {
        let c = [
            -0.000200214257,
            0.000100950558,
            0.00134934322,
            -0.00367342844,
            0.00573950773,
            -0.0076224613,
            0.00943887047,
            1.00167406,
            2.83297682,
        ];
        polynomial(c, w.sqrt() - 3.0)
    };
    // The approximation is far off beyond 1 - 1e-7, where the first steps are short.
    for _ in 0..12 {
        // Whichever difference keeps its digits.
        let difference = if a < 0.5 { libm::erf(y) - a } else { (1.0 - a) - libm::erfc(y) };
        let t = difference * (y * y).exp() / std::f64::consts::FRAC_2_SQRT_PI;
        y -= t / (1.0 + y * t);
    }
    y.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::{digamma, erfinv};

    #[test]
    fn erfinv_inverts_erf() {
        for i in -999..1000 {
            let x = f64::from(i) / 1000.0;
            assert!((libm::erf(erfinv(x)) - x).abs() <= 4e-16, "{x}");
        }
        for i in 1..53 {
            let tail = 2f64.powi(-i);
            let error = libm::erfc(erfinv(1.0 - tail)) / tail - 1.0;
            assert!(error.abs() < 1e-13, "1 - {tail:e}: {error:e}");
        }
        assert_eq!((erfinv(1.0), erfinv(-1.0), erfinv(0.0)), (f64::INFINITY, f64::NEG_INFINITY, 0.0));
        assert!(erfinv(1.5).is_nan() && erfinv(f64::NAN).is_nan());
    }

    #[test]
    fn digamma_at_known_points() {
        // Euler's constant and Gauss' theorem.
        let gamma = 0.577_215_664_901_532_9;
        let known = [
            (1.0, -gamma),
            (2.0, 1.0 - gamma),
            (0.5, -gamma - 2.0 * 2f64.ln()),
            (-0.5, 2.0 - gamma - 2.0 * 2f64.ln()),
            (-1.5, 2.0 + 2.0 / 3.0 - gamma - 2.0 * 2f64.ln()),
        ];
        for (x, y) in known {
            assert!((digamma(x) - y).abs() < 4e-15, "{x}: {} is not {y}", digamma(x));
        }
        assert_eq!((digamma(0.0), digamma(-0.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(digamma(f64::INFINITY), f64::INFINITY);
        assert!(digamma(-3.0).is_nan() && digamma(f64::NAN).is_nan() && digamma(f64::NEG_INFINITY).is_nan());
    }
}
