//! A model with other parts in the places of its own: copies, other devices, other dtypes.

use std::{any::Any, collections::HashMap, panic::Location};

use super::{
    mode::Mode,
    param::Param,
    state::State,
    visit::{Path, VisitorMut},
};
use thalweg_ir::{DType, Error, ErrorKind, Result};

use crate::{device::Device, ops::random::Stream};

/// Replaces every part once: what was tied stays tied.
struct Replace<P, S> {
    param: P,
    state: S,
    /// Whether modes and streams are new as well.
    apart: bool,
    params: HashMap<u64, Param>,
    states: HashMap<u64, State>,
    modes: HashMap<usize, Box<dyn Any>>,
    problem: Option<Error>,
}

impl<P: Fn(&Param) -> Result<Param>, S: Fn(&State) -> Result<State>> Replace<P, S> {
    #[track_caller]
    fn run(param: P, state: S, apart: bool, visit: impl FnOnce(&mut dyn VisitorMut)) -> Result<()> {
        let (params, states, modes) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut this = Replace { param, state, apart, params, states, modes, problem: None };
        visit(&mut this);
        match this.problem {
            Some(problem) => Err(problem.seen_at(Location::caller())),
            None => Ok(()),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem.get_or_insert(error);
                None
            }
        }
    }

    /// What stands for a shared part: the same for every holder.
    fn shared<T: Clone + 'static>(&mut self, key: usize, new: impl FnOnce() -> T) -> T {
        let entry = self.modes.entry(key).or_insert_with(|| Box::new(new()));
        match entry.downcast_ref::<T>() {
            Some(known) => known.clone(),
            None => unreachable!("two kinds of parts at one address"),
        }
    }
}

impl<P: Fn(&Param) -> Result<Param>, S: Fn(&State) -> Result<State>> VisitorMut for Replace<P, S> {
    fn param(&mut self, _: &Path, param: &mut Param) {
        let key = param.0.key();
        if let Some(known) = self.params.get(&key) {
            *param = known.clone();
            return;
        }
        let new = (self.param)(param);
        if let Some(new) = self.note(new) {
            self.params.insert(key, new.clone());
            *param = new;
        }
    }

    fn state(&mut self, _: &Path, state: &mut State) {
        let key = state.0.key();
        if let Some(known) = self.states.get(&key) {
            *state = known.clone();
            return;
        }
        let new = (self.state)(state);
        if let Some(new) = self.note(new) {
            self.states.insert(key, new.clone());
            *state = new;
        }
    }

    fn mode(&mut self, _: &Path, mode: &mut Mode) {
        if self.apart {
            *mode = self.shared(mode.address(), || Mode::apart(mode));
        }
    }

    fn stream(&mut self, _: &Path, stream: &mut Stream) {
        if self.apart {
            *stream = self.shared(stream.address(), || Stream::apart(stream));
        }
    }

    fn fixed(&mut self, path: &Path) {
        let problem = format!(
            "'{}' cannot be replaced: it is a reference, or its module has no visit_mut; own it, or derive Module",
            path.as_str()
        );
        self.problem.get_or_insert(Error::new("fork", ErrorKind::Invalid(problem)));
    }
}

/// New parts, modes and streams too, with the values of the old.
#[track_caller]
pub(super) fn fork(visit: impl FnOnce(&mut dyn VisitorMut)) -> Result<()> {
    Replace::run(Param::fork, State::fork, true, visit)
}

/// The same parts on a device.
#[track_caller]
pub(super) fn to(device: &Device, visit: impl FnOnce(&mut dyn VisitorMut)) -> Result<()> {
    let param = |p: &Param| {
        let new = Param::new(p.0.leaf().to(device))?;
        new.0.named_as(&p.0);
        Ok(new)
    };
    let state = |s: &State| {
        let new = State::new(s.tensor().to(device))?;
        new.0.named_as(&s.0);
        Ok(new)
    };
    Replace::run(param, state, false, visit)
}

/// Parameters of a dtype, with the same states.
#[track_caller]
pub(super) fn cast(dtype: DType, visit: impl FnOnce(&mut dyn VisitorMut)) -> Result<()> {
    let param = |p: &Param| {
        let new = Param::new(p.0.leaf().cast(dtype).detach())?;
        new.0.named_as(&p.0);
        Ok(new)
    };
    Replace::run(param, |s| Ok(s.clone()), false, visit)
}
