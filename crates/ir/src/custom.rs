//! Ops of a user's own, as backends see them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::bits::Bits;

/// An input of [`CustomKernel::reference`]: its elements, row-major, and its shape.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// The elements; truth values are 0 and 1.
    pub data: &'a [f64],
    /// The shape.
    pub shape: &'a [usize],
}

/// A kernel that Thalweg does not have.
pub trait CustomKernel: fmt::Debug + Send + Sync + 'static {
    /// Its name, in errors and labels.
    fn name(&self) -> &'static str;

    /// WGSL with a function `custom(i: u32)` that returns element `i` of the result, row-major.
    fn wgsl(&self) -> String;

    /// The result in f64, into `result`.
    fn reference(&self, inputs: &[Operand<'_>], result: &mut [f64]);

    /// Everything in `self` that [`CustomKernel::wgsl`] or [`CustomKernel::reference`] depends on.
    fn parameters(&self) -> Vec<f64>;
}

/// A handle to a [`CustomKernel`]; equal if type and parameters are.
#[derive(Clone, Debug)]
pub struct Custom {
    op: Arc<dyn CustomKernel>,
    type_name: &'static str,
}

impl Custom {
    /// Of a kernel, whose type has this name.
    pub fn new(op: Arc<dyn CustomKernel>, type_name: &'static str) -> Custom {
        Custom { op, type_name }
    }

    /// The op.
    pub fn op(&self) -> &dyn CustomKernel {
        &*self.op
    }

    /// What it depends on.
    fn parameters(&self) -> Vec<Bits> {
        self.op.parameters().into_iter().map(Bits).collect()
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Custom) -> bool {
        self.type_name == other.type_name && self.parameters() == other.parameters()
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.type_name, self.parameters()).hash(state);
    }
}
