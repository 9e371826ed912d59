//! Thalweg's intermediate representation: dtypes, shapes, errors, the op set, the traits of backends, and the way from a trace of ops
//! to a schedule of launches.
//!
//! Nothing here knows a tensor: `thalweg-graph` records traces, and the crates `thalweg-cpu` and `thalweg-gpu` run them.

pub mod backend;
mod bits;
pub mod custom;
mod dtype;
mod error;
pub mod key;
mod name;
pub mod op;
mod passes;
pub mod schedule;
pub mod shape;
pub mod span;

pub use bits::Bits;
pub use custom::{Custom, CustomKernel, Operand};
pub use dtype::{Class, DType};
pub use error::{Error, ErrorKind, Result, is_ours};
pub use name::Name;
pub use op::{Conv, Op, ReduceOp, Window, primitive::Primitive};
