//! Other tensors in the place of parameters, for a while.

use super::{Param, param::fitting};
use thalweg_ir::Result;

use crate::{tensor::Tensor, variable::overlay::overlaid};

/// What `f` gives while parameters compute with other tensors on this thread: a functional call, the second point of a
/// sharpness-aware step, averaged weights, or weights that are themselves computed from tracked tensors. Nothing is written, and a
/// gradient goes to the tensors. Overlays nest; the innermost counts.
///
/// # Errors
/// A tensor of another shape or dtype than its parameter's; an error that one carries.
#[track_caller]
pub fn overlay<T>(values: &[(&Param, Tensor)], f: impl FnOnce() -> T) -> Result<T> {
    let mut fitted = Vec::with_capacity(values.len());
    for (param, value) in values {
        fitted.push((param.0.key(), fitting(&param.0, value)?));
    }
    Ok(overlaid(fitted, f))
}
