//! Penalties on the parameters.

use thalweg_graph::{Error, ErrorKind, Module, Result, Tensor};

use crate::{
    rule::{Rule, Slot, Step},
    settings::{INF, within},
};

/// A penalty on the size of parameters, `l1 ‖θ‖₁ + l2/2 ‖θ‖²`: lasso, ridge, and the elastic net between them.
///
/// ```ignore
/// let opt = Sgd::default().penalized(Penalty::l1(1e-4).proximal()).init(&net)?;
/// ```
///
/// # Source
/// Zou & Hastie 2005, "Regularization and variable selection via the elastic net".
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// The weight of the sum of sizes.
    pub l1: f64,
    /// The weight of half the sum of squares.
    pub l2: f64,
    /// Whether the first part is a step of its own that makes small parameters 0: `θ ← sign(θ) max(|θ| - η l1, 0)` behind the rule's. If
    /// not, `l1 sign(θ)` is in the gradient, and parameters only come near 0.
    pub proximal: bool,
}

impl Penalty {
    /// `λ ‖θ‖₁`.
    pub fn l1(weight: f64) -> Penalty {
        Penalty { l1: weight, ..Penalty::default() }
    }

    /// `λ/2 ‖θ‖²`.
    pub fn l2(weight: f64) -> Penalty {
        Penalty { l2: weight, ..Penalty::default() }
    }

    /// Both.
    pub fn elastic_net(l1: f64, l2: f64) -> Penalty {
        Penalty { l1, l2, ..Penalty::default() }
    }

    /// With exact zeros.
    ///
    /// # Source
    /// Daubechies, Defrise & De Mol 2004, "An iterative thresholding algorithm for linear inverse problems".
    pub fn proximal(self) -> Penalty {
        Penalty { proximal: true, ..self }
    }

    /// What it comes to, to look at or to add to a loss.
    ///
    /// # Errors
    /// A module without parameters.
    #[track_caller]
    pub fn of(&self, module: &dyn Module) -> Result<Tensor> {
        let of_one = |p: Tensor| p.abs().sum(..) * self.l1 + p.square().sum(..) * (0.5 * self.l2);
        let sum = module.params().iter().map(|(_, p)| of_one(p.tensor())).reduce(|a, b| a + b);
        sum.ok_or_else(|| Error::new("penalty", ErrorKind::Invalid("the module has no parameter".into())))
    }
}

/// A rule with a penalty on the parameters that it moves. It is for rules that descend: one that climbs would climb the penalty too.
#[derive(Debug)]
pub struct Penalized<R> {
    pub(crate) rule: R,
    pub(crate) penalty: Penalty,
}

impl<R: Rule> Rule for Penalized<R> {
    fn lr(&self) -> f64 {
        self.rule.lr()
    }

    fn slots(&self) -> Vec<Slot> {
        self.rule.slots()
    }

    fn check(&self) -> Result<(), String> {
        within("l1", self.penalty.l1, 0.0..INF)?;
        within("l2", self.penalty.l2, 0.0..INF)?;
        self.rule.check()
    }

    fn by_shape(&self) -> bool {
        self.rule.by_shape()
    }

    fn observe(&self, s: &mut Step) {
        self.rule.observe(s);
    }

    fn evaluated(&self, s: &Step) -> Option<Tensor> {
        self.rule.evaluated(s)
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let Penalty { l1, l2, proximal } = self.penalty;
        let p = s.params().clone();
        if l2 > 0.0 {
            s.grad = s.grad() + &p * l2;
        }
        if l1 > 0.0 && !proximal {
            s.grad = s.grad() + p.sign() * l1;
        }
        let p = self.rule.update(s);
        match l1 > 0.0 && proximal {
            true => p.sign() * (p.abs() - s.lr() * l1).maximum(0.0),
            false => p,
        }
    }
}
