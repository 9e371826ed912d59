//! Other tensors in the place of parameters, for a while.

use std::cell::RefCell;

use super::{Param, param::fitting};
use crate::{error::Result, tensor::Tensor, variable::Variable};

thread_local! {
    /// What stands for parameters on this thread, by their keys, the innermost last.
    static OVERLAYS: RefCell<Vec<(u64, Tensor)>> = const { RefCell::new(Vec::new()) };
}

/// What `f` gives while parameters compute with other tensors on this thread: a functional call, the second point of a
/// sharpness-aware step, averaged weights, or weights that are themselves computed from tracked tensors. Nothing is written, and a
/// gradient goes to the tensors. Overlays nest; the innermost counts.
///
/// # Errors
/// A tensor of another shape or dtype than its parameter's; an error that one carries.
#[track_caller]
pub fn overlay<T>(values: &[(&Param, Tensor)], f: impl FnOnce() -> T) -> Result<T> {
    /// Takes them away again, also when `f` panics.
    struct End(usize);
    impl Drop for End {
        fn drop(&mut self) {
            OVERLAYS.with_borrow_mut(|all| all.truncate(self.0));
        }
    }
    let mut fitted = Vec::with_capacity(values.len());
    for (param, value) in values {
        fitted.push((param.0.key(), fitting(&param.0, value)?));
    }
    let _end = OVERLAYS.with_borrow_mut(|all| {
        let end = End(all.len());
        all.append(&mut fitted);
        end
    });
    Ok(f())
}

/// What stands for a parameter on this thread.
pub(super) fn standing_for(param: &Variable) -> Option<Tensor> {
    OVERLAYS.with_borrow(|all| all.iter().rev().find(|(key, _)| *key == param.key()).map(|(_, value)| value.clone()))
}
