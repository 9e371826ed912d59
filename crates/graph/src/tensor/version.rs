//! What a leaf knows of the variable that it reads.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{ErrorKind, Name};

/// What stays the same when a variable moves or is written.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Numbered with the nodes, so that gradients are looked up by one kind of key.
    pub key: u64,
    pub name: Name,
    version: AtomicU64,
}

impl Identity {
    /// Of a new variable.
    pub fn new(key: u64) -> Identity {
        Identity { key, name: Name::default(), version: AtomicU64::new(0) }
    }

    /// The number of the current version.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The variable has been written.
    pub fn advance(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// Which version of a variable a leaf stands for.
#[derive(Clone)]
pub(crate) struct Version {
    pub identity: Arc<Identity>,
    recorded: u64,
    /// What the variable is beside its identity: that has tensors in it, of which nothing is known here.
    pub cell: Weak<dyn Any + Send + Sync>,
}

impl Version {
    /// The current one.
    pub fn current(identity: Arc<Identity>, cell: Weak<dyn Any + Send + Sync>) -> Version {
        Version { recorded: identity.version(), identity, cell }
    }

    /// The variable's key, by which its gradient is found.
    pub fn key(&self) -> u64 {
        self.identity.key
    }

    /// The number of the version.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The variable's name.
    pub fn name(&self) -> &Name {
        &self.identity.name
    }

    /// What is wrong if the variable has been written since.
    pub fn stale(&self) -> Option<ErrorKind> {
        let current = self.identity.version();
        let path = self.identity.name.to_string();
        (current != self.recorded).then_some(ErrorKind::Stale { path, recorded: self.recorded, current })
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.recorded, self.identity.name)
    }
}
