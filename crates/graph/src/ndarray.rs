//! Arrays of the crate `ndarray`, behind the feature of that name.

use ndarray::{ArrayBase, ArrayD, Data, Dimension};
use thalweg_ir::{Error, ErrorKind, Result};

use crate::{device::Device, ops::create::Element, tensor::Tensor};

/// # Arrays of `ndarray`
impl Tensor {
    /// A tensor with the elements of an array or a view of one, in whatever order they lie in memory.
    ///
    /// # Errors
    /// As [`Tensor::from_slice`].
    #[track_caller]
    pub fn from_ndarray<T: Element, S: Data<Elem = T>, D: Dimension>(
        device: &Device,
        array: &ArrayBase<S, D>,
    ) -> Tensor {
        match array.as_slice() {
            Some(elements) => Tensor::from_slice(device, elements, array.shape()),
            None => Tensor::from_slice(device, &array.iter().copied().collect::<Vec<T>>(), array.shape()),
        }
    }

    /// The elements as an array, of any number of axes: `into_dimensionality` makes one of a given number of it. Evaluates, and waits for
    /// the device.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let elements = self.to_vec::<T>()?;
        match ArrayD::from_shape_vec(self.shape(), elements) {
            Ok(array) => Ok(array),
            Err(e) => Err(Error::new("to_ndarray", ErrorKind::Invalid(e.to_string()))),
        }
    }
}
