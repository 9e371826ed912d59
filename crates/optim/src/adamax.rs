//! Adamax.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Adam with the infinity norm:
    ///
    /// ```text
    /// g ← g + λθ
    /// m ← β1 m + (1 - β1) g
    /// u ← max(β2 u, |g| + ε)
    /// θ ← θ - η / (1 - β1^t) m / u
    /// ```
    ///
    /// # Source
    /// Kingma & Ba 2015, arXiv:1412.6980, algorithm 2, with PyTorch's ε.
    pub struct Adamax {
        /// η.
        lr: f64 in (0.0..INF) = 2e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, inside the maximum.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Adamax {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("exp_avg"), Slot::flat("exp_inf"), Slot::scalar("correction1", 0.0)]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let beta1 = s.setting("beta1", self.beta1);
        let m = s.mean("exp_avg", &beta1, &g);
        let u = (s.get("exp_inf") * self.beta2).maximum(g.abs() + self.eps);
        s.set("exp_inf", &u);
        let c = s.correction("correction1", &beta1);
        p - s.lr() / c * m / u
    }
}
