//! What a model is made of: parameters, states, and the visitor that finds them by name.
//!
//! A module is a plain struct. `#[derive(Module)]` (crate `thalweg-derive`) walks its fields; everything that needs the
//! parts of a model (optimizers, checkpoints, freezing, training mode) does it through [`Module::visit`].

mod arena;
mod param;
mod state;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

pub use arena::{Arena, CHUNK};
pub use param::Param;
pub(crate) use param::WeakParam;
pub use state::{State, zeros_state};

use crate::{
    device::Device,
    error::{Error, ErrorKind},
    ops::random::Stream,
    shape::count,
};

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn unevaluated(op: &'static str) -> Error {
    Error::new(op, ErrorKind::Device("the backend gave no value".into()))
}
