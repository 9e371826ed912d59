//! RMSprop.

use thalweg_graph::Tensor;

use crate::{
    parts::EpsMode,
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, settings},
};

settings! {
    /// RMSprop, which divides by a running root mean square of the gradients:
    ///
    /// ```text
    /// g ← g + λθ
    /// v ← α v + (1 - α) g²
    /// a ← α a + (1 - α) g if centered, else 0
    /// d = √max(v - a², 0) + ε
    /// b ← μ b + g / d
    /// θ ← θ - η b
    /// ```
    ///
    /// # Source
    /// Tieleman & Hinton 2012, "Lecture 6.5: rmsprop"; the centred form is that of Graves 2013, arXiv:1308.0850, equations 38 to 45.
    pub struct RmsProp {
        /// η.
        lr: f64 in (0.0..INF) = 1e-2,
        /// α.
        alpha: f64 in (0.0..1.0) = 0.99,
        /// ε.
        eps: f64 in (0.0..INF) = 1e-8,
        /// Where ε stands.
        eps_mode: EpsMode = EpsMode::Outside,
        /// λ, coupled.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// μ.
        momentum: f64 in (0.0..INF) = 0.0,
        /// Whether to divide by the deviation from the mean.
        centered: bool = false,
        /// Whether the rate stands in the momentum, as in TensorFlow: `b ← μ b + η g / d`, `θ ← θ - b`.
        lr_in_momentum: bool = false,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for RmsProp {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let centered = self.centered.then(|| Slot::flat("grad_avg"));
        let momentum = (self.momentum > 0.0).then(|| Slot::flat("momentum_buffer"));
        [Slot::flat("square_avg")].into_iter().chain(centered).chain(momentum).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, false);
        let mut v = s.mean("square_avg", self.alpha, &(&g * &g));
        if self.centered {
            let a = s.mean("grad_avg", self.alpha, &g);
            // What is left of two nearly equal numbers may be below 0.
            v = (v - &a * &a).maximum(0.0);
        }
        let step = g / self.eps_mode.root(&v, self.eps);
        if self.momentum == 0.0 {
            return p - s.lr() * step;
        }
        let (within, behind) = match self.lr_in_momentum {
            true => (s.lr() * step, None),
            false => (step, Some(s.lr().clone())),
        };
        let b = s.get("momentum_buffer") * &s.setting("momentum", self.momentum) + within;
        s.set("momentum_buffer", &b);
        p - behind.map_or(b.clone(), |rate| rate * &b)
    }
}
