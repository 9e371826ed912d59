//! Ops of a user's own, as backends see them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::{
    bits::Bits,
    op::{
        compose::{Compose, Value},
        compound::{Compound, Operand},
    },
    shape::Type,
};

/// A kernel that Thalweg does not have.
pub trait CustomKernel: fmt::Debug + Send + Sync + 'static {
    /// Its name, in errors and labels.
    fn name(&self) -> &'static str;

    /// WGSL with a function `custom_multi(i: u32)`, called once for every `i` below the number of elements of the largest result. It
    /// gives element `j` of result `k` by calling `set{k}(j, value)`.
    fn wgsl(&self) -> String;

    /// The results in f64, into `results`, which are as many and as long as the op's results.
    fn reference(&self, inputs: &[Operand<'_>], results: &mut [Vec<f64>]);

    /// Everything in `self` that [`CustomKernel::wgsl`] or [`CustomKernel::reference`] depends on.
    fn parameters(&self) -> Vec<f64>;
}

/// A handle to a [`CustomKernel`] and what its results are; equal if these, type and parameters are.
#[derive(Clone, Debug)]
pub struct Custom {
    op: Arc<dyn CustomKernel>,
    type_name: &'static str,
    outputs: Vec<Type>,
}

impl Custom {
    /// Of a kernel, whose type has this name, for inputs that give these results.
    pub fn new(op: Arc<dyn CustomKernel>, type_name: &'static str, outputs: Vec<Type>) -> Custom {
        Custom { op, type_name, outputs }
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
        self.type_name == other.type_name && self.outputs == other.outputs && self.parameters() == other.parameters()
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.type_name, &self.outputs, self.parameters()).hash(state);
    }
}

impl Compound for Custom {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn outputs(&self, _inputs: &[Type]) -> Vec<Type> {
        self.outputs.clone()
    }

    fn compose(&self, _c: &mut dyn Compose, _inputs: &[Value]) -> Option<Vec<Value>> {
        None
    }

    fn reference(&self, inputs: &[Operand<'_>], _types: &[Type]) -> Option<Vec<Vec<f64>>> {
        let mut results: Vec<Vec<f64>> = self.outputs.iter().map(|output| vec![0.0; output.count()]).collect();
        self.op.reference(inputs, &mut results);
        Some(results)
    }
}
