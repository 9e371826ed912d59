//! From a graph to a backend-neutral [`ir::Schedule`]: grouping, order and memory.

pub mod cache;
pub mod ir;

use crate::{backend::Trace, error::Result};

/// What a backend asks of its schedules.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest number of distinct buffers one launch may read and write.
    pub max_buffers: usize,
}

/// Groups a trace into launches, orders them and lays out memory.
pub fn build(trace: &Trace, options: &Options) -> Result<ir::Schedule> {
    let _ = (trace, options);
    Ok(ir::Schedule::default())
}
