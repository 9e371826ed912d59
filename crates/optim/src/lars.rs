//! LARS.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Momentum with a rate for each tensor, in proportion to its norm, for large batches:
    ///
    /// ```text
    /// q = κ ‖θ‖ / (‖g‖ + λ ‖θ‖) if both norms are positive, else 1
    /// b ← μ b + η q (g + λθ)
    /// θ ← θ - b
    /// ```
    ///
    /// Biases and norms go without λ and `trust`, by a [group](crate::Optimizer::group) of their own.
    ///
    /// # Source
    /// You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1.
    pub struct Lars {
        /// η.
        lr: f64 in (0.0..INF) = 0.1,
        /// μ.
        momentum: f64 in (0.0..INF) = 0.9,
        /// κ.
        kappa: f64 in (0.0..INF) = 1e-3,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether rates are in proportion to norms; q is 1 if not.
        trust: bool = true,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Lars {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("momentum_buffer")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, 0.0, false);
        let step = &g + &p * self.weight_decay;
        let step = match self.trust {
            true => {
                let (of_p, of_g) = (s.norms(&p), s.norms(&g));
                let q = &of_p * self.kappa / (&of_g + &of_p * self.weight_decay);
                let q = (of_p.gt(0.0) & of_g.gt(0.0)).where_(q, 1.0);
                s.layout().spread(&q) * step
            }
            false => step,
        };
        let b = s.get("momentum_buffer") * &s.setting("momentum", self.momentum) + s.lr() * step;
        s.set("momentum_buffer", &b);
        p - b
    }
}
