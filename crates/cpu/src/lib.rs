//! Thalweg's CPU executors: the strict reference and the fast one.

mod fast;
mod gemm;
pub mod ops;
pub mod strict;

pub use fast::FastCpu;
pub use strict::StrictCpu;
