//! Adagrad.

use thalweg_graph::Tensor;

use crate::{
    parts::EpsMode,
    rule::{Rule, Settings, Slot, Start, Step},
    settings::{INF, settings},
};

settings! {
    /// Adagrad, whose rates shrink with the sum of squared gradients:
    ///
    /// ```text
    /// g ← g + λθ
    /// G ← G + g²
    /// θ ← θ - η_t g / (√G + ε),   η_t = η / (1 + (t - 1) lr_decay)
    /// ```
    ///
    /// # Source
    /// Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization", with the diagonal of G.
    pub struct Adagrad {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// By how much the rate falls with the steps.
        lr_decay: f64 in (0.0..INF) = 0.0,
        /// ε.
        eps: f64 in (0.0..INF) = 1e-10,
        /// Where ε stands.
        eps_mode: EpsMode = EpsMode::Outside,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// G at the start.
        initial_accumulator_value: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Adagrad {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let start = Start::At(self.initial_accumulator_value);
        vec![Slot::Flat { name: "sum", start, dtype: None }]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let sum = s.get("sum") + &g * &g;
        s.set("sum", &sum);
        let rate = match self.lr_decay {
            0.0 => s.lr().clone(),
            decay => s.lr() / ((s.t() - 1.0) * decay + 1.0),
        };
        p - rate * g / self.eps_mode.root(&sum, self.eps)
    }
}
