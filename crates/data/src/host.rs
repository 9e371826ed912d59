//! Arrays on the host, on their way to a device.

use thalweg_graph::{Device, Tensor};

/// A row-major array on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Host<T> {
    /// The elements.
    pub values: Vec<T>,
    /// The extents.
    pub shape: Vec<usize>,
}

impl<T> Host<T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
