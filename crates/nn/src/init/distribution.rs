//! Weights that are drawn one by one from the same distribution. Arithmetic is in f64, rounded to F32 once.

use thalweg_graph::{ErrorKind, Rng, shape::count};

/// All the same.
pub fn constant(shape: &[usize], c: f64) -> Result<Vec<f32>, ErrorKind> {
    // Whoever asks for infinity gets it.
    let c = if c.is_finite() { narrow(c)? } else { c as f32 };
    Ok(vec![c; count(shape)])
}

/// Uniform in `[-a, a)`.
pub fn uniform(shape: &[usize], a: f64, rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
    // Nothing is drawn where a fan of 0 makes the bound infinite.
    if count(shape) == 0 {
        return Ok(Vec::new());
    }
    if !(a >= 0.0 && a.is_finite()) {
        return Err(ErrorKind::Invalid(format!("a bound of {a}")));
    }
    draw(shape, || a * (2.0 * rng.uniform() - 1.0))
}

/// Uniform in `[low, high)`.
pub fn uniform_in(shape: &[usize], low: f64, high: f64, rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
    if !(low < high && (high - low).is_finite()) {
        return Err(ErrorKind::Invalid(format!("no interval from {low} to {high}")));
    }
    draw(shape, || low + (high - low) * rng.uniform())
}

/// Normal.
pub fn normal(shape: &[usize], mean: f64, std: f64, rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
    if count(shape) == 0 {
        return Ok(Vec::new());
    }
    if !(mean.is_finite() && std.is_finite() && std >= 0.0) {
        return Err(ErrorKind::Invalid(format!("mean {mean} and standard deviation {std}")));
    }
    draw(shape, || mean + std * rng.normal())
}

/// Normal, given that it is in `[low, high]`.
pub fn truncated_normal(
    shape: &[usize],
    (mean, std): (f64, f64),
    (low, high): (f64, f64),
    rng: &mut Rng,
) -> Result<Vec<f32>, ErrorKind> {
    let what = || format!("mean {mean} and standard deviation {std} between {low} and {high}");
    if !(mean.is_finite() && std.is_finite() && std > 0.0 && low < high) {
        return Err(ErrorKind::Invalid(what()));
    }
    let (a, b) = ((low - mean) / std, (high - mean) / std);
    // Far out the two bounds are one number in f64, or none.
    if a >= b {
        return Err(ErrorKind::Invalid(format!("{}: the bounds are too far from the mean", what())));
    }
    draw(shape, || (mean + std * standard_in(a, b, rng)).clamp(low, high))
}

/// Standard normal, given that it is in `[a, b]`: numbers near to it, each accepted in proportion to the density. The inverse of the
/// distribution function has no digits left in a tail; this has all of them wherever the bounds are, and accepts one in seven or more.
///
/// # Source
/// Robert 1995, "Simulation of truncated normal variables", arXiv:0907.4010, with simpler limits between the cases.
fn standard_in(a: f64, b: f64, rng: &mut Rng) -> f64 {
    if b <= 0.0 {
        return -standard_in(-b, -a, rng);
    }
    // Where the density is highest, and how far from there it does not fall by much.
    let peak = a.max(0.0);
    let reach = if peak < 1.0 { 3.0 } else { 1.0 / peak };
    loop {
        let (x, density) = if b - a <= reach {
            let x = a + (b - a) * rng.uniform();
            (x, ((peak - x) * (peak + x) / 2.0).exp())
        } else if peak < 1.0 {
            (rng.normal(), 1.0)
        } else {
            let beyond = -(1.0 - rng.uniform()).ln() / a;
            (a + beyond, (-beyond * beyond / 2.0).exp())
        };
        if (a..=b).contains(&x) && rng.uniform() < density {
            return x;
        }
    }
}

fn draw(shape: &[usize], mut number: impl FnMut() -> f64) -> Result<Vec<f32>, ErrorKind> {
    (0..count(shape)).map(|_| narrow(number())).collect()
}

/// Rounds to F32.
pub fn narrow(x: f64) -> Result<f32, ErrorKind> {
    let narrow = x as f32;
    match narrow.is_finite() {
        true => Ok(narrow),
        false => Err(ErrorKind::Invalid(format!("{x:e} is beyond f32"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of a million.
    fn moments(draw: &[f32]) -> (f64, f64) {
        let mean = draw.iter().map(|x| f64::from(*x)).sum::<f64>() / draw.len() as f64;
        (mean, draw.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / draw.len() as f64)
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let (shape, rng) = ([1000, 1000], &mut Rng::seed(1));
        let draw = uniform_in(&shape, -0.3, 0.7, rng).unwrap();
        let (mean, variance) = moments(&draw);
        assert!((mean - 0.2).abs() < 0.002 && (variance * 12.0 - 1.0).abs() < 0.01, "{mean} {variance}");
        assert!(draw.iter().all(|x| (-0.3f32..=0.7).contains(x)));
        let (mean, variance) = moments(&normal(&shape, 0.5, 2.0, rng).unwrap());
        assert!((mean - 0.5).abs() < 0.01 && (variance / 4.0 - 1.0).abs() < 0.01, "{mean} {variance}");
    }

    /// All cases of the sampler, held to moments by quadrature of the density.
    #[test]
    fn truncated_normal_has_its_moments_wherever_it_is_cut() {
        let rng = &mut Rng::seed(2);
        for (a, b) in [
            (-2.0, 2.0),
            (-1.0, 2.8),
            (-0.01, 0.02),
            (0.5, 2.0),
            (0.9, 9.0),
            (0.0, f64::INFINITY),
            (f64::NEG_INFINITY, 0.0),
            (1.5, 1.7),
            (1.5, f64::INFINITY),
            (20.0, 20.01),
            (20.0, 25.0),
            (f64::NEG_INFINITY, -20.0),
            (-3.0, -1.0),
            (f64::NEG_INFINITY, f64::INFINITY),
        ] {
            let (low, high) = (a.max(-30.0), b.min(30.0));
            let points = 600_000;
            let peak = low.max(0.0).min(high);
            let mut sums = [0.0; 3];
            for i in 0..points {
                let x = low + (high - low) * (i as f64 + 0.5) / points as f64;
                let density = ((peak * peak - x * x) / 2.0).exp();
                // About the peak, so that the variance of a tail keeps its digits.
                for (power, sum) in sums.iter_mut().enumerate() {
                    *sum += density * (x - peak).powi(power as i32);
                }
            }
            let want_mean = sums[1] / sums[0];
            let want = sums[2] / sums[0] - want_mean * want_mean;
            let draws: Vec<f64> = (0..100_000).map(|_| standard_in(a, b, rng) - peak).collect();
            assert!(draws.iter().all(|x| (a..=b).contains(&(x + peak))), "{a} to {b}");
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            // Five standard errors of the mean; the exponential's fourth moment is the largest of all.
            let allowed = 5.0 * (want / draws.len() as f64).sqrt();
            assert!((mean - want_mean).abs() < allowed, "{a} to {b}: mean {mean}, not {want_mean}");
            assert!((variance / want - 1.0).abs() < 0.045, "{a} to {b}: variance {variance}, not {want}");
        }
    }

    #[test]
    fn truncated_normal_takes_its_bounds_as_values() {
        let draw = truncated_normal(&[1000, 1000], (0.1, 0.5), (-0.4, 1.5), &mut Rng::seed(3)).unwrap();
        let (mean, variance) = moments(&draw);
        assert!((mean / 0.239_519_653_405_699_53 - 1.0).abs() < 0.01, "{mean}");
        assert!((variance / 0.151_809_522_946_572_35 - 1.0).abs() < 0.01, "{variance}");
        assert!(draw.iter().all(|x| (-0.4f32..=1.5).contains(x)));
    }
}
