//! Memory on a device, and parts of it.

use std::{any::Any, fmt, sync::Arc};

use crate::dtype::DType;

/// A buffer on a device. Its memory goes back to the device's pool with the last clone.
#[derive(Clone)]
pub struct Storage(Arc<dyn StorageObject>);

/// The backend's side of a [`Storage`].
pub trait StorageObject: Any + Send + Sync {
    /// Bytes it holds.
    fn size_bytes(&self) -> usize;
}

impl Storage {
    /// Wraps a backend's buffer.
    pub fn new(object: impl StorageObject) -> Storage {
        Storage(Arc::new(object))
    }

    /// The backend's buffer, if it is a `T`.
    pub fn downcast<T: StorageObject>(&self) -> Option<&T> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// Bytes it holds.
    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes()
    }

    /// Whether this is the only handle to the buffer.
    pub fn is_only(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether both are the same buffer.
    pub fn same(&self, other: &Storage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} bytes)", self.size_bytes())
    }
}

/// Elements `offset .. offset + len` of a storage.
#[derive(Clone, Debug)]
pub struct Region {
    /// The buffer.
    pub storage: Storage,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Their type.
    pub dtype: DType,
}

impl Region {
    /// Whether both have a byte in common.
    pub fn overlaps(&self, other: &Region) -> bool {
        let mut layout = Layout::default();
        layout.footprint(self).overlaps(&layout.footprint(other))
    }
}

/// A region as far as a plan depends on it: not where its memory is, but what else lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Footprint {
    /// The buffer, by its number in the [`Layout`].
    pub storage: usize,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Their type.
    pub dtype: DType,
}

impl Footprint {
    /// Whether both have a byte in common.
    pub fn overlaps(&self, other: &Footprint) -> bool {
        let bytes = |s: &Footprint| (s.offset * s.dtype.size_bytes(), (s.offset + s.len) * s.dtype.size_bytes());
        let ((a, a_end), (b, b_end)) = (bytes(self), bytes(other));
        self.storage == other.storage && a < b_end && b < a_end
    }
}

/// Buffers by number, in the order in which they are met.
#[derive(Debug, Default)]
pub struct Layout(Vec<Storage>);

impl Layout {
    /// What a region is among those met so far.
    pub fn footprint(&mut self, region: &Region) -> Footprint {
        let known = self.0.iter().position(|storage| storage.same(&region.storage));
        let storage = known.unwrap_or_else(|| {
            self.0.push(region.storage.clone());
            self.0.len() - 1
        });
        Footprint { storage, offset: region.offset, len: region.len, dtype: region.dtype }
    }
}
