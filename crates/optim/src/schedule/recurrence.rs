//! Values that only the one before gives.

use std::sync::{Mutex, PoisonError};

/// `x_0 = start`, `x_{n+1} = next(n, x_n)`: a pure function of `n` that keeps the latest value, so that going on by one is one turn.
pub struct Recurrence {
    start: f64,
    latest: Mutex<(u64, f64)>,
}

impl Recurrence {
    pub fn new(start: f64) -> Recurrence {
        Recurrence { start, latest: Mutex::new((0, start)) }
    }

    /// `x_n`.
    pub fn at(&self, n: u64, next: impl Fn(u64, f64) -> f64) -> f64 {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut i, mut x) = if latest.0 <= n { *latest } else { (0, self.start) };
        while i < n {
            x = next(i, x);
            i += 1;
        }
        *latest = (n, x);
        x
    }
}
