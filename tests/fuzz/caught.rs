//! Panics as results.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Panics that become failures are not printed as well.
pub fn silence_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !CAUGHT.get() {
            loud(panic);
        }
    }));
}

/// The result, or what an error or a panic says.
pub(super) fn caught<T>(f: impl FnOnce() -> thalweg_graph::Result<T>) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CAUGHT.set(before);
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()))
        }
    }
}
