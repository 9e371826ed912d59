//! Thalweg's graph: tensors, gradients, modules and what they record, on the op set of `thalweg-ir`.
//!
//! This crate knows no GPU and starts no thread. A [`Device`] is a handle to some [`backend::Backend`]; the crates
//! `thalweg-cpu` and `thalweg-gpu` implement it.

pub mod autodiff;
mod build;
mod capacity;
mod compile;
mod custom;
mod device;
mod eval;
pub mod functional;
mod meta;
pub mod module;
mod multiply_adds;
mod nowhere;
mod operators;
pub mod ops;
mod print;
mod profile;
mod record;
mod remat;
mod rule;
mod scan;
mod scope;
pub mod shape;
mod tensor;
mod variable;

pub use autodiff::{Grads, Leaf};
pub use build::MAX_PENDING;
pub use compile::{Step, compile};
pub use custom::{CustomOp, MultiOp};
pub use device::{Device, Precision};
pub use module::{
    Mode, Module, Param, Path, State, Visitor, VisitorMut, overlay,
    snapshot::{Snapshot, Stateful},
    summary::{LayerSummary, Summary},
};
pub use multiply_adds::multiply_adds;
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
pub use profile::{Profile, Row};
pub use remat::checkpoint;
pub use scan::{scan, scan_back};
pub use scope::{Scope, keep_f32};
pub use shape::{Axes, Axis, Integer, IntoAxes, IntoAxis, IntoRange, IntoReshape, IntoShape};
pub use tensor::Tensor;
pub use thalweg_ir::{
    Bits, Class, Conv, Custom, DType, Error, ErrorKind, Name, Op, Operand, Primitive, ReduceOp, Result, Settings,
    Window, bytes, philox, schedule, span::Span,
};

/// What a device is made of, and programs of tensors for it.
pub mod backend {
    pub use thalweg_ir::{backend::*, program::*, storage::*};

    pub use crate::eval::program;
}
