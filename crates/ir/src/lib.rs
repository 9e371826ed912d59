//! Thalweg's intermediate representation: dtypes, shapes, errors, the op set, programs of ops, the traits of backends, and the way
//! from a program to a schedule of launches.
//!
//! Nothing here knows a tensor: `thalweg-graph` records programs, and the crates `thalweg-cpu` and `thalweg-gpu` run them.

pub mod backend;
mod bits;
pub mod bytes;
pub mod custom;
mod dtype;
mod error;
mod fragment;
pub mod interpret;
pub mod key;
mod map;
mod multiply_adds;
mod name;
pub mod op;
mod passes;
mod philox;
pub mod program;
pub mod schedule;
pub mod settings;
pub mod shape;
pub mod span;
pub mod storage;

pub use bits::Bits;
pub use custom::{Custom, CustomKernel};
pub use dtype::{Class, DType};
pub use error::{Error, ErrorKind, Result, is_ours};
pub use fragment::Fragment;
pub use name::Name;
pub use op::{Conv, Op, ReduceOp, Window, compound::Operand, primitive::Primitive};
pub use philox::philox;
pub use program::{Node, NodeId};
pub use settings::Settings;
