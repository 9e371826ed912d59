//! Where along a direction to go.

use thalweg_graph::Result;

/// The strong Wolfe conditions on `φ(t) = f(θ + t d)`:
///
/// ```text
/// φ(t) ≤ φ(0) + c1 t φ'(0),   |φ'(t)| ≤ c2 |φ'(0)|
/// ```
///
/// # Source
/// Nocedal & Wright 2006, "Numerical optimization", algorithms 3.5 and 3.6, with the interpolations of PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct StrongWolfe {
    /// How much of the slope the value must fall by.
    pub c1: f64,
    /// How much of the slope may be left.
    pub c2: f64,
    /// How often the function may be evaluated.
    pub max_eval: usize,
}

impl Default for StrongWolfe {
    fn default() -> StrongWolfe {
        StrongWolfe { c1: 1e-4, c2: 0.9, max_eval: 25 }
    }
}

/// A bracket this short, times the largest component of the direction, is not searched further.
const SHORTEST: f64 = 1e-9;

/// A point of the line: `t`, `φ(t)`, `φ'(t)`, and the gradient there.
#[derive(Clone, Debug)]
pub struct Point {
    pub t: f64,
    pub value: f64,
    pub slope: f64,
    pub gradient: Vec<f64>,
}

impl StrongWolfe {
    /// A point where the conditions hold, or the best one that was found; `longest` is the largest component of the direction.
    pub fn search(
        &self,
        start: Point,
        first: f64,
        longest: f64,
        max_eval: usize,
        mut evaluate: impl FnMut(f64) -> Result<Point>,
    ) -> Result<Point> {
        let max_eval = max_eval.min(self.max_eval);
        let (origin, slope) = (start.value, start.slope);
        // Also of a value that is not a number: it lies too high.
        let falls = |p: &Point| p.value <= origin + self.c1 * p.t * slope;
        let is_flat = |p: &Point| p.slope.abs() <= -self.c2 * slope;

        // Ever longer steps, until a minimum lies behind.
        let (mut before, mut now) = (start.clone(), evaluate(first)?);
        let mut turns = 0;
        let mut bracket = loop {
            if turns >= max_eval {
                break [start, now];
            }
            if !falls(&now) || (turns > 1 && now.value >= before.value) {
                break [before, now];
            }
            if is_flat(&now) {
                return Ok(now);
            }
            if now.slope >= 0.0 {
                break [before, now];
            }
            let bounds = (now.t + 0.01 * (now.t - before.t), 10.0 * now.t);
            let next = evaluate(cubic(&before, &now, bounds))?;
            (before, now) = (now, next);
            turns += 1;
        };

        // Ever shorter brackets. `low` has the lower value.
        let lower = |b: &[Point; 2]| usize::from(b[1].value < b[0].value);
        let mut low = lower(&bracket);
        let mut stuck = false;
        while turns < max_eval {
            let (left, right) = ends(&bracket);
            if (right - left) * longest < SHORTEST {
                break;
            }
            let mut t = cubic(&bracket[0], &bracket[1], (left, right));
            let margin = 0.1 * (right - left);
            if (right - t).min(t - left) < margin {
                let outside = t >= right || t <= left;
                if stuck || outside {
                    t = if right - t < t - left { right - margin } else { left + margin };
                    stuck = false;
                } else {
                    stuck = true;
                }
            } else {
                stuck = false;
            }
            let now = evaluate(t)?;
            turns += 1;
            if !falls(&now) || now.value >= bracket[low].value {
                bracket[1 - low] = now;
                low = lower(&bracket);
                continue;
            }
            let good = is_flat(&now);
            if !good && now.slope * (bracket[1 - low].t - bracket[low].t) >= 0.0 {
                bracket[1 - low] = bracket[low].clone();
            }
            bracket[low] = now;
            if good {
                break;
            }
        }
        let [a, b] = bracket;
        Ok(if low == 0 { a } else { b })
    }
}

fn ends([a, b]: &[Point; 2]) -> (f64, f64) {
    (a.t.min(b.t), a.t.max(b.t))
}

/// The minimum of the cubic through two points with their slopes, within bounds; their middle where there is none.
fn cubic(a: &Point, b: &Point, (low, high): (f64, f64)) -> f64 {
    let (a, b) = if a.t <= b.t { (a, b) } else { (b, a) };
    let d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t);
    let d2 = (d1 * d1 - a.slope * b.slope).sqrt();
    let t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    if t.is_nan() { low.midpoint(high) } else { t.max(low).min(high) }
}
