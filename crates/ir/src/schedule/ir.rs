//! What a backend is given: a list of loop nests and contractions over virtual buffers.
//!
//! There are two kinds of [`Launch`]:
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
mod launch;

use std::collections::HashSet;

pub use access::{Access, Linear, Term};
pub use body::{Body, Check, Indirect, Inst, Store};
pub use launch::{Array, Contract, ContractKind, Launch, LaunchKind, Level, Loop, Operand, Repeat, Whole};

use crate::{dtype::DType, op::scan::Walk};

/// Index of a virtual buffer in [`Schedule::buffers`].
pub type BufId = usize;
/// Index of an instruction, and so of its value, in [`Body::insts`].
pub type Val = usize;

/// Where a virtual buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Leaf `i` of the program: a region given at each run.
    Leaf(usize),
    /// Output `i` of the program: a region given or made at each run. It may be the region of a leaf (an update in place);
    /// the memory pass has checked that no launch reads the old value after the new one is written, except element by
    /// element in the launch that writes it.
    Output(usize),
    /// At the start of slot `i` of the activation pool.
    Slot(usize),
    /// At `offset` elements into another buffer.
    Window {
        /// The buffer that holds it. Never itself a window.
        of: BufId,
        /// Elements from its start.
        offset: usize,
    },
    /// In another buffer, in a [`Repeat`]: elsewhere at every step.
    Walk {
        /// The buffer that holds it.
        of: BufId,
        /// Where in it.
        walk: Walk,
    },
    /// A buffer of the plan's own that starts as zeros and that nothing else ever writes: packed gradients, whose padding
    /// must stay zero.
    Zeroed,
}

/// A virtual buffer: dense, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferSpec {
    /// Element type.
    pub dtype: DType,
    /// Elements.
    pub len: usize,
    /// Where it lives.
    pub place: Place,
}

/// A graph, grouped, ordered and laid out in memory.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schedule {
    /// The virtual buffers.
    pub buffers: Vec<BufferSpec>,
    /// The launches in execution order.
    pub launches: Vec<Launch>,
    /// Bytes of each slot of the activation pool.
    pub slots: Vec<usize>,
    /// For each output of the program the buffer that holds it. An output that is a leaf is that leaf's buffer.
    pub outputs: Vec<BufId>,
    /// How many host scalars a run brings; each is 32 bits, f32, i32 or u32 by the dtype of its [`Inst::Scalar`].
    pub scalars: usize,
}

impl Schedule {
    /// Whether a buffer must start as zeros, since no launch writes its every element: between the parts of a pack lies nothing.
    pub fn starts_at_zero(&self) -> Vec<bool> {
        let written: HashSet<BufId> = self.launches.iter().flat_map(|l| l.writes()).collect();
        let mut zero: Vec<bool> = (0..self.buffers.len()).map(|buf| !written.contains(&buf)).collect();
        for spec in &self.buffers {
            if let Place::Window { of, .. } = spec.place {
                zero[of] = true;
            }
        }
        zero
    }
}
