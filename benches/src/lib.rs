//! Thalweg's benchmark runner: the workloads W1–W9, W11, W12 and W15, one process each, on the CPU and on each adapter.
//!
//! `cargo xtask bench` calls [`run`]. The runner starts its own program again with `--child` for every workload and
//! device, so that first-call times and memory belong to one workload alone.

mod clock;
mod inputs;
mod line;
mod runner;
mod table;
mod workloads;

pub use line::Line;
pub use runner::{BenchArgs, run};
