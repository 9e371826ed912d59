//! NAdam.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Adam with Nesterov's momentum:
    ///
    /// ```text
    /// g ← g + λθ
    /// m ← β1 m + (1 - β1) g
    /// v ← β2 v + (1 - β2) g²
    /// μ_t = β1 (1 - ½ 0.96^(t ψ)),   P_t = μ_1 μ_2 .. μ_t
    /// θ ← θ - η ((1 - μ_t) / (1 - P_t) g + μ_{t+1} / (1 - P_{t+1}) m) / (√(v / (1 - β2^t)) + ε)
    /// ```
    ///
    /// # Source
    /// Dozat 2016, "Incorporating Nesterov momentum into Adam"; the schedule of μ is that of PyTorch.
    pub struct NAdam {
        /// η.
        lr: f64 in (0.0..INF) = 2e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, coupled unless it is said to be decoupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// ψ.
        momentum_decay: f64 in (0.0..INF) = 4e-3,
        /// Whether λ is decoupled: `θ ← θ (1 - ηλ)` in place of `g ← g + λθ`.
        decoupled_weight_decay: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for NAdam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let kept = [Slot::flat("exp_avg"), Slot::flat("exp_avg_sq")];
        kept.into_iter().chain([Slot::scalar("correction2", 0.0), Slot::scalar("mu_product", 1.0)]).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, self.decoupled_weight_decay);
        let beta1 = s.setting("beta1", self.beta1);
        let m = s.mean("exp_avg", &beta1, &g);
        let v = s.mean("exp_avg_sq", self.beta2, &(&g * &g));
        let mu = |t: Tensor| (1.0 - (t * (self.momentum_decay * 0.96f64.ln())).exp() * 0.5) * &beta1;
        let (now, next) = (mu(s.t()), mu(s.t() + 1.0));
        let product = s.get("mu_product") * &now;
        s.set("mu_product", &product);
        let of_g = s.lr() * (1.0 - now) / (1.0 - &product);
        let of_m = s.lr() * &next / (1.0 - product * next);
        let root = s.correction("correction2", self.beta2).rsqrt();
        p - (of_g * g + of_m * m) / (v.sqrt() * root + self.eps)
    }
}
