//! Stochastic gradient descent with momentum.

use thalweg_graph::Tensor;

use crate::rule::{Context, Rule, Update, within};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// η.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// How much of the gradient the momentum leaves out.
    pub dampening: f64,
    /// λ, coupled.
    pub weight_decay: f64,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for Sgd {
    fn default() -> Sgd {
        Sgd { lr: 1e-2, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false }
    }
}

impl Rule for Sgd {
    fn states(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    fn lr(&self) -> f64 {
        self.lr
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

    fn update(&self, c: &Context, p: &Tensor, g: &Tensor, states: &[Tensor]) -> Update {
        let g = if self.maximize { -g } else { g.clone() };
        let g = if self.weight_decay == 0.0 { g } else { g + p * self.weight_decay };
        let Some(b) = states.first() else {
            return Update { params: p - &c.lr * g, states: vec![] };
        };
        let first = c.step.eq(1.0);
        let b = first.where_(&g, b * self.momentum + &g * (1.0 - self.dampening));
        let direction = if self.nesterov { g + &b * self.momentum } else { b.clone() };
        Update { params: p - &c.lr * direction, states: vec![b] }
    }
}
