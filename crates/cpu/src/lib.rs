//! Thalweg's CPU executors: the strict reference and the fast one.

pub mod ops;
pub mod strict;

pub use strict::StrictCpu;
