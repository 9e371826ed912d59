//! Muon.

use std::ops::Range;

use thalweg_graph::{ErrorKind, Module, NewtonSchulz, Param, Result, Tensor, keep_f32, shape::count};

use crate::{
    AdamW, Optimizer, RuleExt, Select,
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, choices, settings},
};

choices! {
    /// How Muon's steps depend on the shape of a matrix.
    pub enum Adjust {
        /// `√max(1, rows / cols)`.
        Original,
        /// `0.2 √max(rows, cols)`: as large as AdamW's, so that both can share a rate.
        MatchRmsAdamw,
    }
}

settings! {
    /// Momentum whose steps are made orthogonal, for the matrices inside a network:
    ///
    /// ```text
    /// B ← μ B + (1 - μ) g
    /// U = (1 - μ) g + μ B if nesterov, else B
    /// θ ← θ (1 - ηλ) - η s NS(U)
    ///
    /// NS(U): X = U / max(‖U‖, ε), then k times  A = X Xᵀ,  X ← a X + (b A + c A²) X
    /// ```
    ///
    /// with the shorter side of X first, and s by the shape: [`Adjust`]. A kernel of a convolution is a matrix with a row for each output. Matrices
    /// of one shape are computed together: k times three products for each shape, however many matrices have it.
    ///
    /// Embeddings, heads, biases and norms go to another rule: [`Muon::init_hidden`].
    ///
    /// # Source
    /// Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; `MatchRmsAdamw` is that of Liu et al. 2025, arXiv:2502.16982,
    /// equation 4.
    pub struct Muon {
        /// η.
        lr: f64 in (0.0..INF) = 1e-3,
        /// μ.
        momentum: f64 in (0.0..1.0) = 0.95,
        /// Whether to look ahead.
        nesterov: bool = true,
        /// λ, decoupled.
        weight_decay: f64 in (0.0..INF) = 0.1,
        /// s.
        adjust: Adjust = Adjust::Original,
        /// k.
        ns_steps: u32 in (1.0..100.0) = 5,
        /// The first coefficient of the iteration.
        a: f64 = 3.4445,
        /// The second.
        b: f64 = -4.775,
        /// The third.
        c: f64 = 2.0315,
        /// ε.
        eps: f64 in (0.0..INF) = 1e-7,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Rule for Muon {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::flat("momentum_buffer")]
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn by_shape(&self) -> bool {
        true
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let (p, g) = s.with_decay(self.maximize, self.weight_decay, true);
        let momentum = s.setting("momentum", self.momentum);
        let b = s.mean("momentum_buffer", &momentum, &g);
        let u = if self.nesterov { g * &momentum.rest() + b * &momentum } else { b };
        let (layout, runs) = (s.layout(), s.layout().runs());
        if let Some(vector) = layout.segments().iter().find(|segment| segment.shape.len() < 2) {
            let problem = format!("muon is for matrices, and '{}' is none: give it a rule of its own", vector.path);
            return p.fail("step", ErrorKind::Invalid(problem));
        }
        let newton_schulz =
            NewtonSchulz { steps: self.ns_steps as usize, coefficients: [self.a, self.b, self.c], eps: self.eps };
        let orthogonal = |run: &Range<usize>| {
            let stack = layout.stack(&u, run);
            let (rows, cols) = (stack.shape()[1], count(&stack.shape()[2..]));
            let matrices = stack.reshape([run.len(), rows, cols]);
            keep_f32(|| matrices.orthogonalise(&newton_schulz)) * self.scale(rows as f64, cols as f64)
        };
        let o = layout.unstack(&runs, runs.iter().map(orthogonal).collect(), u.dtype());
        p - s.lr() * o
    }
}

impl Muon {
    /// An optimizer that has Muon for the matrices inside a network, and AdamW for biases, norms and what these patterns name: the
    /// embeddings and the head. A schedule and [`Optimizer::set_lr`] go by AdamW's rate, and Muon's keeps its ratio to it.
    ///
    /// ```ignore
    /// let opt = Muon::default().init_hidden(&net, AdamW::default(), &["embed.*", "head.*"])?;
    /// ```
    ///
    /// # Errors
    /// As [`RuleExt::init`] and [`Optimizer::group`].
    #[track_caller]
    pub fn init_hidden(self, module: &dyn Module, others: AdamW, patterns: &[&str]) -> Result<Optimizer> {
        let outside: Vec<Select> = patterns.iter().map(|pattern| Select::from(*pattern)).collect();
        let hidden = move |path: &str, param: &Param| {
            param.shape().len() >= 2 && !outside.iter().any(|select| select.chooses(path, param))
        };
        others.init(module)?.group(Select::by(hidden), self)
    }

    /// `s`.
    fn scale(&self, rows: f64, cols: f64) -> f64 {
        match self.adjust {
            Adjust::Original => (rows / cols).max(1.0).sqrt(),
            Adjust::MatchRmsAdamw => 0.2 * rows.max(cols).sqrt(),
        }
    }
}
