//! Errors about files.

use std::path::Path;

use thalweg_graph::{Error, ErrorKind};

/// An error about a file.
#[track_caller]
pub(crate) fn problem(op: &'static str, path: &Path, problem: String) -> Error {
    Error::new(op, ErrorKind::File { path: path.display().to_string(), problem })
}

/// Another's error about what goes to a file or comes from it, at the caller's place. `part` says of what.
#[track_caller]
pub(crate) fn relay(op: &'static str, path: &Path, part: &str, error: &Error) -> Error {
    match error.kind() {
        kind @ (ErrorKind::Device(_) | ErrorKind::Memory(_) | ErrorKind::File { .. }) => Error::new(op, kind.clone()),
        kind => problem(op, path, format!("{part}{kind}")),
    }
}
