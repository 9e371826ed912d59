//! Adam for tables of which each step uses a few rows.

use std::ops::Range;

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Settings, Slot, Step},
    settings::{INF, settings},
};

settings! {
    /// [`Adam`](crate::Adam) for the rows that have a gradient; all others keep their values and their moments:
    ///
    /// ```text
    /// m ← β1 m + (1 - β1) g
    /// v ← β2 v + (1 - β2) g²
    /// θ ← θ - η √c2 / c1 m / (√v + ε),   c_i = 1 - β_i^t
    /// ```
    ///
    /// A row is what one number along the first axis selects, and it has a gradient if one of its elements is not 0. So a row whose gradient
    /// happens to be 0 all over is left as well, which gradients that list their rows could tell apart; and t counts steps, not uses of a row.
    ///
    /// # Source
    /// Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, restricted to rows as in PyTorch's `SparseAdam`, with its place of ε.
    pub struct SparseAdam {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// β1.
        beta1: f64 in (0.0..1.0) = 0.9,
        /// β2.
        beta2: f64 in (0.0..1.0) = 0.999,
        /// ε, outside the root.
        eps: f64 in (0.0..INF) = 1e-8,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for SparseAdam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let kept = [Slot::flat("exp_avg"), Slot::flat("exp_avg_sq")];
        kept.into_iter().chain([Slot::scalar("correction1", 0.0), Slot::scalar("correction2", 0.0)]).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn by_shape(&self) -> bool {
        true
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, 0.0, false);
        let used = used(s, &g);
        let (old_m, old_v) = (s.get("exp_avg"), s.get("exp_avg_sq"));
        let m = used.where_(&old_m * self.beta1 + &g * (1.0 - self.beta1), &old_m);
        let v = used.where_(&old_v * self.beta2 + &g * &g * (1.0 - self.beta2), &old_v);
        s.set("exp_avg", &m);
        s.set("exp_avg_sq", &v);
        let c1 = s.correction("correction1", self.beta1);
        let c2 = s.correction("correction2", self.beta2);
        used.where_(&p - s.lr() * c2.sqrt() / c1 * m / (v.sqrt() + self.eps), &p)
    }
}

/// Whether each element is in a row that has a gradient.
fn used(s: &Step, g: &Tensor) -> Tensor {
    let (layout, runs) = (s.layout(), s.layout().runs());
    let of_run = |run: &Range<usize>| {
        let hit = layout.stack(g, run).ne(0.0);
        let shape = hit.shape().to_vec();
        // Behind the parameter's number and the row's.
        let inside: Vec<isize> = (2..shape.len() as isize).collect();
        if inside.is_empty() { hit } else { hit.any_keepdim(inside).broadcast_to(shape) }
    };
    layout.unstack(&runs, runs.iter().map(of_run).collect(), g.dtype()).ne(0.0)
}
