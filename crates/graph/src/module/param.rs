//! Trainable tensors.

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{lock, unevaluated};
use crate::{
    backend::Region,
    error::{Error, ErrorKind, Result},
    eval::Root,
    op::Op,
    record,
    tensor::{Role, Tensor, Version},
};

/// A trainable tensor. Clones share the value: a module that holds a clone of another's parameter is tied to it.
#[derive(Clone)]
pub struct Param(Arc<Mutex<ParamState>>);

/// A parameter that may be gone.
#[derive(Clone, Debug)]
pub(crate) struct WeakParam(Weak<Mutex<ParamState>>);

impl WeakParam {
    pub fn upgrade(&self) -> Option<Param> {
        self.0.upgrade().map(Param)
    }
}

struct ParamState {
    leaf: Tensor,
    path: Arc<str>,
    version: Arc<AtomicU64>,
    frozen: bool,
    training: bool,
}

impl Param {
    /// A parameter with this value.
    ///
    /// # Errors
    /// The error the tensor carries; a dtype that has no gradient.
    #[track_caller]
    pub fn new(value: Tensor) -> Result<Param> {
        value.check()?;
        if !value.dtype().is_float() {
            let problem = "is no parameter's: it has no gradient; use a State".to_string();
            return Err(Error::new("param", ErrorKind::DType { got: value.dtype(), problem }));
        }
        value.eval()?;
        let region = value.region().ok_or_else(|| unevaluated("param"))?;
        let state = ParamState {
            leaf: value.clone(),
            path: "parameter".into(),
            version: Arc::new(AtomicU64::new(0)),
            frozen: false,
            training: true,
        };
        let param = Param(Arc::new(Mutex::new(state)));
        param.rebind(region);
        Ok(param)
    }

    /// The current value, as a leaf to compute with. Tracked in training mode unless frozen.
    pub fn tensor(&self) -> Tensor {
        lock(&self.0).leaf.clone()
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        lock(&self.0).leaf.shape().to_vec()
    }

    /// The name it was last visited under.
    pub fn path(&self) -> Arc<str> {
        lock(&self.0).path.clone()
    }

    /// Whether optimizers leave it alone.
    pub fn is_frozen(&self) -> bool {
        lock(&self.0).frozen
    }

    /// Excludes it from training, or includes it again. Takes effect for optimizers made afterwards.
    pub fn freeze(&self, frozen: bool) {
        let region = {
            let mut state = lock(&self.0);
            state.frozen = frozen;
            state.leaf.region()
        };
        region.into_iter().for_each(|r| self.rebind(r));
    }

    /// Gives it another value of the same shape and dtype. Graphs recorded with the old one become stale.
    ///
    /// # Errors
    /// Another shape or dtype; another device; the error the tensor carries.
    #[track_caller]
    pub fn set(&self, value: &Tensor) -> Result<()> {
        value.check()?;
        let (leaf, path) = {
            let state = lock(&self.0);
            (state.leaf.clone(), state.path.clone())
        };
        if leaf.shape() != value.shape() || leaf.dtype() != value.dtype() {
            let problem =
                format!("differ, or dtypes {} and {} do, setting parameter '{path}'", leaf.dtype(), value.dtype());
            let (lhs, rhs) = (leaf.shape().to_vec(), value.shape().to_vec());
            return Err(Error::new("set", ErrorKind::Shapes { lhs, rhs, problem }));
        }
        let value = value.to(leaf.device());
        value.check()?;
        let region = leaf.region().ok_or_else(|| unevaluated("set"))?;
        // A fresh node: the value may have been computed already, and it is wanted in the parameter's own place.
        let copy = Tensor::node(
            Op::Detach,
            vec![value.clone()],
            value.shape().to_vec(),
            value.dtype(),
            leaf.device(),
            Location::caller(),
        );
        crate::eval::run(&[Root { tensor: copy, target: Some(region.clone()) }], false)?;
        self.advance(region.clone());
        record::did(|| {
            let param = self.clone();
            move || param.advance(region.clone())
        });
        Ok(())
    }

    /// Whether both are the same parameter.
    pub fn same(&self, other: &Param) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A new leaf over a region that holds the current version.
    fn rebind(&self, region: Region) {
        let mut state = lock(&self.0);
        let version = Version {
            current: state.version.clone(),
            recorded: state.version.load(Ordering::Acquire),
            path: state.path.clone(),
            param: WeakParam(Arc::downgrade(&self.0)),
        };
        let tracked = state.training && !state.frozen && region.dtype.is_float();
        let (shape, device) = (state.leaf.shape().to_vec(), state.leaf.device().clone());
        let location = state.leaf.0.origin.location;
        state.leaf = Tensor::leaf(region, shape, &device, tracked, Role::Param(version), location);
    }

    /// A new leaf over a region that has just been written: everything recorded with the old one is stale.
    pub(super) fn advance(&self, region: Region) {
        lock(&self.0).version.fetch_add(1, Ordering::AcqRel);
        self.rebind(region);
    }

    pub(super) fn set_training(&self, training: bool) {
        let region = {
            let mut state = lock(&self.0);
            if state.training == training {
                return;
            }
            state.training = training;
            state.leaf.region()
        };
        region.into_iter().for_each(|r| self.rebind(r));
    }

    pub(super) fn set_path(&self, path: &str) {
        let region = {
            let mut state = lock(&self.0);
            if &*state.path == path {
                return;
            }
            state.path = path.into();
            state.leaf.region()
        };
        region.into_iter().for_each(|r| self.rebind(r));
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.0);
        write!(f, "Param('{}' {}{:?})", state.path, state.leaf.dtype(), state.leaf.shape())
    }
}
