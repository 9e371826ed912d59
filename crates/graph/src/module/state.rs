//! Tensors that are carried along without training.

use std::fmt;

use super::param::fitting;
use thalweg_ir::{DType, Name, Result};

use crate::{
    device::Device,
    eval::is_computable,
    record,
    shape::IntoShape,
    tensor::Tensor,
    variable::{Variable, settle},
};

/// A tensor that a module carries along without training it: running statistics, counters. Clones share the value.
#[derive(Clone)]
pub struct State(pub(crate) Variable);

impl State {
    /// A state with this value, in memory of its own.
    ///
    /// # Errors
    /// The error the tensor carries; no memory.
    #[track_caller]
    pub fn new(value: Tensor) -> Result<State> {
        Variable::new(value, false).map(State)
    }

    /// With memory for two values, used in turn: for a small state whose next value reads it all over.
    ///
    /// # Errors
    /// No memory.
    #[track_caller]
    pub fn doubled(self) -> Result<State> {
        self.0.double()?;
        Ok(self)
    }

    /// The current value.
    pub fn tensor(&self) -> Tensor {
        self.meet();
        self.0.tensor()
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.0.leaf().shape().to_vec()
    }

    /// Its next value, lazily: it is seen at once by [`State::tensor`], and is written by the next step that this thread takes on
    /// the device (unless that step is skipped: then it never was).
    ///
    /// A value of another shape or dtype, or one that carries an error, is an error of that step.
    #[track_caller]
    pub fn set(&self, value: &Tensor) {
        self.meet();
        let value = match fitting(&self.0, value) {
            Ok(value) => value.detach(),
            Err(error) => Tensor::fail_with(self.0.leaf().device(), error),
        };
        self.0.set(value);
    }

    /// Gives it a value now, whatever steps are skipped: what loading a file does.
    ///
    /// # Errors
    /// Another shape or dtype; the error the tensor carries.
    #[track_caller]
    pub fn write(&self, value: &Tensor) -> Result<()> {
        self.meet();
        let value = fitting(&self.0, value)?;
        self.0.write(&value)
    }

    /// How often it has been written.
    pub fn version(&self) -> u64 {
        self.0.version()
    }

    /// The name it was last visited under.
    pub fn name(&self) -> Name {
        self.0.name().clone()
    }

    /// Whether both are the same state.
    pub fn same(&self, other: &State) -> bool {
        self.0.same(&other.0)
    }

    /// A state of its own with the same value and name. What this one was set to waits on.
    pub(super) fn fork(&self) -> Result<State> {
        if !self.0.is_pending() {
            return self.0.fork().map(State);
        }
        let fork = Variable::new(self.0.tensor(), false)?;
        fork.named_as(&self.0);
        Ok(State(fork))
    }

    /// What was set before a recording began is written before it goes on: it is not the recording's.
    fn meet(&self) {
        // What cannot be computed is left: who reads it gets the error.
        if record::meets(&self.0) && is_computable(&[self.0.tensor()]) {
            let _ = record::unrecorded(|| settle(vec![self.0.clone()]));
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?})", self.0)
    }
}

/// A state of zeros.
///
/// # Errors
/// No memory.
#[track_caller]
pub fn zeros_state(device: &Device, shape: impl IntoShape, dtype: DType) -> Result<State> {
    State::new(Tensor::zeros(device, shape).cast(dtype))
}
