//! Sophia-G.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// A step against momentum by an estimate of the curvature of each parameter, cut off where that is small or not known:
    ///
    /// ```text
    /// m ← β1 m + (1 - β1) g
    /// θ ← θ (1 - ηλ)
    /// θ ← θ - η clip(m / max(γ h, ε), -1, 1)
    ///
    /// h ← β2 h + (1 - β2) B ĝ²,   every k steps
    /// ```
    ///
    /// `ĝ` is the gradient of a loss whose labels were drawn from the model's own predictions, a mean over B samples. Every 10 steps or so
    /// it is given by [`Optimizer::observe`](crate::Optimizer::observe); without it this goes by signs.
    ///
    /// # Source
    /// Liu et al. 2023, arXiv:2305.14342, algorithms 2 and 3.
    pub struct SophiaG {
        /// η.
        lr: f64 in (0.0..INF) = 1e-4,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.965,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.99,
        /// γ.
        gamma: f64 in (0.0..INF) = 0.05,
        /// B: over how many samples the observed loss is a mean.
        batch: f64 in (1.0..INF) = 1.0,
        /// ε.
        eps: f64 in (f64::MIN_POSITIVE..INF) = 1e-12,
        /// λ, decoupled.
        weight_decay: f64 in (0.0..INF) = 0.1,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for SophiaG {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("exp_avg"), Slot::flat("hessian")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn observe(&self, s: &mut Step) {
        let square = s.grad().square() * self.batch;
        let _ = s.mean("hessian", self.beta2, &square);
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, true);
        let m = s.mean("exp_avg", s.setting("beta1", self.beta1), &g);
        let h = s.get("hessian");
        p - s.lr() * (m / (h * self.gamma).maximum(self.eps)).clamp(-1.0, 1.0)
    }
}
