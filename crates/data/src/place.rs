//! Where the errors of this crate say they happened.
//!
//! A batch is made on a thread of the loader, where the caller's position is that of a closure. What is made there is made on
//! behalf of whoever made the loader: errors name that place, and the items of the batch by their index in the data set.

use std::{cell::RefCell, panic::Location, sync::Arc};

use thalweg_graph::{Error, ErrorKind};

/// For whom this thread works.
#[derive(Clone)]
pub(crate) struct Scope {
    place: &'static Location<'static>,
    /// Indices in the data set of the items of a batch.
    indices: Arc<[usize]>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Ends the scope, also where `work` panics.
struct Leave(Option<Scope>);

impl Drop for Leave {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Works for whoever stands at `place`, on a batch of the items at these indices.
pub(crate) fn on_behalf_of<R>(
    place: &'static Location<'static>,
    indices: impl Into<Arc<[usize]>>,
    work: impl FnOnce() -> R,
) -> R {
    let _leave = Leave(SCOPE.replace(Some(Scope { place, indices: indices.into() })));
    work()
}

/// An error at the place this thread works for, or else at the caller's.
#[track_caller]
pub(crate) fn error(op: &'static str, kind: ErrorKind) -> Error {
    let here = Location::caller();
    let place = SCOPE.with_borrow(|scope| scope.as_ref().map_or(here, |scope| scope.place));
    Error::at(op, kind, place, None)
}

/// A setting or an argument that means nothing.
#[track_caller]
pub(crate) fn invalid(op: &'static str, problem: String) -> Error {
    error(op, ErrorKind::Invalid(problem))
}

/// An index that the data set does not have.
#[track_caller]
pub(crate) fn out_of_range(index: usize, len: usize) -> Error {
    error("dataset", ErrorKind::Index { index: i64::try_from(index).unwrap_or(i64::MAX), axis: 0, extent: len })
}

/// Item `i` of a batch in words: with its index in the data set where that is known.
pub(crate) fn item(i: usize) -> String {
    let index = SCOPE.with_borrow(|scope| scope.as_ref()?.indices.get(i).copied());
    index.map_or_else(|| format!("item {i}"), |index| format!("item {i} (index {index} of the data set)"))
}
