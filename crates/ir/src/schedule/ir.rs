//! What a backend is given: a list of loop nests and contractions over virtual buffers.
//!
//! Two kinds of [`LaunchKind`] have code; beside them there are primitives on whole buffers ([`Whole`]) and recorded steps that are
//! walked over ([`Repeat`]).
//!
//! - a [`Loop`]: for every point of `outer`, sweeps over `inner`. Its body is straight-line code; [`Inst::Reduce`]
//!   combines a value over all of `inner`. Elementwise chains have no `inner`; softmax, norms and losses are several
//!   sweeps; pooling is a short `inner` over window positions.
//! - a [`Contract`]: `acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]`, then an elementwise body on every `acc`. Matrix
//!   products and convolutions, whose operands are windows of the input.
//!
//! Every operand is read through an [`Access`], an affine map from loop coordinates to a buffer element with guards; so
//! permutes, slices, broadcasts, padding and sliding windows cost no launch of their own.

mod access;
mod body;
mod buffer;
mod kind;
mod launch;
mod layout;
mod title;

pub use access::{Access, BufId, BufIds, Linear, Term};
pub use body::{Body, Check, Indirect, Inst, Store, Val};
pub use buffer::{BufferSpec, Place};
pub use kind::{Array, Contract, ContractKind, Level, Loop, Operand, Read, Whole};
pub use launch::{Code, Launch, LaunchKind, Repeat, Slots, Work};
pub use layout::Schedule;
pub use title::Title;
