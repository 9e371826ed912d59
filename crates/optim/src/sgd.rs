//! Stochastic gradient descent with momentum.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// Stochastic gradient descent, PyTorch's form of momentum:
    ///
    /// ```text
    /// g ← g + λθ
    /// b ← g in the first step, then b ← μ b + (1 - dampening) g
    /// θ ← θ - η (g + μ b if nesterov, else b)
    /// ```
    ///
    /// # Source
    /// Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", with PyTorch's first step.
    pub struct Sgd {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// μ.
        momentum: f64 in (0.0..INF) = 0.0,
        /// How much of the gradient the momentum leaves out.
        dampening: f64 = 0.0,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to look ahead.
        nesterov: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

settings! {
    /// Gradient descent along an exponential mean of the gradients:
    ///
    /// ```text
    /// g ← g + λθ
    /// v ← β v + (1 - β) g
    /// θ ← θ - η v
    /// ```
    ///
    /// What [`Sgd`] does with momentum β and rate `η (1 - β)`.
    ///
    /// # Source
    /// Polyak 1964, "Some methods of speeding up the convergence of iteration methods", with weights that add up to 1.
    pub struct SgdEma {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// β.
        beta: f64 in (0.0..1.0) = 0.9,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Sgd {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { vec![] } else { vec![Slot::flat("momentum_buffer")] }
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()?;
        match self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            true => Err("nesterov needs a momentum and no dampening".into()),
            false => Ok(()),
        }
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        if self.momentum == 0.0 {
            return p - s.lr() * g;
        }
        let momentum = &s.setting("momentum", self.momentum);
        let b = s.get("momentum_buffer") * momentum + &g * (1.0 - self.dampening);
        let b = s.t().eq(1.0).where_(&g, b);
        let p = p - s.lr() * if self.nesterov { g + &b * momentum } else { b.clone() };
        s.set("momentum_buffer", &b);
        p
    }
}

impl Rule for SgdEma {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("velocity")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let v = s.mean("velocity", s.setting("beta", self.beta), &g);
        p - s.lr() * v
    }
}
