//! L-BFGS.

mod line_search;
mod memory;
mod optimizer;
#[cfg(test)]
mod tests;

use thalweg_graph::{Error, ErrorKind, Result};

pub use line_search::StrongWolfe;
pub use optimizer::LbfgsOptimizer;

use line_search::Point;
use memory::{Memory, add, dot, largest};

/// Limited-memory BFGS: a quasi-Newton method for functions that are the same at every evaluation, such as the loss over all data.
///
/// ```text
/// d = -H g,  H from the latest pairs s = t d, y = g - g_prev with yᵀs > 10⁻¹⁰, H₀ = yᵀs / yᵀy
/// t = min(1, 1 / ‖g‖₁) η at first, then η;  a line search, if there is one, begins there
/// θ ← θ + t d
/// ```
///
/// A call ends after `max_iter` of these or `max_eval` evaluations, and as soon as `max |g| ≤ tolerance_grad`, or `max |t d|`, `|Δf|` or
/// `|gᵀd|` is within `tolerance_change`. What it keeps lies on the host in f64, `2 history` times the parameters. A loss in f32 has seven
/// digits: a `tolerance_change` below 10⁻⁷ of it asks only whether it changed at all.
///
/// ```ignore
/// let opt = Lbfgs::default().init(&net)?;
/// for _ in 0..20 {
///     let loss = opt.step(|| net.forward(&x).mse(&y))?;
/// }
/// ```
///
/// # Source
/// Liu & Nocedal 1989, "On the limited memory BFGS method for large scale optimization", in PyTorch's form.
#[derive(Clone, Debug, PartialEq)]
pub struct Lbfgs {
    /// η.
    pub lr: f64,
    /// Iterations of a call.
    pub max_iter: usize,
    /// Evaluations of a call; a quarter more than iterations if not said.
    pub max_eval: Option<usize>,
    /// The largest component of a gradient that is as good as none.
    pub tolerance_grad: f64,
    /// The largest change that is as good as none.
    pub tolerance_change: f64,
    /// How many pairs are kept.
    pub history: usize,
    /// The line search; without one every step is η long.
    pub line_search: Option<StrongWolfe>,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for Lbfgs {
    fn default() -> Lbfgs {
        Lbfgs {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history: 100,
            line_search: Some(StrongWolfe::default()),
            maximize: false,
        }
    }
}

impl Lbfgs {
    fn check(&self) -> std::result::Result<(), String> {
        let positive = |x: f64| x >= 0.0 && x.is_finite();
        let wolfe = self.line_search.as_ref().is_none_or(|w| 0.0 < w.c1 && w.c1 < w.c2 && w.c2 < 1.0);
        match positive(self.lr) && positive(self.tolerance_grad) && positive(self.tolerance_change) && wolfe {
            true => Ok(()),
            false => Err(format!("{self:?}: needs a rate, tolerances that are not negative, and 0 < c1 < c2 < 1")),
        }
    }

    /// One call: moves `theta`, by a function that gives value and gradient. Gives the value where it began.
    fn minimize(
        &self,
        memory: &mut Memory,
        theta: &mut [f64],
        mut evaluate: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>)>,
    ) -> Result<f64> {
        let max_eval = self.max_eval.unwrap_or(self.max_iter * 5 / 4);
        let (mut f, mut g) = evaluate(theta)?;
        let first = f;
        let mut evaluations = 1;
        memory.evaluations += 1;
        if !f.is_finite() {
            return Err(Error::new("lbfgs", ErrorKind::Invalid(format!("the loss is {f} where the search begins"))));
        }
        let is_flat = |g: &[f64]| largest(g) <= self.tolerance_grad;
        if is_flat(&g) {
            return Ok(first);
        }
        for n in 1..=self.max_iter {
            memory.iterations += 1;
            let is_first = memory.iterations == 1;
            if !is_first {
                memory.note(&g, self.history);
            }
            let d = memory.descent(&g);
            memory.t =
                if is_first { (1.0 / g.iter().map(|g| g.abs()).sum::<f64>()).min(1.0) * self.lr } else { self.lr };
            let (slope, before) = (dot(&g, &d), f);
            (memory.direction, memory.gradient) = (d, g.clone());
            let (d, left) = (&memory.direction, max_eval.saturating_sub(evaluations));
            if slope > -self.tolerance_change {
                break;
            }
            let mut at = |t: f64| {
                let mut trial = theta.to_vec();
                add(&mut trial, t, d);
                evaluations += 1;
                memory.evaluations += 1;
                evaluate(&trial)
            };
            if let Some(wolfe) = &self.line_search {
                let start = Point { t: 0.0, value: f, slope, gradient: g };
                let found = wolfe.search(start, memory.t, largest(d), left, |t| {
                    let (value, gradient) = at(t)?;
                    Ok(Point { t, value, slope: dot(&gradient, d), gradient })
                })?;
                (memory.t, f, g) = (found.t, found.value, found.gradient);
            } else if n < self.max_iter {
                // The last point of a call is evaluated by the next one.
                (f, g) = at(memory.t)?;
            }
            add(theta, memory.t, d);
            let still =
                memory.t.abs() * largest(d) <= self.tolerance_change || (f - before).abs() < self.tolerance_change;
            if evaluations >= max_eval || is_flat(&g) || still {
                break;
            }
        }
        Ok(first)
    }
}
