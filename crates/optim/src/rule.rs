//! What an update rule is.

use thalweg_graph::{Result, Tensor, module::Module};

use crate::Optimizer;

/// What a rule is given besides parameters, gradients and its own state: rank-0 tensors, in the parameters' dtype.
#[derive(Debug)]
pub struct Context {
    /// The learning rate of this step.
    pub lr: Tensor,
    /// The number of this step, from 1; skipped steps do not count.
    pub step: Tensor,
    /// `1 - beta1^step`, by the recurrence `c ← β c + 1 - β`.
    pub correction1: Tensor,
    /// `1 - beta2^step`.
    pub correction2: Tensor,
}

/// New values, in the layout of the old.
#[derive(Debug)]
pub struct Update {
    /// The parameters.
    pub params: Tensor,
    /// The rule's states, in the order of [`Rule::states`].
    pub states: Vec<Tensor>,
}

/// An elementwise update rule: written once, as tensor ops over flat buffers, for all parameters at the same time.
pub trait Rule: Clone {
    /// The names of its states, each as large as the parameters and zero at first.
    fn states(&self) -> &'static [&'static str];

    /// The learning rate it starts with.
    fn lr(&self) -> f64;

    /// The decay rates whose bias corrections it uses.
    fn betas(&self) -> (f64, f64) {
        (0.0, 0.0)
    }

    /// What is wrong with its hyperparameters, if anything.
    fn check(&self) -> std::result::Result<(), String>;

    /// One step from parameters `p` with gradients `g`.
    fn update(&self, context: &Context, p: &Tensor, g: &Tensor, states: &[Tensor]) -> Update;

    /// An optimizer of a module's trainable parameters with this rule.
    ///
    /// # Errors
    /// Hyperparameters out of range; no trainable parameter; no memory.
    #[track_caller]
    fn init(self, module: &dyn Module) -> Result<Optimizer<Self>> {
        Optimizer::new(self, module)
    }
}

/// A hyperparameter that must lie in `[low, high)`.
pub(crate) fn within(name: &str, value: f64, low: f64, high: f64) -> std::result::Result<(), String> {
    match value >= low && value < high {
        true => Ok(()),
        false => Err(format!("{name} = {value} is not in [{low}, {high})")),
    }
}
