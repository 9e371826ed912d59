//! The launches of a program in order, and the virtual buffers that they run over.

use super::{BufId, Launch};
use crate::{dtype::DType, map::Set, op::scan::Walk};

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
    /// How many host scalars a run brings; each is 32 bits, f32, i32 or u32 by the dtype of its [`super::Inst::Scalar`].
    pub scalars: usize,
}

impl Schedule {
    /// Whether a buffer must start as zeros, since no launch writes its every element: between the parts of a pack lies nothing.
    pub fn starts_at_zero(&self) -> Vec<bool> {
        let written: Set<BufId> = self.launches.iter().flat_map(|l| l.work.writes()).collect();
        let mut zero: Vec<bool> = (0..self.buffers.len()).map(|buf| !written.contains(&buf)).collect();
        for spec in &self.buffers {
            if let Place::Window { of, .. } = spec.place {
                zero[of] = true;
            }
        }
        zero
    }
}
