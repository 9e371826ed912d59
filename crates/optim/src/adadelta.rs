//! Adadelta.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Step},
    settings::{INF, settings},
};

settings! {
    /// Adadelta, whose steps have the units of the parameters:
    ///
    /// ```text
    /// g ← g + λθ
    /// v ← ρ v + (1 - ρ) g²
    /// d = √(a + ε) / √(v + ε) g
    /// a ← ρ a + (1 - ρ) d²
    /// θ ← θ - η d
    /// ```
    ///
    /// # Source
    /// Zeiler 2012, arXiv:1212.5701, algorithm 1, with a rate η as in PyTorch.
    pub struct Adadelta {
        /// η.
        lr: f64 in (0.0..INF) = 1.0,
        /// ρ.
        rho: f64 in (0.0..1.0) = 0.9,
        /// ε, inside the roots.
        eps: f64 in (0.0..INF) = 1e-6,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Adadelta {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("square_avg"), Slot::flat("acc_delta")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let v = s.mean("square_avg", self.rho, &(&g * &g));
        let a = s.get("acc_delta");
        let d = (&a + self.eps).sqrt() / (v + self.eps).sqrt() * g;
        s.set("acc_delta", &(a * self.rho + &d * &d * (1.0 - self.rho)));
        p - s.lr() * d
    }
}
