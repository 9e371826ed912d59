//! Schedule-free AdamW.

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Start, Step},
    settings::{INF, settings},
};

settings! {
    /// AdamW that averages in place of a schedule, and need not know how long it will run:
    ///
    /// ```text
    /// v ← β2 v + (1 - β2) g²,   g at y
    /// η_t = η √(1 - β2^t) min(1, t / warmup)
    /// z ← z - η_t (g / (√v + ε) + λ y)
    /// c = η_t² / Σ η_i²
    /// x ← (1 - c) x + c z
    /// y = (1 - β1) z + β1 x
    /// ```
    ///
    /// The parameters are y, where gradients are taken. What is to be evaluated is x: [`Optimizer::during`](crate::Optimizer::during). A
    /// batch norm's statistics are those at y, and are best taken anew at x.
    ///
    /// # Source
    /// Defazio et al. 2024, arXiv:2405.15682, algorithm 1.
    pub struct ScheduleFree {
        /// η.
        lr: f64 in (0.0..INF) = 2.5e-3,
        /// β1: how near the average gradients are taken.
        beta1: f64 in (f64::MIN_POSITIVE..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// λ, decoupled, at y.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Over how many steps the rate rises to η; 0 for none.
        warmup: f64 in (0.0..INF) = 0.0,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl ScheduleFree {
    /// `x`, from y and z.
    fn average(&self, y: &Tensor, z: &Tensor) -> Tensor {
        (y - z * (1.0 - self.beta1)) / self.beta1
    }
}

impl Rule for ScheduleFree {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let z = Slot::Flat { name: "z", start: Start::Params, dtype: None };
        vec![z, Slot::flat("exp_avg_sq"), Slot::scalar("correction2", 0.0), Slot::scalar("weight_sum", 0.0)]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn evaluated(&self, s: &Step) -> Option<Tensor> {
        Some(self.average(s.params(), &s.get("z")))
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (y, g) = s.with_decay(self.maximize, 0.0, false);
        let z = s.get("z");
        let x = self.average(&y, &z);
        let v = s.mean("exp_avg_sq", self.beta2, &(&g * &g));
        let mut rate = s.correction("correction2", self.beta2).sqrt() * s.lr();
        if self.warmup > 0.0 {
            rate *= (s.t() / self.warmup).minimum(1.0);
        }
        let step = g / (v.sqrt() + self.eps);
        let step = if self.weight_decay == 0.0 { step } else { step + y * self.weight_decay };
        let z = z - &rate * step;
        let weight = rate.square();
        let sum = s.get("weight_sum") + &weight;
        s.set("weight_sum", &sum);
        // A rate of 0 so far weighs nothing.
        let c = sum.gt(0.0).where_(&weight / &sum, 0.0);
        let x = &x + (&z - &x) * c;
        s.set("z", &z);
        z * (1.0 - self.beta1) + x * self.beta1
    }
}
