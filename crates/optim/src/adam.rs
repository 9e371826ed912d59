//! Adam and AdamW.

use thalweg_graph::Tensor;

use crate::rule::{Context, Rule, Update, within};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// η.
    pub lr: f64,
    /// β1.
    pub beta1: f64,
    /// β2.
    pub beta2: f64,
    /// ε, outside the root.
    pub eps: f64,
    /// λ, coupled.
    pub weight_decay: f64,
    /// Whether the denominator never shrinks.
    pub amsgrad: bool,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, amsgrad: false, maximize: false }
    }
}

impl Rule for Adam {
    fn states(&self) -> &'static [&'static str] {
        if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, self.beta2)
    }

    fn check(&self) -> Result<(), String> {
        within("lr", self.lr, 0.0, f64::INFINITY)?;
        within("beta1", self.beta1, 0.0, 1.0)?;
        within("beta2", self.beta2, 0.0, 1.0)?;
        within("eps", self.eps, 0.0, f64::INFINITY)?;
        within("weight_decay", self.weight_decay, 0.0, f64::INFINITY)
    }

    fn update(&self, c: &Context, p: &Tensor, g: &Tensor, states: &[Tensor]) -> Update {
        let g = if self.maximize { -g } else { g.clone() };
        let g = if self.weight_decay == 0.0 { g } else { g + p * self.weight_decay };
        self.adaptive(c, p, &g, states)
    }
}

impl Adam {
    /// The part that Adam and AdamW share.
    fn adaptive(&self, c: &Context, p: &Tensor, g: &Tensor, states: &[Tensor]) -> Update {
        let m = &states[0] * self.beta1 + g * (1.0 - self.beta1);
        let v = &states[1] * self.beta2 + g * g * (1.0 - self.beta2);
        let largest = states.get(2).map(|old| old.maximum(&v));
        // Per-step scalars first: the per-element part is then a root, a sum and a quotient.
        let (rate, root) = (&c.lr / &c.correction1, c.correction2.rsqrt());
        let denominator = largest.as_ref().unwrap_or(&v).sqrt() * root + self.eps;
        let params = p - rate * &m / denominator;
        Update { params, states: [m, v].into_iter().chain(largest).collect() }
    }
}

/// Adam with decoupled weight decay: `θ ← θ (1 - ηλ)`, then Adam without λ.
///
/// # Source
/// Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with the decay scaled by η.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// η.
    pub lr: f64,
    /// β1.
    pub beta1: f64,
    /// β2.
    pub beta2: f64,
    /// ε, outside the root.
    pub eps: f64,
    /// λ, decoupled.
    pub weight_decay: f64,
    /// Whether the denominator never shrinks.
    pub amsgrad: bool,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2, amsgrad: false, maximize: false }
    }
}

impl AdamW {
    fn coupled(&self) -> Adam {
        let AdamW { lr, beta1, beta2, eps, weight_decay: _, amsgrad, maximize } = *self;
        Adam { lr, beta1, beta2, eps, weight_decay: 0.0, amsgrad, maximize }
    }
}

impl Rule for AdamW {
    fn states(&self) -> &'static [&'static str] {
        if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, self.beta2)
    }

    fn check(&self) -> Result<(), String> {
        within("weight_decay", self.weight_decay, 0.0, f64::INFINITY)?;
        self.coupled().check()
    }

    fn update(&self, c: &Context, p: &Tensor, g: &Tensor, states: &[Tensor]) -> Update {
        let g = if self.maximize { -g } else { g.clone() };
        let decayed = if self.weight_decay == 0.0 { p.clone() } else { p * (1.0 - &c.lr * self.weight_decay) };
        self.coupled().adaptive(c, &decayed, &g, states)
    }
}
