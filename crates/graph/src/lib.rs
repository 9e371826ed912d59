//! Thalweg's graph: dtypes, shapes, the op set, tensors, gradients, and the backend-neutral schedule.
//!
//! This crate knows no GPU and starts no thread. A [`Device`] is a handle to some [`backend::Backend`]; the crates
//! `thalweg-cpu` and `thalweg-gpu` implement it.

pub mod autodiff;
pub mod backend;
mod capacity;
mod compile;
mod custom;
mod device;
mod dtype;
mod error;
mod eval;
pub mod functional;
pub mod module;
mod name;
mod nowhere;
mod op;
mod operators;
pub mod ops;
mod passes;
mod print;
mod record;
mod remat;
mod rule;
pub mod schedule;
pub mod shape;
mod tensor;
mod variable;

pub use autodiff::{Grads, Leaf};
pub use compile::{Step, compile};
pub use custom::{Custom, CustomOp, Operand};
pub use device::{Device, Precision};
pub use dtype::{Class, DType};
pub use error::{Error, ErrorKind, Result};
pub use module::{
    Mode, Module, Param, Path, State, Visitor, VisitorMut, overlay,
    snapshot::{Snapshot, Stateful},
};
pub use name::Name;
pub use op::{Bits, Conv, Op, ReduceOp, Window};
pub use operators::{IntoTensor, Number};
pub use ops::{
    contraction::ConvConfig,
    counted::Unique,
    create::Element,
    dynamic::Offset,
    embedding::Bags,
    grid::{GridSample, Outside},
    interpolate::{Resample, Resize, Target},
    orthogonal::NewtonSchulz,
    pool::Pool,
    quantile::Interpolation,
    random::{Rng, Stream},
    scatter::Combine,
    subscript::{Ellipsis, IntoSubscripts, NewAxis, Subscript, Subscripts},
};
pub use remat::checkpoint;
pub use shape::{Axes, Axis, Integer, IntoAxes, IntoAxis, IntoRange, IntoReshape, IntoShape};
pub use tensor::{MAX_PENDING, Tensor};
