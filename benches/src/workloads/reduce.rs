//! W8: sums of a large matrix.

use anyhow::Result;

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// W8r along rows, W8c along columns, W8a of all.
pub fn sum(clock: &mut Clock, name: &str) -> Result<()> {
    let x = fill(&clock.device, 1, &[4096, 4096], 1.0);
    let size = x.count() * 4;
    match name {
        "W8r" => clock.forward(Work::bytes("W8r", size), || Ok(x.sum(-1))),
        "W8c" => clock.forward(Work::bytes("W8c", size), || Ok(x.sum(0))),
        _ => clock.forward(Work::bytes("W8a", size), || Ok(x.sum(..))),
    }
}
