//! W9: a chain of elementwise ops.

use anyhow::Result;

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// `y = gelu(x · a + b) · c` on 2²⁴ elements, with the exact gelu.
pub fn gelu(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[1 << 24], 4.0);
    clock.forward(Work::bytes("W9", 2 * x.count() * 4), || Ok((&x * 1.1 + 0.1).gelu() * 0.9))
}
