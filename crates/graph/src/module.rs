//! What a model is made of: parameters, states, and the visitor that finds them by name.
//!
//! A module is a plain struct. `#[derive(Module)]` (crate `thalweg-derive`) walks its fields; everything that needs the
//! parts of a model (optimizers, checkpoints, freezing, training mode) does it through [`Module::visit`].

mod arena;
mod commit;
mod convert;
mod layout;
mod mode;
mod overlay;
mod param;
pub mod snapshot;
mod stacks;
mod state;
pub mod summary;
mod table;
mod visit;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::Hash,
    sync::Arc,
};

pub use arena::Arena;
pub use commit::{Applied, Commit, depends_on, discarding, recording, unrecorded, write_states};
pub use layout::{CHUNK, Layout, Segment};
pub use mode::Mode;
pub use overlay::overlay;
pub use param::Param;
pub use state::{State, zeros_state};
pub use visit::{Path, Visitor, VisitorMut};

use thalweg_ir::{DType, Result, shape::count};

use crate::{autodiff::Grads, device::Device, ops::random::Stream, tensor::Tensor};
use summary::Summary;

/// A model or a part of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module",
    note = "derive it: `#[derive(Module)]` on the struct or enum; tuples, arrays, `Vec`, `Option`, `Box` and maps of modules are modules",
    note = "`#[module(skip)]` on a field is for what holds no parameters: those of a skipped field are neither trained nor saved"
)]
pub trait Module {
    /// Calls the visitor for every part, in the order of fields, with its path.
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor);

    /// The same for a visitor that may replace parts. Derived beside [`Module::visit`].
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        visitor.fixed(path);
    }

    /// Puts it into training mode: parameters are tracked, dropout drops, batch norm uses the batch.
    fn train(&self) {
        self.visit(&Path::default(), &mut SetMode(true));
    }

    /// Puts it into evaluation mode.
    fn eval(&self) {
        self.visit(&Path::default(), &mut SetMode(false));
    }

    /// Excludes all of its parameters from training, or includes them again: see [`Param::freeze`].
    fn freeze(&self, frozen: bool) {
        self.params().iter().for_each(|(_, p)| p.freeze(frozen));
    }

    /// Every parameter with its name, tied ones once under their first name.
    fn params(&self) -> Vec<(String, Param)> {
        let mut collect = Collect::default();
        self.visit(&Path::default(), &mut collect);
        collect.params
    }

    /// Every state with its name, tied ones once under their first name.
    fn states(&self) -> Vec<(String, State)> {
        let mut collect = Collect::default();
        self.visit(&Path::default(), &mut collect);
        collect.states
    }

    /// Elements of all parameters.
    #[doc(alias = "numel")]
    fn count(&self) -> usize {
        self.params().iter().map(|(_, p)| count(&p.shape())).sum()
    }

    /// Its layers as a table: types, shapes of what they give, parameters, multiply-adds, memory. `forward` applies it to some input,
    /// or to several and gives `[y, z]`; nothing is computed, and neither states nor random streams move.
    ///
    /// ```ignore
    /// println!("{}", net.summary(|| net.forward(&x))?);
    /// ```
    ///
    /// On [`Device::meta`] it takes no memory either.
    ///
    /// # Errors
    /// The error that what `forward` gives carries.
    fn summary<T: AsRef<[Tensor]>>(&self, forward: impl FnOnce() -> T) -> Result<Summary>
    where
        Self: Sized,
    {
        summary::of(std::any::type_name::<Self>(), |parts| self.visit(&Path::default(), parts), forward)
    }

    /// A copy that goes its own way: a target network, the best weights so far, one of an ensemble. Parameters, states, modes and
    /// random streams are new, with the same values; what is tied in it is tied in the copy. (`clone()` ties the copy to the
    /// original.)
    ///
    /// # Errors
    /// A part that is a reference; no memory.
    #[track_caller]
    fn fork(&self) -> Result<Self>
    where
        Self: Clone + Sized,
    {
        let mut copy = self.clone();
        convert::fork(|parts| copy.visit_mut(&Path::default(), parts))?;
        Ok(copy)
    }

    /// The same model on a device: parameters and states are moved there, with what they hold now. Optimizers are made afterwards.
    ///
    /// # Errors
    /// As [`Module::fork`].
    #[track_caller]
    fn to(mut self, device: &Device) -> Result<Self>
    where
        Self: Sized,
    {
        convert::to(device, |parts| self.visit_mut(&Path::default(), parts))?;
        Ok(self)
    }

    /// The same model with parameters of this dtype. States keep theirs. Optimizers are made afterwards.
    ///
    /// # Errors
    /// A dtype that has no gradient, or not on this device; as [`Module::fork`].
    #[track_caller]
    fn cast(mut self, dtype: DType) -> Result<Self>
    where
        Self: Sized,
    {
        convert::cast(dtype, |parts| self.visit_mut(&Path::default(), parts))?;
        Ok(self)
    }
}

impl Grads {
    /// The parameters of a module that have no gradient: frozen ones, and those the loss does not depend on, which is mostly a
    /// mistake.
    pub fn missing(&self, module: &dyn Module) -> Vec<String> {
        let params = module.params().into_iter();
        params.filter(|(_, p)| self.get(p).is_none()).map(|(name, _)| name).collect()
    }
}

struct SetMode(bool);

impl Visitor for SetMode {
    fn param(&mut self, path: &Path, param: &Param) {
        param.0.name().set(path.as_str());
        param.0.set_flags(Some(self.0), None);
    }
    fn mode(&mut self, _: &Path, mode: &Mode) {
        mode.set(self.0);
    }
}

#[derive(Default)]
struct Collect {
    known: HashSet<u64>,
    params: Vec<(String, Param)>,
    states: Vec<(String, State)>,
}

impl Visitor for Collect {
    fn param(&mut self, path: &Path, param: &Param) {
        if self.known.insert(param.0.key()) {
            param.0.name().set(path.as_str());
            self.params.push((path.as_str().into(), param.clone()));
        }
    }
    fn state(&mut self, path: &Path, state: &State) {
        if self.known.insert(state.0.key()) {
            state.0.name().set(path.as_str());
            self.states.push((path.as_str().into(), state.clone()));
        }
    }
}

macro_rules! parts {
    ($($type:ident $visit:ident)*) => {$(
        impl Module for $type {
            fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
                visitor.$visit(path, self);
            }
            fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
                visitor.$visit(path, self);
            }
        }
    )*};
}
parts! { Param param  State state  Mode mode  Stream stream }

macro_rules! lists {
    ($($(#[$generics:tt])? $type:ty),*) => {$(
        impl<M: Module $(, $generics N: usize)?> Module for $type {
            fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
                self.iter().enumerate().for_each(|(i, m)| m.visit(&path.join(i), visitor));
            }
            fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
                self.iter_mut().enumerate().for_each(|(i, m)| m.visit_mut(&path.join(i), visitor));
            }
        }
    )*};
}
lists! { Vec<M>, #[const] [M; N], [M] }

impl<M: Module> Module for Option<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.iter().for_each(|m| m.visit(path, visitor));
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        self.iter_mut().for_each(|m| m.visit_mut(path, visitor));
    }
}
impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        (**self).visit(path, visitor);
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        (**self).visit_mut(path, visitor);
    }
}
/// What somebody else owns: it trains and is saved with the rest, and stays as it is in a copy.
impl<M: Module + ?Sized> Module for &M {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        (**self).visit(path, visitor);
    }
}
impl<M: Module + ?Sized> Module for &mut M {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        (**self).visit(path, visitor);
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        (**self).visit_mut(path, visitor);
    }
}
impl<M: Module + ?Sized> Module for Arc<M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        (**self).visit(path, visitor);
    }
}
impl<K: fmt::Display + Ord, M: Module> Module for BTreeMap<K, M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        self.iter().for_each(|(k, m)| m.visit(&path.join(k), visitor));
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        self.iter_mut().for_each(|(k, m)| m.visit_mut(&path.join(k), visitor));
    }
}
/// In the order of keys: a hash map's own order changes from run to run, and with it the layout of an optimizer.
impl<K: fmt::Display + Ord + Hash, M: Module> Module for HashMap<K, M> {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        let ordered: BTreeMap<&K, &M> = self.iter().collect();
        ordered.into_iter().for_each(|(k, m)| m.visit(&path.join(k), visitor));
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        let ordered: BTreeMap<&K, &mut M> = self.iter_mut().collect();
        ordered.into_iter().for_each(|(k, m)| m.visit_mut(&path.join(k), visitor));
    }
}

macro_rules! tuples {
    ($($($name:ident $at:tt)+;)*) => {$(
        impl<$($name: Module),+> Module for ($($name,)+) {
            fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
                $(self.$at.visit(&path.join($at), visitor);)+
            }
            fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
                $(self.$at.visit_mut(&path.join($at), visitor);)+
            }
        }
    )*};
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

macro_rules! no_parts {
    ($($type:ty)*) => {$(
        impl Module for $type {
            fn visit(&self, _: &Path, _: &mut dyn Visitor) {}
            fn visit_mut(&mut self, _: &Path, _: &mut dyn VisitorMut) {}
        }
    )*};
}
no_parts! { () bool u8 u16 u32 u64 usize i32 i64 isize f32 f64 char String &'static str DType Device
crate::ops::contraction::ConvConfig crate::ops::pool::Pool }
