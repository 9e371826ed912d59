//! Loops, compiled to code on blocks of lanes.
//!
//! `lower` turns values into registers and code (`code`), `lanes` says along which coordinates blocks are, `exec` cuts the nest into
//! tasks, `machine` runs code on a block, `access` finds the elements of a block, `alu`, `pair` and `math` compute, `reduce` combines.

pub mod access;
pub mod alu;
pub mod code;
pub mod exec;
mod lanes;
pub mod lower;
pub mod machine;
pub mod math;
pub mod pair;
pub mod random;
pub mod reduce;
