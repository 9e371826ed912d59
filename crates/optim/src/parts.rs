//! What many rules have in common, each written once.

use std::ops::Range;

use thalweg_graph::{Tensor, shape::count};

use crate::{rule::Step, setting::Setting, settings::choices};

choices! {
    /// Where ε stands in a denominator.
    pub enum EpsMode {
        /// `√v + ε`.
        Outside,
        /// `√(v + ε)`.
        Inside,
    }
}

impl EpsMode {
    /// The root of `v`, kept from 0.
    pub(crate) fn root(self, v: &Tensor, eps: f64) -> Tensor {
        match self {
            EpsMode::Outside => v.sqrt() + eps,
            EpsMode::Inside => (v + eps).sqrt(),
        }
    }
}

/// # Parts of rules
impl Step<'_> {
    /// The gradient to go against, `-g` where the loss is to grow, with coupled decay: `g + λθ`.
    pub fn descent(&self, maximize: bool, weight_decay: f64) -> Tensor {
        let g = if maximize { -self.grad() } else { self.grad().clone() };
        if weight_decay == 0.0 { g } else { g + self.params() * weight_decay }
    }

    /// The parameters with decoupled decay: `θ (1 - ηλ)`.
    pub fn decayed(&self, weight_decay: f64) -> Tensor {
        let p = self.params();
        if weight_decay == 0.0 { p.clone() } else { p * (1.0 - self.lr() * weight_decay) }
    }

    /// Where a step starts from, and the gradient to go against: decay is in the one or in the other.
    pub fn with_decay(&self, maximize: bool, weight_decay: f64, decoupled: bool) -> (Tensor, Tensor) {
        match decoupled {
            true => (self.decayed(weight_decay), self.descent(maximize, 0.0)),
            false => (self.params().clone(), self.descent(maximize, weight_decay)),
        }
    }

    /// A slot that is an exponential mean: `m ← β m + (1 - β) x`.
    #[track_caller]
    pub fn mean(&mut self, slot: &str, beta: impl Into<Setting>, x: &Tensor) -> Tensor {
        let beta = beta.into();
        let m = self.get(slot) * &beta + x * &beta.rest();
        self.set(slot, &m);
        m
    }

    /// What the weights in an exponential mean add up to, `1 - β^t` without a power: `c ← β c + 1 - β`, a number that starts at 0.
    #[track_caller]
    pub fn correction(&mut self, number: &str, beta: impl Into<Setting>) -> Tensor {
        let beta = beta.into();
        let c = self.get(number) * &beta + &beta.rest();
        self.set(number, &c);
        c
    }

    /// The Euclidean norm of each parameter's part.
    ///
    /// # Shapes
    /// `[len]` → `[parameters]`
    #[track_caller]
    pub fn norms(&self, flat: &Tensor) -> Tensor {
        self.layout().sums(&flat.square()).sqrt()
    }

    /// The root mean square of each parameter's part.
    ///
    /// # Shapes
    /// `[len]` → `[parameters]`
    #[track_caller]
    pub fn rms(&self, flat: &Tensor) -> Tensor {
        let sizes: Vec<f32> = self.layout().segments().iter().map(|s| count(&s.shape) as f32).collect();
        let sizes = Tensor::from_slice(flat.device(), &sizes, [sizes.len()]).cast(flat.dtype());
        (self.layout().sums(&flat.square()) / sizes).sqrt()
    }

    /// A number of this step, or one for each element, to combine with a [stack](thalweg_graph::module::Layout::stack) of parameters:
    /// one for each of them.
    #[track_caller]
    pub fn for_stack(&self, number: &Tensor, run: &Range<usize>) -> Tensor {
        if number.rank() == 0 {
            return number.clone();
        }
        let stack = self.layout().stack(number, run);
        (1..stack.rank() as isize).fold(stack, |stack, axis| stack.slice(axis, ..1))
    }
}
