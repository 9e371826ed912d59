//! Averaged stochastic gradient descent.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Step},
    settings::{INF, settings},
};

settings! {
    /// Averaged stochastic gradient descent:
    ///
    /// ```text
    /// g ← g + λθ
    /// θ ← θ (1 - Λ η_t) - η_t g,   η_t = η / (1 + Λη (t - 1))^α
    /// a ← a + (θ - a) / max(1, t - 1 - t0)
    /// ```
    ///
    /// What is to be evaluated is the average `a`: [`Optimizer::during`](crate::Optimizer::during).
    ///
    /// # Source
    /// Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the rates are those of Bottou's SGD, as in PyTorch.
    pub struct Asgd {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// Λ.
        lambd: f64 in (0.0..INF) = 1e-4,
        /// α.
        alpha: f64 in (0.0..INF) = 0.75,
        /// The step at which averaging begins.
        t0: f64 in (0.0..INF) = 1e6,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Asgd {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("ax")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn evaluated(&self, s: &Step) -> Option<Tensor> {
        // Before the first step there is no average.
        Some(s.t().gt(1.0).where_(s.get("ax"), s.params()))
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let before = s.t() - 1.0;
        let rate = s.lr() * ((s.lr() * &before * self.lambd).log1p() * -self.alpha).exp();
        let p = p * (1.0 - &rate * self.lambd) - rate * g;
        let n = (before - self.t0).maximum(1.0);
        let a = s.get("ax");
        let a = n.eq(1.0).where_(&p, &a + (&p - &a) / n);
        s.set("ax", &a);
        p
    }
}
