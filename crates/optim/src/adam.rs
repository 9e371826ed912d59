//! Adam and AdamW.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Step},
    settings::{INF, settings},
};

settings! {
    /// Adam:
    ///
    /// ```text
    /// g ← g + λθ
    /// m ← β1 m + (1 - β1) g
    /// v ← β2 v + (1 - β2) g²
    /// θ ← θ - η (m / c1) / (√(v / c2) + ε),   c_i = 1 - β_i^t
    /// ```
    ///
    /// With `amsgrad`, the largest `v` so far stands in the denominator.
    ///
    /// # Source
    /// Kingma & Ba 2015, arXiv:1412.6980, algorithm 1; Reddi et al. 2018, arXiv:1904.09237.
    pub struct Adam {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether the denominator never shrinks.
        amsgrad: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

settings! {
    /// Adam with decoupled weight decay: `θ ← θ (1 - ηλ)`, then Adam without λ.
    ///
    /// # Source
    /// Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with the decay scaled by η.
    pub struct AdamW {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, decoupled.
        weight_decay: f64 in (0.0..INF) = 1e-2,
        /// Whether the denominator never shrinks.
        amsgrad: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Adam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let kept = [Slot::flat("exp_avg"), Slot::flat("exp_avg_sq")];
        let corrections = [Slot::scalar("correction1", 0.0), Slot::scalar("correction2", 0.0)];
        kept.into_iter().chain(corrections).chain(self.amsgrad.then(|| Slot::flat("max_exp_avg_sq"))).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        self.adaptive(s, &p, &g)
    }
}

impl Adam {
    /// The part that Adam and AdamW share.
    fn adaptive(&self, s: &mut Step, p: &Tensor, g: &Tensor) -> Tensor {
        let beta1 = &s.setting("beta1", self.beta1);
        let m = s.mean("exp_avg", beta1, g);
        let v = s.mean("exp_avg_sq", self.beta2, &(g * g));
        let c1 = s.correction("correction1", beta1);
        let c2 = s.correction("correction2", self.beta2);
        let largest = self.amsgrad.then(|| s.get("max_exp_avg_sq").maximum(&v));
        if let Some(largest) = &largest {
            s.set("max_exp_avg_sq", largest);
        }
        // Per-step numbers first: the per-element part is then a root, a sum and a quotient.
        let (rate, root) = (s.lr() / c1, c2.rsqrt());
        p - rate * m / (largest.unwrap_or(v).sqrt() * root + self.eps)
    }
}

impl AdamW {
    fn coupled(&self) -> Adam {
        let AdamW { lr, beta1, beta2, eps, weight_decay: _, amsgrad, maximize } = *self;
        Adam { lr, beta1, beta2, eps, weight_decay: 0.0, amsgrad, maximize }
    }
}

impl Rule for AdamW {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        self.coupled().slots()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, true);
        self.coupled().adaptive(s, &p, &g)
    }
}
