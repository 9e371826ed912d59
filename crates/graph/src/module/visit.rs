//! What goes through a model's parts, and by which names.

use std::fmt;

use super::{mode::Mode, param::Param, state::State};
use crate::ops::random::Stream;

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

/// What [`Module::visit`](crate::Module::visit) calls for each part of a model.
pub trait Visitor {
    /// A struct or an enum that is a module by `#[derive(Module)]`, by its name, before its parts.
    fn module(&mut self, _path: &Path, _kind: &'static str) {}
    /// A parameter.
    fn param(&mut self, path: &Path, param: &Param);
    /// A state.
    fn state(&mut self, _path: &Path, _state: &State) {}
    /// A mode.
    fn mode(&mut self, _path: &Path, _mode: &Mode) {}
    /// A random stream.
    fn stream(&mut self, _path: &Path, _stream: &Stream) {}
}

/// What [`Module::visit_mut`](crate::Module::visit_mut) calls for each part of a model, which it may replace.
pub trait VisitorMut {
    /// A parameter.
    fn param(&mut self, path: &Path, param: &mut Param);
    /// A state.
    fn state(&mut self, _path: &Path, _state: &mut State) {}
    /// A mode.
    fn mode(&mut self, _path: &Path, _mode: &mut Mode) {}
    /// A random stream.
    fn stream(&mut self, _path: &Path, _stream: &mut Stream) {}
    /// A part that belongs to somebody else (a reference), or whose module says nothing of its parts: it stays as it is.
    fn fixed(&mut self, path: &Path);
}
