//! Rprop.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Start, Step},
    settings::{INF, settings},
};

settings! {
    /// Resilient propagation, for full batches: steps of sizes of their own, by the signs of the gradients alone.
    ///
    /// ```text
    /// s = sign(g · g_before)
    /// δ ← min(max(δ · (η+ if s > 0, η- if s < 0, else 1), δ_min), δ_max),   δ_0 = η
    /// g ← 0 where s < 0
    /// θ ← θ - sign(g) δ
    /// ```
    ///
    /// The rate is the first size of all steps, and nothing after that.
    ///
    /// # Source
    /// Riedmiller & Braun 1993, "A direct adaptive method for faster backpropagation learning", without its way back.
    pub struct Rprop {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// η-.
        eta_minus: f64 in (0.0..1.0) = 0.5,
        /// η+.
        eta_plus: f64 in (1.0..INF) = 1.2,
        /// δ_min.
        step_min: f64 in (0.0..INF) = 1e-6,
        /// δ_max.
        step_max: f64 in (0.0..INF) = 50.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Rprop {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let size = Slot::Flat { name: "step_size", start: Start::At(self.lr), dtype: None };
        vec![Slot::flat("prev"), size]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let g = s.descent(self.maximize, 0.0);
        let turn = g.sign() * s.get("prev").sign();
        let size = s.get("step_size");
        let size = turn.gt(0.0).where_(&size * self.eta_plus, turn.lt(0.0).where_(&size * self.eta_minus, &size));
        let size = size.clamp(self.step_min, self.step_max);
        let g = turn.lt(0.0).where_(0.0, g);
        s.set("step_size", &size);
        s.set("prev", &g);
        s.params() - g.sign() * size
    }
}
