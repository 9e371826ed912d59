//! Adafactor.

use std::ops::Range;

use thalweg_graph::Tensor;

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, Settings, choices, settings},
};

choices! {
    /// How [`Adafactor`] keeps its second moment from 0.
    pub enum Floor {
        /// `g² + ε1`, as in the paper.
        Added,
        /// `max(mean R, ε1)` and `max(V, ε1²)`, as in PyTorch.
        Clamped,
    }
}

settings! {
    /// Adam without momentum, whose second moment of a matrix is the product of its rows' and its columns':
    ///
    /// ```text
    /// ρ_t = min(η, 1/√t) if relative_step, else η
    /// α   = max(ε2, RMS(θ)) ρ_t if scale_parameter, else ρ_t
    /// β_t = 1 - t^beta2_decay
    /// R   ← β_t R + (1 - β_t) mean over columns of (g² + ε1)
    /// C   ← β_t C + (1 - β_t) mean over rows of (g² + ε1)
    /// V   = R Cᵀ / mean(R);   of a vector V ← β_t V + (1 - β_t) (g² + ε1)
    /// U   = g / √V
    /// U   ← U / max(1, RMS(U) / d)
    /// m   ← β1 m + (1 - β1) U if β1 > 0, else m = U
    /// θ   ← θ - α m
    /// ```
    ///
    /// Of a tensor with more axes the last two are rows and columns. [`Adafactor::t5`], [`Adafactor::palm`] and [`Adafactor::pytorch`] have the
    /// settings of those; the default are those of the paper.
    ///
    /// # Source
    /// Shazeer & Stern 2018, arXiv:1804.04235, algorithms 4 to 6.
    pub struct Adafactor {
        /// η: the rate, or the most that a relative step may be.
        lr: f64 in (0.0..INF) = 1e-2,
        /// β1; 0 keeps no momentum.
        beta1: f64 in (0.0..1.0) = 0.0,
        /// The exponent of `1 - β_t`.
        beta2_decay: f64 in (-INF..0.0) = -0.8,
        /// ε1.
        eps1: f64 in (0.0..INF) = 1e-30,
        /// ε2.
        eps2: f64 in (0.0..INF) = 1e-3,
        /// What ε1 does.
        eps_mode: Floor = Floor::Added,
        /// d.
        clip: f64 in (f64::MIN_POSITIVE..INF) = 1.0,
        /// λ, decoupled: `θ ← θ (1 - ηλ)` ahead of the rest.
        weight_decay: f64 in (0.0..INF) = 0.0,
        /// Whether decay is `θ ← θ (1 - ρ_t²)` instead.
        decay_by_square: bool = false,
        /// Whether the rate falls with `1/√t`.
        relative_step: bool = true,
        /// Whether steps are in proportion to the parameters.
        scale_parameter: bool = true,
        /// Whether matrices are factored.
        factored: bool = true,
        /// Whether to climb.
        maximize: bool = false,
    }
}

impl Adafactor {
    /// The settings of T5's pre-training: `ρ_t = 1/√max(t, 10⁴)`. Its fine-tuning has a constant rate of 1e-3, without `relative_step`.
    ///
    /// # Source
    /// Raffel et al. 2020, arXiv:1910.10683, §3.1.2.
    pub fn t5() -> Adafactor {
        Adafactor::default()
    }

    /// The settings of PaLM: Adam with steps in proportion to the parameters, and decay by the square of the rate, which is 1e-2 for 10⁴
    /// steps and `1/√t` from there on. To be clipped by a norm of 1.
    ///
    /// # Source
    /// Chowdhery et al. 2022, arXiv:2204.02311, §5.
    pub fn palm() -> Adafactor {
        Adafactor { beta1: 0.9, factored: false, decay_by_square: true, ..Adafactor::default() }
    }

    /// What `torch.optim.Adafactor` does with parameters in F32.
    pub fn pytorch() -> Adafactor {
        Adafactor { eps1: f64::from(f32::EPSILON), eps_mode: Floor::Clamped, ..Adafactor::default() }
    }

    /// `U = g / √V`; the moments are kept on the way.
    fn scaled(&self, s: &mut Step, g: &Tensor) -> Tensor {
        let (layout, runs) = (s.layout(), s.layout().runs());
        let fresh = (s.t().log() * self.beta2_decay).exp();
        let [mut rows, mut cols, mut whole] = [ROWS, COLS, WHOLE].map(Moment::of);
        let of_run = |run: &Range<usize>| {
            let (g, fresh) = (layout.stack(g, run), s.for_stack(&fresh, run));
            let square = match self.eps_mode {
                Floor::Added => g.square() + self.eps1,
                Floor::Clamped => g.square(),
            };
            let v = if self.factored && g.rank() > 2 {
                let r = rows.mean(s, run, &fresh, square.mean_keepdim(-1));
                let c = cols.mean(s, run, &fresh, square.mean_keepdim(-2));
                let mean = r.mean_keepdim(-2);
                let mean = if self.eps_mode == Floor::Clamped { mean.maximum(self.eps1) } else { mean };
                // Not the product first, which may be below all numbers where the quotient is not.
                r / mean * c
            } else {
                whole.mean(s, run, &fresh, square)
            };
            let floor = if self.eps_mode == Floor::Clamped { self.eps1 * self.eps1 } else { 0.0 };
            g * v.maximum(floor.max(f64::from(f32::MIN_POSITIVE))).rsqrt()
        };
        let u = runs.iter().map(of_run).collect();
        [rows, cols, whole].into_iter().for_each(|moment| moment.keep(s));
        layout.unstack(&runs, u, g.dtype())
    }
}

const ROWS: &str = "row_var";
const COLS: &str = "col_var";
const WHOLE: &str = "variance";

/// Shapes of the moments of a parameter, `[.., R, C]`: `[.., R, 1]`, `[.., 1, C]` or its own.
fn shape_of(moment: &'static str, factored: bool) -> fn(&[usize]) -> Vec<usize> {
    match (moment, factored) {
        (ROWS, _) => |shape| match shape {
            [batch @ .., rows, _] => [batch, &[*rows, 1]].concat(),
            _ => vec![0],
        },
        (COLS, _) => |shape| match shape {
            [batch @ .., _, cols] => [batch, &[1, *cols]].concat(),
            _ => vec![0],
        },
        (_, true) => |shape| if shape.len() < 2 { shape.to_vec() } else { vec![0] },
        (_, false) => <[usize]>::to_vec,
    }
}

/// A moment of some of the parameters, run by run.
struct Moment {
    slot: &'static str,
    runs: Vec<Range<usize>>,
    news: Vec<Tensor>,
}

impl Moment {
    fn of(slot: &'static str) -> Moment {
        Moment { slot, runs: Vec::new(), news: Vec::new() }
    }

    /// Its next value for a run: `m ← (1 - fresh) m + fresh x`.
    fn mean(&mut self, s: &Step, run: &Range<usize>, fresh: &Tensor, x: Tensor) -> Tensor {
        let old = s.layout_of(self.slot).stack(&s.get(self.slot), run);
        let new = old * (1.0 - fresh) + x * fresh;
        self.runs.push(run.clone());
        self.news.push(new.clone());
        new
    }

    fn keep(self, s: &mut Step) {
        if let Some(dtype) = self.news.first().map(Tensor::dtype) {
            let flat = s.layout_of(self.slot).unstack(&self.runs, self.news, dtype);
            s.set(self.slot, &flat);
        }
    }
}

impl Rule for Adafactor {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn slots(&self) -> Vec<Slot> {
        let slot = |name| Slot::PerTensor { name, shape: shape_of(name, self.factored) };
        let moments: &[&'static str] = if self.factored { &[ROWS, COLS, WHOLE] } else { &[WHOLE] };
        let momentum = (self.beta1 > 0.0).then(|| Slot::flat("exp_avg"));
        moments.iter().map(|name| slot(name)).chain(momentum).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.in_range()
    }

    fn by_shape(&self) -> bool {
        true
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let g = s.descent(self.maximize, 0.0);
        let rate = if self.relative_step { s.lr().minimum(s.t().rsqrt()) } else { s.lr().clone() };
        let p = match self.decay_by_square {
            true => s.params() * (1.0 - rate.square()),
            false => s.decayed(self.weight_decay),
        };
        let alpha = match self.scale_parameter {
            true => s.layout().spread(&s.rms(s.params()).maximum(self.eps2)) * rate,
            false => rate,
        };
        let u = self.scaled(s, &g);
        let by = (s.rms(&u) / self.clip).maximum(1.0).recip();
        let u = s.layout().spread(&by) * u;
        let m = if self.beta1 > 0.0 { s.mean("exp_avg", s.setting("beta1", self.beta1), &u) } else { u };
        p - alpha * m
    }
}
