//! Lion.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Lion, which goes by signs:
    ///
    /// ```text
    /// θ ← θ (1 - ηλ) - η sign(β1 m + (1 - β1) g)
    /// m ← β2 m + (1 - β2) g
    /// ```
    ///
    /// # Source
    /// Chen et al. 2023, arXiv:2302.06675, algorithm 2.
    pub struct Lion {
        /// η.
        lr: f64 in (0.0..INF) = 1e-4,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.99,
        /// λ, decoupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Lion {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("exp_avg")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, true);
        let m = s.get("exp_avg");
        let beta1 = s.setting("beta1", self.beta1);
        let direction = &m * &beta1 + &g * &beta1.rest();
        s.set("exp_avg", &(m * self.beta2 + g * (1.0 - self.beta2)));
        p - s.lr() * direction.sign()
    }
}
