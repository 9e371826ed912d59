//! What a backend asks of its schedules.

use crate::backend::Properties;

/// What a backend asks of its schedules.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest number of distinct buffers one launch may read and write.
    pub max_buffers: usize,
    /// Bytes of a buffer above which it counts as several.
    pub max_binding_bytes: u64,
    /// Whether primitives are made of other ops even where a kernel of their own is faster: the one is held against the other so.
    pub composed: bool,
    /// Whether what all steps of a scan multiply by is laid out once, in F32 and in the order in which it is read.
    pub laid_out: bool,
}

impl Options {
    /// What a device asks for.
    pub fn of(properties: &Properties) -> Options {
        let Properties { max_buffers, max_binding_bytes, .. } = *properties;
        Options { max_buffers, max_binding_bytes, composed: false, laid_out: false }
    }
}
