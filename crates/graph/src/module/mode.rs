//! Training or evaluation.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::commit::depends_on;

/// Whether a module trains or predicts; layers that behave differently hold one.
#[derive(Clone, Debug)]
pub struct Mode(Arc<AtomicBool>);

impl Default for Mode {
    fn default() -> Mode {
        Mode(Arc::new(AtomicBool::new(true)))
    }
}

impl Mode {
    /// Whether the module is in training mode, as it is at first.
    pub fn is_training(&self) -> bool {
        depends_on(&self.0)
    }

    /// Sets it.
    pub fn set(&self, training: bool) {
        self.0.store(training, Ordering::Relaxed);
    }

    /// A mode of its own, the same for now.
    pub(super) fn apart(&self) -> Mode {
        Mode(Arc::new(AtomicBool::new(self.0.load(Ordering::Relaxed))))
    }

    /// What its clones have in common.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}
