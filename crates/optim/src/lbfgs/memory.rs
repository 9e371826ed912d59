//! What L-BFGS knows of the curvature, on the host and in f64: its sums decide about steps, and f32 would not tell them apart.

use std::collections::VecDeque;

/// A step and how the gradient changed along it: `s`, `y`, `ρ = 1 / yᵀs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub s: Vec<f64>,
    pub y: Vec<f64>,
    pub rho: f64,
}

/// What goes on from call to call.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The latest pairs, the oldest in front.
    pub pairs: VecDeque<Pair>,
    /// H₀, the scale of the first guess at the inverse Hessian.
    pub scale: f64,
    /// The latest direction, how far it was gone, and the gradient before.
    pub direction: Vec<f64>,
    pub t: f64,
    pub gradient: Vec<f64>,
    pub iterations: u64,
    pub evaluations: u64,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            pairs: VecDeque::new(),
            scale: 1.0,
            direction: Vec::new(),
            t: 0.0,
            gradient: Vec::new(),
            iterations: 0,
            evaluations: 0,
        }
    }
}

/// Curvature along a step below which it says nothing.
const LEAST_CURVATURE: f64 = 1e-10;

impl Memory {
    /// Notes what came of the latest direction: `s = t d`, `y = g - g_prev`.
    pub fn note(&mut self, gradient: &[f64], history: usize) {
        let s: Vec<f64> = self.direction.iter().map(|d| self.t * d).collect();
        let y: Vec<f64> = gradient.iter().zip(&self.gradient).map(|(g, before)| g - before).collect();
        let ys = dot(&y, &s);
        if ys > LEAST_CURVATURE && history > 0 {
            while self.pairs.len() >= history {
                self.pairs.pop_front();
            }
            self.scale = ys / dot(&y, &y);
            self.pairs.push_back(Pair { s, y, rho: 1.0 / ys });
        }
    }

    /// `-H g`, by the two loops over the pairs.
    ///
    /// # Source
    /// Nocedal & Wright 2006, "Numerical optimization", algorithm 7.4.
    pub fn descent(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for Pair { s, y, rho } in self.pairs.iter().rev() {
            let alpha = rho * dot(s, &q);
            add(&mut q, -alpha, y);
            alphas.push(alpha);
        }
        q.iter_mut().for_each(|q| *q *= self.scale);
        for (Pair { s, y, rho }, alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * dot(y, &q);
            add(&mut q, alpha - beta, s);
        }
        q
    }
}

/// `aᵀb`, summed in pairs: the error grows with the logarithm of the length.
///
/// # Source
/// Higham 1993, "The accuracy of floating point summation".
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    if a.len() <= 8 {
        return a.iter().zip(b).map(|(a, b)| a * b).sum();
    }
    let middle = a.len() / 2;
    dot(&a[..middle], &b[..middle]) + dot(&a[middle..], &b[middle..])
}

/// `x ← x + a y`.
pub fn add(x: &mut [f64], a: f64, y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += a * y);
}

/// `max |x_i|`.
pub fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |largest, x| x.abs().max(largest))
}
