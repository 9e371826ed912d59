//! Thalweg's graph: dtypes, shapes, the op set, tensors, gradients, and the backend-neutral schedule.
//!
//! This crate knows no GPU and starts no thread. A [`Device`] is a handle to some [`backend::Backend`]; the crates
//! `thalweg-cpu` and `thalweg-gpu` implement it.

pub mod backend;
mod device;
mod dtype;
mod error;
mod eval;
mod op;
pub mod ops;
pub mod schedule;
pub mod shape;
mod tensor;

pub use device::{Device, Precision};
pub use dtype::{Class, DType};
pub use error::{Error, ErrorKind, Result};
pub use op::{Conv, Op, ReduceOp, Window};
pub use tensor::{IntoTensor, MAX_PENDING, Tensor};
