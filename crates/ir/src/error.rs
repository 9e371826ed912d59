//! The error that a bad tensor carries, and that everything touching the world returns.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, LazyLock},
};

use crate::{dtype::DType, name::Name};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes that an op cannot combine.
    #[error("shapes {lhs:?} and {rhs:?} {problem}")]
    Shapes {
        /// The first shape.
        lhs: Vec<usize>,
        /// The second.
        rhs: Vec<usize>,
        /// Why not.
        problem: String,
    },
    /// One shape that an op cannot take.
    #[error("shape {shape:?} {problem}")]
    Shape {
        /// The shape.
        shape: Vec<usize>,
        /// Why not.
        problem: String,
    },
    /// An axis that the tensor does not have.
    #[error("axis {axis} is not one of a tensor with {rank} axes (shape {shape:?})")]
    Axis {
        /// The axis as given.
        axis: isize,
        /// The tensor's rank.
        rank: usize,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// A dtype that an op cannot take.
    #[error("dtype {got} {problem}")]
    DType {
        /// The dtype.
        got: DType,
        /// Why not.
        problem: String,
    },
    /// Operands on different devices.
    #[error("operands live on different devices: {}", different(lhs, rhs))]
    Devices {
        /// The first device.
        lhs: String,
        /// The second.
        rhs: String,
    },
    /// An index from the host outside its range.
    #[error("index {index} is out of range for axis {axis} of extent {extent}")]
    Index {
        /// The index.
        index: i64,
        /// The axis.
        axis: usize,
        /// Its extent.
        extent: usize,
    },
    /// Data whose length does not fit the shape.
    #[error("{got} elements given for shape {shape:?}, which has {want}")]
    Length {
        /// Elements given.
        got: usize,
        /// Elements wanted.
        want: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// The gradient of something that has none.
    #[error("{0}")]
    Gradient(String),
    /// What was recorded before a parameter or a state that it reads was written.
    #[error(
        "this graph was recorded with version {recorded} of parameter '{path}', which has since been written and is at \
         version {current}; compute the value again from the new one, or keep the old one with copy() before the step"
    )]
    Stale {
        /// The parameter or state.
        path: String,
        /// Version recorded.
        recorded: u64,
        /// Version now.
        current: u64,
    },
    /// A bad setting.
    #[error("{0}")]
    Invalid(String),
    /// A condition on the device.
    #[error("{0}")]
    Device(String),
    /// No adapter of that name.
    #[error("no device matches '{wanted}'; there are: {available}")]
    NoDevice {
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// The device cannot hold it.
    #[error("{0}")]
    Memory(String),
    /// A loss that is not a number.
    #[error("{0}")]
    NonFinite(String),
    /// A file.
    #[error("{path}: {problem}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// Two devices, which may have one name.
fn different(lhs: &str, rhs: &str) -> String {
    match lhs == rhs {
        true => format!("two that were opened separately, each {lhs}; open one and clone it"),
        false => format!("{lhs} and {rhs}"),
    }
}

/// An error: what, in which op, where in the caller's code, and near which parameter.
///
/// `Debug` is the same sentence as `Display`, because it is what a `main` that returns a [`Result`] prints.
#[derive(Clone, PartialEq)]
pub struct Error(Arc<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    op: &'static str,
    kind: ErrorKind,
    location: &'static Location<'static>,
    near: Option<Name>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `op` at the caller's position.
    #[track_caller]
    pub fn new(op: &'static str, kind: ErrorKind) -> Error {
        Error::at(op, kind, Location::caller(), None)
    }

    /// An error at a given position, near a given parameter.
    pub fn at(op: &'static str, kind: ErrorKind, location: &'static Location<'static>, near: Option<Name>) -> Error {
        Error(Arc::new(Inner { op, kind, location, near }))
    }

    /// The same error, at `location` if it has no place in a caller's code yet: what backends report has none.
    pub fn seen_at(self, location: &'static Location<'static>) -> Error {
        if !is_ours(self.0.location.file()) {
            return self;
        }
        Error(Arc::new(Inner { location, ..Inner::clone(&self.0) }))
    }

    /// The op that failed.
    pub fn op(&self) -> &'static str {
        self.0.op
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Where in the caller's code; where in Thalweg's for what has no place there, which is not printed.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

/// Whether a file is source of one of Thalweg's crates: a position there tells a user nothing.
pub fn is_ours(file: &str) -> bool {
    /// Where the crates lie: what stands in front of `ir/src/error.rs`, or of `ir-0.1.0/src/error.rs` in a registry.
    static HOME: LazyLock<&str> = LazyLock::new(|| file!().rfind("ir").map_or("", |at| &file!()[..at]));
    file.strip_prefix(*HOME).is_some_and(|rest| rest.contains("/src/") || rest.contains("\\src\\"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { op, kind, location, near } = &*self.0;
        write!(f, "{op}: {kind}")?;
        if let Some(name) = near.as_ref().and_then(Name::get) {
            write!(f, ", near parameter '{name}'")?;
        }
        if !is_ours(location.file()) {
            write!(f, " (at {}:{}:{})", location.file(), location.line(), location.column())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_prints_is_the_sentence_without_our_lines() {
        let error = Error::new("device", ErrorKind::Invalid("no memory".into()));
        assert_eq!(format!("{error:?}"), "device: no memory");
    }

    #[test]
    fn our_files_are_told_from_a_users() {
        assert!(is_ours(file!()) && is_ours("crates/optim/src/adam.rs"));
        for file in ["src/main.rs", "app/src/main.rs", "crates/graph/tests/schedule.rs"] {
            assert!(!is_ours(file), "{file}");
        }
    }
}
