//! Loops, compiled to code on blocks of lanes.
//!
//! `program` turns values into registers and code, `exec` cuts the nest into tasks,
//! `machine` runs code on a block, `access` finds the elements of a block, `alu` and `math` compute, `reduce` combines.

pub mod access;
pub mod alu;
pub mod exec;
pub mod machine;
pub mod math;
pub mod program;
pub mod random;
pub mod reduce;
