//! Tensors that are carried along without training.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Mutex},
};

use super::{lock, unevaluated};
use crate::{
    backend::Region,
    device::Device,
    dtype::DType,
    error::Result,
    eval::Root,
    record,
    shape::{IntoShape, count},
    tensor::{Role, Tensor},
};

/// A tensor that a module carries along without training it: running statistics, counters. Clones share the value.
#[derive(Clone)]
pub struct State(Arc<Mutex<StateInner>>);

struct StateInner {
    /// What the next reader sees; lazy after [`State::set`].
    value: Tensor,
    /// Where the value lives; steps write it in place.
    home: Region,
}

impl State {
    /// A state with this value.
    ///
    /// # Errors
    /// The error the tensor carries.
    #[track_caller]
    pub fn new(value: Tensor) -> Result<State> {
        value.check()?;
        value.eval()?;
        let home = value.region().ok_or_else(|| unevaluated("state"))?;
        let leaf =
            Tensor::leaf(home.clone(), value.shape().to_vec(), value.device(), false, Role::Plain, Location::caller());
        Ok(State(Arc::new(Mutex::new(StateInner { value: leaf, home }))))
    }

    /// The current value.
    pub fn tensor(&self) -> Tensor {
        self.meet();
        lock(&self.0).value.clone()
    }

    /// Its next value, lazily: the next step writes it, and nothing is computed before.
    pub fn set(&self, value: &Tensor) {
        self.meet();
        lock(&self.0).value = value.detach();
    }

    /// Whether both are the same state.
    pub fn same(&self, other: &State) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Writes a value that was set home, if no step has.
    pub(crate) fn write(&self) -> Result<()> {
        if let Some(root) = self.pending() {
            crate::eval::run(&[root], false)?;
            self.settle();
        }
        Ok(())
    }

    /// What was set before a recording began is written before it goes on: it is not the recording's.
    fn meet(&self) {
        if record::meets(self) {
            // An error is in the value as well, and what reads it returns it.
            let _ = record::unrecorded(|| self.write());
        }
    }

    /// The value to write and its place, if it was set since the last step.
    pub(super) fn pending(&self) -> Option<Root> {
        self.meet();
        let state = lock(&self.0);
        let current = state.value.region();
        let at_home = current.is_some_and(|r| r.storage.same(&state.home.storage) && r.offset == state.home.offset);
        (!at_home).then(|| Root { tensor: state.value.clone(), target: Some(state.home.clone()) })
    }

    /// After its value was written home.
    pub(super) fn settle(&self) {
        let mut state = lock(&self.0);
        let (shape, device) = (state.value.shape().to_vec(), state.value.device().clone());
        let location = state.value.0.origin.location;
        state.value = Tensor::leaf(state.home.clone(), shape, &device, false, Role::Plain, location);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?})", self.tensor())
    }
}

/// A state of zeros.
///
/// # Errors
/// No memory.
pub fn zeros_state(device: &Device, shape: impl IntoShape, dtype: DType) -> Result<State> {
    let shape = shape.into_shape();
    let len = count(&shape);
    let storage = device.backend().allocate(len * dtype.size_bytes())?;
    let region = Region { storage, offset: 0, len, dtype };
    State::new(Tensor::leaf(region, shape, device, false, Role::Plain, Location::caller()))
}
