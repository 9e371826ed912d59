//! The tensor: a handle to a node of a lazily evaluated graph.

mod node;
mod version;

use std::{panic::Location, sync::Arc};

use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    shape::{Type, count},
};

use crate::{device::Device, scope::Origin, shape::IntoAxis};

pub use node::Tensor;
pub(crate) use node::{Live, Node, Role, Rule, State, next_id};
pub(crate) use version::{Identity, Version};

/// # What a tensor is
impl Tensor {
    /// A tensor that carries an error of `op`, or the error that this one carries: what a layer returns when it cannot use
    /// its input.
    #[track_caller]
    pub fn fail(&self, op: &'static str, kind: ErrorKind) -> Tensor {
        if self.0.error.is_some() {
            return self.clone();
        }
        let origin = Origin::at(Location::caller(), self.0.origin.near.clone());
        Tensor::failed(Error::at(op, kind, origin.location, origin.name()), &self.0.device, origin)
    }

    /// A tensor that carries an error of `op`, with nothing to hang it on.
    #[track_caller]
    pub(crate) fn fail_on(device: &Device, op: &'static str, kind: ErrorKind) -> Tensor {
        let origin = Origin::at(Location::caller(), None);
        Tensor::failed(Error::at(op, kind, origin.location, None), device, origin)
    }

    /// Carries an existing error on.
    #[track_caller]
    pub(crate) fn fail_with(device: &Device, error: Error) -> Tensor {
        Tensor::failed(error, device, Origin::at(Location::caller(), None))
    }

    /// The extents of its axes; empty for a scalar. Of a tensor that carries an error they are 1, eight times: a model may ask
    /// for `x.shape()[1]` on the way to whatever tells the error.
    #[doc(alias = "size")]
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The extent of one axis, which counts from the back when negative, or the error the tensor carries.
    ///
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    #[doc(alias = "size")]
    pub fn dim(&self, axis: impl IntoAxis) -> Result<usize> {
        self.check()?;
        match axis.into().of(self.shape()) {
            Ok(axis) => Ok(self.shape()[axis]),
            Err(kind) => Err(Error::new("dim", kind)),
        }
    }

    /// The extents of exactly `N` axes, or the error the tensor carries, or one that says how many axes there are.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> Result<[usize; N]> {
        self.check()?;
        // Not `map_err`: the caller's position does not go through a closure.
        match self.0.shape.as_slice().try_into() {
            Ok(dims) => Ok(dims),
            Err(_) => {
                let problem = format!("has {} axes, not {N}", self.rank());
                Err(Error::new("dims", ErrorKind::Shape { shape: self.0.shape.clone(), problem }))
            }
        }
    }

    /// The number of axes.
    #[doc(alias = "ndim")]
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// The number of elements.
    #[doc(alias = "numel")]
    pub fn count(&self) -> usize {
        count(&self.0.shape)
    }

    /// Shape and dtype.
    pub(crate) fn type_of(&self) -> Type {
        Type { shape: self.0.shape.clone(), dtype: self.0.dtype }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The error it carries, if any.
    pub fn check(&self) -> Result<()> {
        match &self.0.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Whether both are one tensor, and not two with equal values.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether gradients can be taken with respect to it or one of its ancestors.
    #[doc(alias = "requires_grad")]
    pub fn is_tracked(&self) -> bool {
        self.0.tracked
    }

    /// Whether its value has been computed (or queued on the device).
    pub fn is_evaluated(&self) -> bool {
        self.region().is_some()
    }
}

/// What gives one tensor gives a list of one.
impl AsRef<[Tensor]> for Tensor {
    fn as_ref(&self) -> &[Tensor] {
        std::slice::from_ref(self)
    }
}
