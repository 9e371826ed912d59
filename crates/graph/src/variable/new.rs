//! How a variable comes of a value.

use std::{panic::Location, sync::Arc};

use super::{Variable, copy_of, unevaluated};
use thalweg_ir::{Error, ErrorKind, Result, storage::Region};

use crate::{
    eval, record,
    tensor::{Role, Tensor},
};

impl Variable {
    /// A variable with memory of its own that holds this value now.
    #[track_caller]
    pub fn new(value: Tensor, trainable: bool) -> Result<Variable> {
        value.check()?;
        if record::is_recording() {
            let problem =
                "the function makes a parameter or a state, which replays would not make again; make it outside";
            return Err(Error::new("compile", ErrorKind::Invalid(problem.into())));
        }
        value.eval()?;
        let (shape, device) = (value.shape().to_vec(), value.device().clone());
        let home = own_memory(value)?;
        Ok(Variable::over(home, shape, &device, trainable))
    }
}

/// The memory of an evaluated tensor if nobody else can see it, else a copy.
#[track_caller]
fn own_memory(value: Tensor) -> Result<Region> {
    let device = value.device().clone();
    let borrowed = matches!(value.0.role, Role::Variable(_));
    eval::check_version(&value, Location::caller())?;
    let only = !borrowed && Arc::strong_count(&value.0) == 1;
    let region = value.region().ok_or_else(|| unevaluated("variable"))?;
    drop(value);
    if only && region.storage.is_only() && region.offset == 0 {
        return Ok(region);
    }
    copy_of(&region, &device)
}
