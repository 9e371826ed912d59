//! Names that a visit of a model gives, read where they are printed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The name of a parameter or a state. Clones share it, so that what was recorded before a model was first visited is named too.
#[derive(Clone, Default)]
pub struct Name(Arc<Mutex<Option<Arc<str>>>>);

impl Name {
    /// What it is called now, if anything has visited it.
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls it so from now on.
    pub fn set(&self, name: &str) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_deref() != Some(name) && !name.is_empty() {
            *now = Some(name.into());
        }
    }
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Name {
        Name(Arc::new(Mutex::new(Some(name))))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get().as_deref().unwrap_or("(unnamed)"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.get() == other.get()
    }
}
