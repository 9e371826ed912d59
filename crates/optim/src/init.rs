//! From a rule to an optimizer.

use std::sync::Arc;

use thalweg_graph::{Error, ErrorKind, Module, Result, Rng};

use crate::{Bf16Moments, Optimizer, Penalized, Penalty, Rule, Select, Settings, Value};

/// Makes optimizers of rules.
pub trait RuleExt: Rule + Sized {
    /// An optimizer of a module's trainable parameters with this rule.
    ///
    /// # Errors
    /// Hyperparameters out of range; no trainable parameter; parameters on several devices; no memory.
    #[track_caller]
    fn init(self, module: &dyn Module) -> Result<Optimizer> {
        Optimizer::new(Arc::new(self), module)
    }

    /// As [`RuleExt::init`], without decay for biases and norms: what has fewer than two axes.
    ///
    /// # Errors
    /// As [`RuleExt::init`]; a rule without `weight_decay`; no parameter with fewer than two axes.
    #[track_caller]
    fn init_no_decay(self, module: &dyn Module) -> Result<Optimizer>
    where
        Self: Settings + Clone,
    {
        let mut others = self.clone();
        if !others.set("weight_decay", &Value::Number(0.0)) {
            let problem = format!("{self:?} has no weight_decay");
            return Err(Error::new("init_no_decay", ErrorKind::Invalid(problem)));
        }
        self.init(module)?.group(Select::vectors(), others)
    }

    /// This rule with a penalty on the parameters.
    fn penalized(self, penalty: Penalty) -> Penalized<Self> {
        Penalized { rule: self, penalty }
    }

    /// This rule with its moments in bf16, rounded by chance.
    fn bf16_moments(self, rng: &mut Rng) -> Bf16Moments<Self> {
        Bf16Moments::new(self, rng)
    }
}

impl<R: Rule> RuleExt for R {}
