//! How variables come to new values: what is set and waits for a step, and what is written at once.

use std::{
    cell::RefCell,
    panic::Location,
    sync::{Arc, Mutex, Weak},
};

use super::{Now, Variable};
use smallvec::smallvec;
use thalweg_ir::{Op, Result};

use crate::{
    device::Device,
    eval::{self, Root},
    record,
    tensor::{Identity, Role, Tensor},
};

/// A variable that was set, and may be gone or written since.
#[derive(Clone)]
struct Set {
    identity: Arc<Identity>,
    now: Weak<Mutex<Now>>,
    /// Which time.
    time: u64,
}

thread_local! {
    /// The variables that this thread has set and nothing has written yet, in the order of the first time.
    static PENDING: RefCell<Vec<Set>> = const { RefCell::new(Vec::new()) };
    /// While something is rehearsed: what was pending before, of each variable that was set since.
    static REHEARSAL: RefCell<Option<Vec<(Variable, Option<Tensor>)>>> = const { RefCell::new(None) };
}

impl Variable {
    /// Its next value, lazily.
    #[track_caller]
    pub fn set(&self, value: Tensor) {
        // What shows another variable gets a node of its own, so that it can be computed before that one is written.
        let value =
            if matches!(value.0.role, Role::Variable(_)) { node_of_its_own(&value, Location::caller()) } else { value };
        let (before, time) = {
            let mut now = self.now();
            now.sets += u64::from(now.pending.is_none());
            (now.pending.replace(value), now.sets)
        };
        REHEARSAL.with_borrow_mut(|rehearsal| {
            if let Some(touched) = rehearsal
                && !touched.iter().any(|(known, _)| known.same(self))
            {
                touched.push((self.clone(), before));
            }
        });
        PENDING.with_borrow_mut(|all| {
            if !all.iter().any(|set| Arc::ptr_eq(&set.identity, &self.identity) && set.time == time) {
                // Those that are gone, or were written meanwhile, make room.
                all.retain(Set::is_pending);
                all.push(Set { identity: self.identity.clone(), now: Arc::downgrade(&self.now), time });
            }
        });
    }

    /// Whether it was set to something that nothing has written.
    pub fn is_pending(&self) -> bool {
        self.now().pending.is_some()
    }

    /// What it was set to and not written, which is then the caller's to write.
    pub fn take_pending(&self) -> Option<Tensor> {
        self.now().pending.take()
    }

    /// As before [`Variable::take_pending`], unless it was set again since.
    pub fn put_back(&self, value: Tensor) {
        if self.now().pending.is_none() {
            self.set(value);
        }
    }

    /// As [`Variable::put_back`] after a run that failed. What can never be computed is let go, so that one error does not stay for
    /// ever.
    pub fn put_back_unless_lost(&self, value: &Tensor) {
        if eval::is_computable(std::slice::from_ref(value)) {
            self.put_back(value.clone());
        }
    }

    /// Writes a value over it, and before that computes whatever was set to something of its old value.
    #[track_caller]
    pub fn write(&self, value: &Tensor) -> Result<()> {
        let location = Location::caller();
        self.leaf().device().writing(|| self.write_alone(value, location))
    }

    fn write_alone(&self, value: &Tensor, location: &'static Location<'static>) -> Result<()> {
        let waiting = waiting(value.device(), std::slice::from_ref(self));
        let from = value.region().filter(|from| !from.overlaps(&self.target()));
        match from {
            Some(from) if waiting.is_empty() && !record::is_recording() => {
                eval::check_version(value, location)?;
                value.device().backend().copy(&[(from, self.target())])?;
                self.was_written();
            }
            // A node of its own: the value's may have been computed already, and it is wanted in this place.
            _ => write_all(vec![(self.clone(), node_of_its_own(value, location))], waiting)?,
        }
        // Its own pending value is overwritten unseen.
        drop(self.take_pending());
        Ok(())
    }
}

impl Set {
    fn upgrade(&self) -> Option<Variable> {
        self.now.upgrade().map(|now| Variable { identity: self.identity.clone(), now })
    }

    fn is_pending(&self) -> bool {
        self.upgrade().is_some_and(|v| {
            let now = v.now();
            now.pending.is_some() && now.sets == self.time
        })
    }
}

/// What this thread has set and nothing has written yet.
pub(crate) fn pending_anywhere() -> Vec<Variable> {
    PENDING.with_borrow_mut(|all| {
        all.retain(Set::is_pending);
        all.iter().filter_map(Set::upgrade).collect()
    })
}

/// The same on a device.
pub(crate) fn pending(device: &Device) -> Vec<Variable> {
    pending_anywhere().into_iter().filter(|v| v.leaf().device().same(device)).collect()
}

/// What this thread has set on a device and nothing has written, of other variables than these, as far as it can be computed and has not
/// been: it is computed before something that it reads is written.
pub(crate) fn waiting(device: &Device, written: &[Variable]) -> Vec<Tensor> {
    let others = pending(device).into_iter().filter(|v| !written.iter().any(|known| known.same(v)));
    let values = others.map(|v| v.tensor()).filter(|t| !t.is_evaluated() && !record::is_suspended(t));
    values.filter(|t| eval::is_computable(std::slice::from_ref(t))).collect()
}

/// A node that shows the same.
fn node_of_its_own(value: &Tensor, location: &'static Location<'static>) -> Tensor {
    let shape = value.shape().to_vec();
    Tensor::node(Op::Detach, smallvec![value.clone()], shape, value.dtype(), value.device(), location)
}

/// Writes values over variables, and computes others, in one run: everything is read before anything is written.
#[track_caller]
pub(crate) fn write_all(writes: Vec<(Variable, Tensor)>, computed: Vec<Tensor>) -> Result<()> {
    // The roots hold the values alone: who else holds one is given it in a place that is not written again.
    let (variables, mut roots): (Vec<Variable>, Vec<Root>) = writes.into_iter().map(root).unzip();
    roots.extend(computed.into_iter().map(|tensor| Root { tensor, target: None, kept: None, written: None }));
    eval::run(&roots, false)?;
    drop(roots);
    all_written(variables);
    Ok(())
}

/// Writes what was set of these variables and nothing has written.
#[track_caller]
pub(crate) fn settle(variables: Vec<Variable>) -> Result<()> {
    let mut set: Vec<Variable> = variables.into_iter().filter(Variable::is_pending).collect();
    while let Some(first) = set.first() {
        let device = first.leaf().device().clone();
        let (here, elsewhere) = set.into_iter().partition(|v| v.leaf().device().same(&device));
        settle_together(here)?;
        set = elsewhere;
    }
    Ok(())
}

#[track_caller]
fn settle_together(set: Vec<Variable>) -> Result<()> {
    let Some(device) = set.first().map(|v| v.leaf().device().clone()) else { return Ok(()) };
    let waiting =
        waiting(&device, &set).into_iter().map(|tensor| Root { tensor, target: None, kept: None, written: None });
    let taken = set.into_iter().filter_map(|v| v.take_pending().map(|value| (v, value)));
    let (variables, mut roots): (Vec<Variable>, Vec<Root>) = taken.map(root).unzip();
    roots.extend(waiting);
    if let Err(error) = eval::run(&roots, false) {
        variables.iter().zip(&roots).for_each(|(v, root)| v.put_back_unless_lost(&root.tensor));
        return Err(error);
    }
    drop(roots);
    all_written(variables);
    Ok(())
}

/// Notes that a run has written over these, now and in every replay of it.
pub(crate) fn all_written(variables: Vec<Variable>) {
    variables.iter().for_each(Variable::was_written);
    record::did(|| {
        move || {
            variables.iter().for_each(Variable::was_written);
            Ok(())
        }
    });
}

/// A variable, and the value to write over it.
pub(crate) fn root((variable, value): (Variable, Tensor)) -> (Variable, Root) {
    let (target, written) = (Some(variable.target()), Some(variable.clone()));
    (variable, Root { tensor: value, target, kept: None, written })
}

/// What `f` gives; what it sets is forgotten.
pub(crate) fn rehearsed<T>(f: impl FnOnce() -> T) -> T {
    type Touched = Option<Vec<(Variable, Option<Tensor>)>>;
    /// Puts everything back, also when `f` panics.
    struct End(Touched, Vec<Set>);
    impl Drop for End {
        fn drop(&mut self) {
            for (variable, before) in REHEARSAL.replace(self.0.take()).into_iter().flatten() {
                variable.now().pending = before;
            }
            PENDING.set(std::mem::take(&mut self.1));
        }
    }
    let _end = End(REHEARSAL.replace(Some(Vec::new())), PENDING.with_borrow(Vec::clone));
    f()
}
