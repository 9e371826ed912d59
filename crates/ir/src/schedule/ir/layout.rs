//! The launches of a program in order, over its virtual buffers.

use super::{BufId, BufferSpec, Launch, Place};
use crate::map::Set;

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
