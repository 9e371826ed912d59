//! A recorded program as a setting of an op: nothing is known of it here but what it takes and gives.

use std::{
    any::Any,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::shape::Type;

/// A program; equal if its key is.
#[derive(Clone)]
pub struct Recorded {
    program: Arc<dyn Any + Send + Sync>,
    key: Arc<[u64]>,
    /// What it takes.
    pub inputs: Vec<Type>,
    /// What it gives.
    pub outputs: Vec<Type>,
}

impl Recorded {
    /// Of a program, whose key has everything that its results depend on.
    pub fn new<P: Any + Send + Sync>(program: P, key: Vec<u64>, inputs: Vec<Type>, outputs: Vec<Type>) -> Recorded {
        Recorded { program: Arc::new(program), key: key.into(), inputs, outputs }
    }

    /// The program, if it is a `P`.
    pub fn program<P: Any>(&self) -> Option<&P> {
        self.program.downcast_ref()
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Recorded) -> bool {
        self.key == other.key
    }
}

impl Eq for Recorded {}

impl Hash for Recorded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({} → {})", self.inputs.len(), self.outputs.len())
    }
}
