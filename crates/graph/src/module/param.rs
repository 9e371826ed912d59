//! Trainable tensors.

use std::fmt;

use thalweg_ir::{Error, ErrorKind, Name, Result};

use crate::{
    autodiff::Leaf,
    record::depends_on_flags,
    tensor::Tensor,
    variable::{Variable, overlay::standing_for},
};

/// A trainable tensor. Clones share the value: a module that holds a clone of another's parameter is tied to it. For a copy that
/// goes its own way there is [`super::Module::fork`].
#[derive(Clone)]
pub struct Param(pub(crate) Variable);

impl Param {
    /// A parameter with this value, in memory of its own.
    ///
    /// # Errors
    /// The error the tensor carries; a dtype that has no gradient; no memory.
    #[track_caller]
    pub fn new(value: Tensor) -> Result<Param> {
        value.check()?;
        if !value.dtype().is_float() {
            let problem = "is no parameter's: it has no gradient; use a State".to_string();
            return Err(Error::new("param", ErrorKind::DType { got: value.dtype(), problem }));
        }
        Variable::new(value, true).map(Param)
    }

    /// The current version, as a leaf to compute with. Tracked in training mode unless frozen.
    pub fn tensor(&self) -> Tensor {
        depends_on_flags(&self.0);
        standing_for(self.0.key()).unwrap_or_else(|| self.0.leaf())
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.0.leaf().shape().to_vec()
    }

    /// The name it was last visited under.
    pub fn name(&self) -> Name {
        self.0.name().clone()
    }

    /// Whether optimizers leave it alone.
    pub fn is_frozen(&self) -> bool {
        depends_on_flags(&self.0);
        self.0.is_frozen()
    }

    /// Excludes it from training, or includes it again: steps that are taken from now on do not move it by a bit, and what is
    /// recorded from now on does not track it.
    pub fn freeze(&self, frozen: bool) {
        self.0.set_flags(None, Some(frozen));
    }

    /// Gives it another value of the same shape and dtype, which may be any function of the old one. Graphs recorded with the old
    /// one become stale.
    ///
    /// # Errors
    /// Another shape or dtype; the error the tensor carries.
    #[track_caller]
    pub fn set(&self, value: &Tensor) -> Result<()> {
        let value = fitting(&self.0, value)?;
        self.0.write(&value)
    }

    /// Whether both are the same parameter.
    pub fn same(&self, other: &Param) -> bool {
        self.0.same(&other.0)
    }

    /// A parameter of its own with the same value, name and flags.
    pub(super) fn fork(&self) -> Result<Param> {
        self.0.fork().map(Param)
    }
}

/// A value for a variable, on its device, or why it is none.
#[track_caller]
pub(super) fn fitting(variable: &Variable, value: &Tensor) -> Result<Tensor> {
    value.check()?;
    let leaf = variable.leaf();
    if leaf.shape() != value.shape() || leaf.dtype() != value.dtype() {
        let problem =
            format!("differ, or dtypes {} and {} do, setting '{}'", leaf.dtype(), value.dtype(), variable.name());
        let (lhs, rhs) = (leaf.shape().to_vec(), value.shape().to_vec());
        return Err(Error::new("set", ErrorKind::Shapes { lhs, rhs, problem }));
    }
    let value = value.to(leaf.device());
    value.check()?;
    Ok(value)
}

impl Leaf for Param {
    fn gradient_key(&self) -> u64 {
        self.0.key()
    }
    fn gradient_leaf(&self) -> Tensor {
        self.0.leaf()
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param({:?})", self.0)
    }
}
