//! RAdam.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Adam that goes by momentum alone until the variance of its denominator is known:
    ///
    /// ```text
    /// g ← g + λθ
    /// m ← β1 m + (1 - β1) g
    /// v ← β2 v + (1 - β2) g²
    /// r_t = r_∞ - 2t β2^t / (1 - β2^t),   r_∞ = 2 / (1 - β2) - 1
    /// l = √((1 - β2^t) (r_t - 4) (r_t - 2) r_∞ / ((r_∞ - 4) (r_∞ - 2) r_t)) / (√v + ε) if r_t > 5, else 1
    /// θ ← θ - η l m / (1 - β1^t)
    /// ```
    ///
    /// # Source
    /// Liu et al. 2020, arXiv:1908.03265, algorithm 2.
    pub struct RAdam {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, coupled unless it is said to be decoupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether λ is decoupled: `θ ← θ (1 - ηλ)` in place of `g ← g + λθ`.
        decoupled_weight_decay: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for RAdam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let kept = [Slot::flat("exp_avg"), Slot::flat("exp_avg_sq")];
        let numbers = ["correction1", "correction2", "length"].map(|number| Slot::scalar(number, 0.0));
        kept.into_iter().chain(numbers).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, self.decoupled_weight_decay);
        let beta1 = s.setting("beta1", self.beta1);
        let m = s.mean("exp_avg", &beta1, &g);
        let v = s.mean("exp_avg_sq", self.beta2, &(&g * &g));
        let r = self.length(s);
        let c1 = s.correction("correction1", &beta1);
        let c2 = s.correction("correction2", self.beta2);
        let most = 2.0 / (1.0 - self.beta2) - 1.0;
        let known = (c2 * (&r - 4.0) * (&r - 2.0) / &r * (most / ((most - 4.0) * (most - 2.0)))).sqrt();
        let l = r.gt(5.0).where_(known / (v.sqrt() + self.eps), 1.0);
        p - s.lr() / c1 * l * m
    }
}

impl RAdam {
    /// `r_t`. As it stands above, two numbers of thousands leave a small one; it is also the mean of 1, 3, 5, .. under the weights 1,
    /// β2, β2², ..: `Σ β2^i (2i + 1) / Σ β2^i` over `i < t`.
    fn length(&self, s: &mut Step) -> Tensor {
        let (sum, weights) = (s.get("length"), s.get("correction2"));
        let sum = (sum + &weights * 2.0) * self.beta2 + (1.0 - self.beta2);
        s.set("length", &sum);
        sum / (weights * self.beta2 + (1.0 - self.beta2))
    }
}
