//! LAMB.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Adam with steps in proportion to each tensor's norm, for large batches:
    ///
    /// ```text
    /// m ← β1 m + (1 - β1) g
    /// v ← β2 v + (1 - β2) g²
    /// r = (m / c1) / (√(v / c2) + ε) + λθ,   c_i = 1 - β_i^t
    /// q = φ(‖θ‖) / ‖r‖ if both norms are positive, else 1;   φ(z) = min(max(z, φ_low), φ_high)
    /// θ ← θ - η q r
    /// ```
    ///
    /// Biases and norms go without λ and `trust`, by a [group](crate::Optimizer::group) of their own.
    ///
    /// # Source
    /// You et al. 2020, arXiv:1904.00962, algorithm 2.
    pub struct Lamb {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (f64::MIN_POSITIVE..INF) = 1e-6,
        /// λ, inside the step.
        weight_decay: f64 in (0.0..INF) = 1e-2,
        /// φ_low.
        phi_low: f64 in (0.0..INF) = 0.0,
        /// φ_high.
        phi_high: f64 = INF,
        /// Whether steps are in proportion to norms; q is 1 if not.
        trust: bool = true,
        /// Whether moments are divided by c.
        bias_correction: bool = true,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Lamb {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let kept = [Slot::flat("exp_avg"), Slot::flat("exp_avg_sq")];
        kept.into_iter().chain([Slot::scalar("correction1", 0.0), Slot::scalar("correction2", 0.0)]).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, 0.0, true);
        let beta1 = s.setting("beta1", self.beta1);
        let m = s.mean("exp_avg", &beta1, &g);
        let v = s.mean("exp_avg_sq", self.beta2, &(&g * &g));
        let c1 = s.correction("correction1", &beta1);
        let c2 = s.correction("correction2", self.beta2);
        let r = match self.bias_correction {
            true => m / c1 / (v.sqrt() * c2.rsqrt() + self.eps),
            false => m / (v.sqrt() + self.eps),
        };
        let r = if self.weight_decay == 0.0 { r } else { r + &p * self.weight_decay };
        if !self.trust {
            return p - s.lr() * r;
        }
        let (of_p, of_r) = (s.norms(&p), s.norms(&r));
        let q = of_p.clamp(self.phi_low, self.phi_high) / &of_r;
        let q = (of_p.gt(0.0) & of_r.gt(0.0)).where_(q, 1.0);
        p - s.lr() * s.layout().spread(&q) * r
    }
}
