//! Arrays on the host, on their way to a device.

use thalweg_graph::{Device, Element, Tensor};

/// A row-major array on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Host<T> {
    /// The elements.
    pub values: Vec<T>,
    /// The extents.
    pub shape: Vec<usize>,
}

impl<T: Element> Host<T> {
    /// A tensor with these elements. Queued; nothing waits. What goes wrong is carried by the tensor.
    #[track_caller]
    pub fn to(&self, device: &Device) -> Tensor {
        Tensor::from_slice(device, &self.values, self.shape.as_slice())
    }
}
