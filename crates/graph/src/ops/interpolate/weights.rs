//! What each output of a resized axis is made of, computed on the host.

use super::resize::{Resample, Resize, Target};

/// How one axis is resampled.
#[derive(Debug, PartialEq)]
pub enum Axis {
    /// It is left alone.
    Same,
    /// Each element this many times.
    Repeat(usize),
    /// The elements at these positions.
    Pick(Vec<usize>),
    /// The product with this row-major `[out, in]` matrix.
    Weigh(Vec<f64>),
}

/// The most weights, or positions, of an axis.
const MAX_WEIGHTS: usize = 1 << 28;

/// The map of every axis; or what does not fit.
pub fn axes(resize: &Resize, extents: &[usize]) -> Result<Vec<Axis>, String> {
    let smooth = matches!(resize.mode, Resample::Linear | Resample::Cubic);
    if !smooth && (resize.align_corners || resize.antialias) {
        return Err(format!("{:?} has neither aligned corners nor antialiasing", resize.mode));
    }
    let n = extents.len();
    let sized: Vec<(usize, Option<f64>)> = match &resize.to {
        Target::Size(size) if size.len() == n && !size.contains(&0) => size.iter().map(|s| (*s, None)).collect(),
        Target::Size(size) => return Err(format!("size {size:?} does not fit {n} axes of extent 1 or more")),
        Target::Factor(factors) => {
            let one = (factors.len() == 1).then(|| vec![factors[0]; n]);
            let sized: Vec<(usize, Option<f64>)> = one
                .unwrap_or_else(|| factors.clone())
                .iter()
                .zip(extents)
                .map(|(f, extent)| ((*extent as f64 * f).floor() as usize, Some(*f)))
                .collect();
            if sized.len() != n || (factors.len() != 1 && factors.len() != n) || sized.iter().any(|(s, _)| *s == 0) {
                return Err(format!("factors {factors:?} do not fit extents {extents:?}"));
            }
            if factors.iter().any(|f| !f.is_finite()) {
                return Err(format!("factors {factors:?} are not finite"));
            }
            sized
        }
    };
    // What is made on the host, of each axis.
    let made = |(out, extent): (usize, usize)| {
        if smooth || resize.mode == Resample::Area { out.saturating_mul(extent) } else { out }
    };
    if let Some(((out, _), extent)) = sized.iter().zip(extents).find(|((out, _), n)| made((*out, **n)) > MAX_WEIGHTS) {
        return Err(format!(
            "an axis of {extent} resampled to {out} is too large: it needs more than {MAX_WEIGHTS} weights"
        ));
    }
    let one = |((out, factor), extent): ((usize, Option<f64>), &usize)| axis(resize, *extent, out, factor, n == 2);
    Ok(sized.into_iter().zip(extents).map(one).collect())
}

/// `image`: whether there are two axes to resize.
fn axis(resize: &Resize, input: usize, out: usize, factor: Option<f64>, image: bool) -> Axis {
    // Whether an extent that a factor leaves as it is, such as ⌊2 · 1.3⌋, is copied instead of stretched and cut; and
    // whether one that it doubles is repeated. Results are those of PyTorch on the CPU, which does so here and not
    // elsewhere.
    let copied = match resize.mode {
        Resample::Nearest => image,
        Resample::Linear => true,
        Resample::Cubic => resize.antialias,
        Resample::NearestExact | Resample::Area => false,
    };
    if copied && out == input {
        return Axis::Same;
    }
    if copied && out == 2 * input && resize.mode == Resample::Nearest {
        return Axis::Repeat(2);
    }
    let exact = resize.mode == Resample::NearestExact;
    if matches!(resize.mode, Resample::Nearest | Resample::NearestExact) {
        return nearest(exact, input, out, factor);
    }
    if resize.mode == Resample::Area {
        // The elements from ⌊i in / out⌋ to ⌈(i + 1) in / out⌉, evenly.
        return of_rows(input, out, |i| {
            let (start, end) = (i * input / out, ((i + 1) * input).div_ceil(out));
            (start as isize, vec![1.0; end - start])
        });
    }
    // Input elements a step of the output covers.
    let step = match (resize.align_corners, factor) {
        (true, _) if out > 1 => (input as f64 - 1.0) / (out as f64 - 1.0),
        (true, _) => 0.0,
        (false, Some(factor)) => 1.0 / factor,
        (false, None) => input as f64 / out as f64,
    };
    let cubic = resize.mode == Resample::Cubic;
    if resize.antialias {
        return of_rows(input, out, |i| antialiased(cubic, input, step, i));
    }
    of_rows(input, out, |i| {
        let at = if resize.align_corners { i as f64 * step } else { (i as f64 + 0.5) * step - 0.5 };
        match cubic {
            true => {
                let first = at.floor();
                let t = at - first;
                let taps = [t + 1.0, t, 1.0 - t, 2.0 - t].map(|x| keys(x, -0.75));
                (first as isize - 1, taps.to_vec())
            }
            false => {
                let at = at.max(0.0);
                let first = at.floor();
                (first as isize, vec![1.0 - (at - first), at - first])
            }
        }
    })
}

/// Positions rounded to f32 and then down, as PyTorch does it: what is a whole number but for rounding counts as one.
fn nearest(exact: bool, input: usize, out: usize, factor: Option<f64>) -> Axis {
    let step = factor.map_or(input as f64 / out as f64, |f| 1.0 / f);
    let shift = if exact { 0.5 } else { 0.0 };
    let position = |i: usize| (((i as f64 + shift) * step) as f32).floor() as usize;
    let positions: Vec<usize> = (0..out).map(|i| position(i).min(input - 1)).collect();
    let times = out / input;
    match out.is_multiple_of(input) && positions.iter().enumerate().all(|(i, p)| *p == i / times) {
        true if times == 1 => Axis::Same,
        true => Axis::Repeat(times),
        false => Axis::Pick(positions),
    }
}

/// A matrix from each row's first position and the weights from there on, which are scaled to a sum of 1. What lies
/// outside counts for the edge.
fn of_rows(input: usize, out: usize, row: impl Fn(usize) -> (isize, Vec<f64>)) -> Axis {
    let mut matrix = vec![0.0; out * input];
    for i in 0..out {
        let (first, weights) = row(i);
        let sum: f64 = weights.iter().sum();
        for (j, w) in weights.iter().enumerate() {
            let at = (first + j as isize).clamp(0, input as isize - 1) as usize;
            matrix[i * input + at] += w / sum;
        }
    }
    let same = input == out && (0..out * input).all(|i| matrix[i] == f64::from(u8::from(i % (input + 1) == 0)));
    if same { Axis::Same } else { Axis::Weigh(matrix) }
}

/// A filter as wide as a step where that is more than one element, cut at the edges.
fn antialiased(cubic: bool, input: usize, step: f64, i: usize) -> (isize, Vec<f64>) {
    let stretch = step.max(1.0);
    let support = if cubic { 2.0 } else { 1.0 } * stretch;
    let centre = step * (i as f64 + 0.5);
    let start = ((centre - support + 0.5).trunc() as isize).max(0);
    let end = ((centre + support + 0.5).trunc() as isize).min(input as isize);
    let filter = |j: isize| {
        let x = ((j as f64 - centre + 0.5) / stretch).abs();
        if cubic { keys(x, -0.5) } else { (1.0 - x).max(0.0) }
    };
    (start, (start..end).map(filter).collect())
}

/// The cubic convolution kernel at distance `x ≥ 0`.
fn keys(x: f64, a: f64) -> f64 {
    match x {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_factors_are_views_and_kept_extents_nothing() {
        let of = |resize: Resize, extents: &[usize]| axes(&resize, extents).unwrap();
        assert_eq!(of(Resize::size(&[6, 4], Resample::Nearest), &[3, 4]), [Axis::Repeat(2), Axis::Same]);
        assert_eq!(of(Resize::size(&[2], Resample::Nearest), &[5]), [Axis::Pick(vec![0, 2])]);
        assert_eq!(of(Resize::size(&[2], Resample::NearestExact), &[5]), [Axis::Pick(vec![1, 3])]);
        assert_eq!(of(Resize::size(&[7], Resample::Linear), &[7]), [Axis::Same]);
        // ⌊2 · 1.3⌋ is 2, ⌊2 · 2.3⌋ is 4.
        assert_eq!(of(Resize::factor(1.3, Resample::Linear), &[2]), [Axis::Same]);
        assert_eq!(of(Resize::factor(1.3, Resample::Nearest), &[3, 3]), [Axis::Same, Axis::Same]);
        assert_eq!(of(Resize::factor(1.3, Resample::Nearest), &[3]), [Axis::Pick(vec![0, 0, 1])]);
        assert_eq!(of(Resize::factor(2.3, Resample::Nearest), &[2, 2]), [Axis::Repeat(2), Axis::Repeat(2)]);
        assert_eq!(of(Resize::factor(1.3, Resample::NearestExact), &[3]), [Axis::Pick(vec![0, 1, 1])]);
        assert_eq!(
            of(Resize::size(&[2], Resample::Area), &[4]),
            [Axis::Weigh([0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5].into())]
        );
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let error = |resize: Resize| axes(&resize, &[3, 4]).unwrap_err();
        assert!(error(Resize::size(&[3], Resample::Linear)).contains("size [3] does not fit 2 axes"));
        assert!(error(Resize::size(&[0, 1], Resample::Linear)).contains("extent 1 or more"));
        assert!(error(Resize::factor(0.1, Resample::Linear)).contains("do not fit extents [3, 4]"));
        assert!(
            error(Resize { align_corners: true, ..Resize::size(&[1, 1], Resample::Area) }).contains("Area has neither")
        );
    }
}
