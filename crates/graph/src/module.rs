//! What a model is made of: parameters, states, and the visitor that finds them by name.
//!
//! A module is a plain struct. `#[derive(Module)]` (crate `thalweg-derive`) walks its fields; everything that needs the
//! parts of a model (optimizers, checkpoints, freezing, training mode) does it through [`Module::visit`].

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    backend::Region,
    device::Device,
    dtype::DType,
    error::{Error, ErrorKind, Result},
    eval::Root,
    op::Op,
    ops::random::Stream,
    record,
    shape::{IntoShape, count},
    tensor::{Role, Tensor, Version},
};

/// Elements to a multiple of which every parameter's place in a flat buffer is rounded up: 256 bytes of f32, the largest
/// offset alignment that adapters ask for.
pub const CHUNK: usize = 64;

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Param {
    /// A parameter with this value.
    ///
    /// # Errors
    /// The error the tensor carries.
    #[track_caller]
    pub fn new(value: Tensor) -> Result<Param> {
        value.check()?;
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
    fn advance(&self, region: Region) {
        lock(&self.0).version.fetch_add(1, Ordering::AcqRel);
        self.rebind(region);
    }

    fn set_training(&self, training: bool) {
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

    fn set_path(&self, path: &str) {
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

fn unevaluated(op: &'static str) -> Error {
    Error::new(op, ErrorKind::Device("the backend gave no value".into()))
}

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
    fn pending(&self) -> Option<Root> {
        self.meet();
        let state = lock(&self.0);
        let current = state.value.region();
        let at_home = current.is_some_and(|r| r.storage.same(&state.home.storage) && r.offset == state.home.offset);
        (!at_home).then(|| Root { tensor: state.value.clone(), target: Some(state.home.clone()) })
    }

    /// After its value was written home.
    fn settle(&self) {
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

/// Whether a module trains or predicts; layers that behave differently hold one.
#[derive(Clone, Debug)]
pub struct Mode(Arc<AtomicBool>);

impl Default for Mode {
    fn default() -> Mode {
        Mode(Arc::new(AtomicBool::new(true)))
    }
}

impl Mode {
    /// Whether the module is in training mode, as it is at first.
    pub fn is_training(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, training: bool) {
        self.0.store(training, Ordering::Relaxed);
    }
}

/// Where in a model a part is: `conv1.weight`.
#[derive(Clone, Debug, Default)]
pub struct Path(String);

impl Path {
    /// The path of a part of the part at this path.
    pub fn join(&self, name: impl fmt::Display) -> Path {
        if self.0.is_empty() { Path(name.to_string()) } else { Path(format!("{}.{name}", self.0)) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What [`Module::visit`] calls for each part of a model.
pub trait Visitor {
    /// A parameter.
    fn param(&mut self, path: &Path, param: &Param);
    /// A state.
    fn state(&mut self, _path: &Path, _state: &State) {}
    /// A mode.
    fn mode(&mut self, _path: &Path, _mode: &Mode) {}
    /// A random stream.
    fn stream(&mut self, _path: &Path, _stream: &Stream) {}
}

/// A model or a part of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module",
    note = "in a `#[derive(Module)]` struct, mark a field that holds no parameters with `#[module(skip)]`"
)]
pub trait Module {
    /// Calls the visitor for every part, in the order of fields, with its path.
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor);

    /// Puts it into training mode: parameters are tracked, dropout drops, batch norm uses the batch.
    fn train(&self) {
        self.visit(&Path::default(), &mut SetMode(true));
    }

    /// Puts it into evaluation mode.
    fn eval(&self) {
        self.visit(&Path::default(), &mut SetMode(false));
    }

    /// Every parameter with its name, tied ones once under their first name.
    fn params(&self) -> Vec<(String, Param)> {
        let mut collect = Collect::default();
        self.visit(&Path::default(), &mut collect);
        collect.params
    }

    /// Every state with its name.
    fn states(&self) -> Vec<(String, State)> {
        let mut collect = Collect::default();
        self.visit(&Path::default(), &mut collect);
        collect.states
    }

    /// Elements of all parameters.
    fn count(&self) -> usize {
        self.params().iter().map(|(_, p)| count(&p.shape())).sum()
    }
}

struct SetMode(bool);

impl Visitor for SetMode {
    fn param(&mut self, path: &Path, param: &Param) {
        param.set_path(path.as_str());
        param.set_training(self.0);
    }
    fn mode(&mut self, _: &Path, mode: &Mode) {
        mode.set(self.0);
    }
}

#[derive(Default)]
struct Collect {
    params: Vec<(String, Param)>,
    states: Vec<(String, State)>,
}

impl Visitor for Collect {
    fn param(&mut self, path: &Path, param: &Param) {
        if !self.params.iter().any(|(_, known)| known.same(param)) {
            param.set_path(path.as_str());
            self.params.push((path.as_str().into(), param.clone()));
        }
    }
    fn state(&mut self, path: &Path, state: &State) {
        self.states.push((path.as_str().into(), state.clone()));
    }
}

impl Module for Param {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        visitor.param(path, self);
    }
}
impl Module for State {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        visitor.state(path, self);
    }
}
impl Module for Mode {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        visitor.mode(path, self);
    }
}
impl Module for Stream {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        visitor.stream(path, self);
    }
}
impl<M: Module> Module for Vec<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.iter().enumerate().for_each(|(i, m)| m.visit(&path.join(i), visitor));
    }
}
impl<M: Module, const N: usize> Module for [M; N] {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.iter().enumerate().for_each(|(i, m)| m.visit(&path.join(i), visitor));
    }
}
impl<M: Module> Module for Option<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.iter().for_each(|m| m.visit(path, visitor));
    }
}
impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        (**self).visit(path, visitor);
    }
}
macro_rules! no_parts {
    ($($type:ty)*) => {$(
        impl Module for $type {
            fn visit(&self, _: &Path, _: &mut dyn Visitor) {}
        }
    )*};
}
no_parts! { bool u32 u64 usize i32 i64 f32 f64 String crate::ops::contraction::ConvConfig crate::ops::pool::Pool Device }

/// The trainable parameters of a model in one contiguous buffer.
///
/// Every parameter starts at a multiple of [`CHUNK`] elements, so that an elementwise update rule is one launch for all,
/// a norm is one reduction, and each can still be bound alone.
#[derive(Clone, Debug)]
pub struct Arena {
    params: Vec<(String, Param)>,
    offsets: Vec<usize>,
    region: Region,
    device: Device,
}

impl Arena {
    /// Moves the trainable parameters of a module into one buffer.
    ///
    /// # Errors
    /// No trainable parameter; parameters on several devices or not in F32; no memory.
    #[track_caller]
    pub fn pack(module: &dyn Module) -> Result<Arena> {
        let params: Vec<(String, Param)> = module.params().into_iter().filter(|(_, p)| !p.is_frozen()).collect();
        let Some((_, first)) = params.first() else {
            return Err(Error::new("init", ErrorKind::Invalid("the module has no trainable parameter".into())));
        };
        let device = first.tensor().device().clone();
        let mut offsets = Vec::with_capacity(params.len());
        let mut len = 0;
        for (path, param) in &params {
            let leaf = param.tensor();
            if leaf.dtype() != first.tensor().dtype() {
                let problem = format!("differs from the other parameters' in '{path}'");
                return Err(Error::new("init", ErrorKind::DType { got: leaf.dtype(), problem }));
            }
            offsets.push(len);
            len += leaf.count().next_multiple_of(CHUNK);
        }
        let leaves: Vec<Tensor> = params.iter().map(|(_, p)| p.tensor().detach()).collect();
        let dtype = leaves[0].dtype();
        let storage = device.backend().allocate(len * dtype.size_bytes())?;
        let region = Region { storage, offset: 0, len, dtype };
        let packed = Tensor::node(Op::Pack(offsets.clone()), leaves, vec![len], dtype, &device, Location::caller());
        packed.check()?;
        crate::eval::run(&[Root { tensor: packed, target: Some(region.clone()) }], false)?;
        let arena = Arena { params, offsets, region, device };
        arena.advance();
        Ok(arena)
    }

    /// The parameters with their names.
    pub fn params(&self) -> &[(String, Param)] {
        &self.params
    }

    /// Where each parameter starts, in elements.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Elements, padding included.
    pub fn len(&self) -> usize {
        self.region.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.region.len == 0
    }

    /// The device that holds it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters as one vector.
    pub fn flat(&self) -> Tensor {
        let location = Location::caller();
        Tensor::leaf(self.region.clone(), vec![self.region.len], &self.device, false, Role::Plain, location)
    }

    /// The gradients as one vector of the same layout; zeros for a parameter without one.
    #[track_caller]
    pub fn gather(&self, grads: &crate::Grads) -> Tensor {
        let dtype = self.region.dtype;
        let parts = self.params.iter().map(|(_, p)| {
            let leaf = p.tensor();
            match grads.get(&leaf) {
                Some(g) => g.cast(dtype),
                None => leaf.detach().zeros_like(),
            }
        });
        let parts: Vec<Tensor> = parts.collect();
        let op = Op::Pack(self.offsets.clone());
        Tensor::node(op, parts, vec![self.region.len], dtype, &self.device, Location::caller())
    }

    fn advance(&self) {
        for ((_, param), offset) in self.params.iter().zip(&self.offsets) {
            let len = count(&param.shape());
            param.advance(Region { offset: *offset, len, ..self.region.clone() });
        }
    }

    /// Runs one training step: writes `flat` over the parameters, the new states of the optimizer and of the module into
    /// their places, and evaluates whatever else of the graph is still held (loss, logits). Queued, not waited for.
    ///
    /// # Errors
    /// An error that one of the tensors carries; what went wrong on the device.
    pub fn step(
        &self,
        module: &dyn Module,
        flat: Tensor,
        states: Vec<(&State, Tensor)>,
        watch: &[Tensor],
    ) -> Result<()> {
        let mut roots = vec![Root { tensor: flat, target: Some(self.region.clone()) }];
        for (state, value) in &states {
            state.set(value);
        }
        let of_module = module.states();
        let all: Vec<State> =
            states.into_iter().map(|(s, _)| s.clone()).chain(of_module.into_iter().map(|(_, s)| s)).collect();
        let changed: Vec<(State, Root)> = all.into_iter().filter_map(|s| s.pending().map(|root| (s, root))).collect();
        let mut settled = Vec::with_capacity(changed.len());
        for (state, root) in changed {
            roots.push(root);
            settled.push(state);
        }
        roots.extend(watch.iter().filter(|t| !t.is_evaluated()).map(|t| Root { tensor: t.clone(), target: None }));
        crate::eval::run(&roots, true)?;
        drop(roots);
        settled.iter().for_each(State::settle);
        self.advance();
        record::did(|| {
            let arena = self.clone();
            move || arena.advance()
        });
        Ok(())
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
