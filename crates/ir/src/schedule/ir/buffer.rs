//! The virtual buffers that launches run over, and where they lie.

use super::BufId;
use crate::{dtype::DType, op::scan::Walk};

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
    /// In another buffer, in a [`super::Repeat`]: elsewhere at every step.
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
