//! From a rule to an optimizer.

use std::sync::Arc;

use thalweg_graph::{Module, Result};

use crate::{Optimizer, Rule};

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
}

impl<R: Rule> RuleExt for R {}
