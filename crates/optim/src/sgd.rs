//! Stochastic gradient descent with momentum.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step, within},
    settings::settings,
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
        lr: f64 = 1e-2,
        /// μ.
        momentum: f64 = 0.0,
        /// How much of the gradient the momentum leaves out.
        dampening: f64 = 0.0,
        /// λ, coupled.
        weight_decay: f64 = 0.0,
        /// Whether to look ahead.
        nesterov: bool = false,
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
        within("lr", self.lr, 0.0, f64::INFINITY)?;
        within("momentum", self.momentum, 0.0, f64::INFINITY)?;
        within("weight_decay", self.weight_decay, 0.0, f64::INFINITY)?;
        match self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            true => Err("nesterov needs a momentum and no dampening".into()),
            false => Ok(()),
        }
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let p = s.params();
        let g = if self.maximize { -s.grad() } else { s.grad().clone() };
        let g = if self.weight_decay == 0.0 { g } else { g + p * self.weight_decay };
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
