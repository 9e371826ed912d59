//! A step's writes, in one run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Arena, Param, State};
use thalweg_ir::{Error, Result, map::Set};

use crate::{
    autodiff::Grads,
    device::Device,
    eval::{self, Root},
    record,
    tensor::Tensor,
    variable::{Variable, all_written, pending, rehearsed, root, settle, waiting, write_all},
};

impl Grads {
    /// Whether a step by these gradients moves a parameter: it has one, and is not frozen.
    ///
    /// # Errors
    /// [`Stale`](crate::ErrorKind::Stale) for a gradient of an older version: since it was taken, something else than gradients of the same backward
    /// pass was written to the parameter.
    #[track_caller]
    pub fn moves(&self, param: &Param) -> Result<bool> {
        let Some(version) = self.version(param.0.key()) else { return Ok(false) };
        if param.is_frozen() {
            return Ok(false);
        }
        match version.stale().filter(|_| !param.0.takes(self.pass().number(), version.recorded())) {
            Some(kind) => Err(Error::new("step", kind)),
            None => Ok(true),
        }
    }

    /// Those that have not been computed and still can be: what they read has not been written.
    pub fn computable(&self) -> Vec<Tensor> {
        let mut waiting: Vec<Tensor> = self.iter().filter(|g| !g.is_evaluated()).cloned().collect();
        if !eval::is_computable(&waiting) {
            waiting.retain(|g| eval::is_computable(std::slice::from_ref(g)));
        }
        waiting
    }

    /// What is to be noted of these parameters once the gradients have been applied.
    pub fn applied<'a>(&self, params: impl IntoIterator<Item = &'a Param>) -> Applied {
        let version = |p: &Param| Some((p.clone(), self.version(p.0.key())?.recorded()));
        Applied { pass: self.pass().number(), to: params.into_iter().filter_map(version).collect() }
    }
}

/// Gradients of which backward pass are applied, to which versions.
#[derive(Debug, Default)]
pub struct Applied {
    pass: u64,
    to: Vec<(Param, u64)>,
}

/// What a training step writes: new parameters, the optimizer's own states, and every state that this thread has set since the step
/// before. Everything is read before anything is written.
#[derive(Debug, Default)]
pub struct Commit<'a> {
    /// Flat parameters, each with its new value.
    pub arenas: Vec<(&'a Arena, Tensor)>,
    /// The parameters among them that move; the others keep their bits, and their versions.
    pub moved: Vec<Param>,
    /// By which gradients.
    pub applied: Applied,
    /// States with their new values.
    pub states: Vec<(State, Tensor)>,
    /// States of the module, which may have been set on another thread.
    pub carried: &'a [State],
    /// Whether what was set before is to be forgotten: `[]`, Bool.
    pub skip: Option<Tensor>,
    /// What else to compute: the loss.
    pub watch: Vec<Tensor>,
}

impl Commit<'_> {
    /// Queues it. Graphs that read what was written become stale; of those that have been computed, the histories end.
    ///
    /// # Errors
    /// An error that one of the tensors carries; what went wrong on the device.
    #[track_caller]
    pub fn run(self) -> Result<()> {
        let Some(device) = self.arenas.first().map(|(arena, _)| arena.device().clone()) else { return Ok(()) };
        if record::is_recording() {
            // What was set before is not the recording's: it is written before, as every replay does.
            record::steps();
            let carried: Vec<Variable> = self.carried.iter().map(|s| s.0.clone()).filter(record::meets).collect();
            let others = pending(&device).into_iter().filter(|v| !record::has_met(v));
            let before = others.chain(carried).collect();
            record::unrecorded(|| settle(before))?;
        }
        let mut carried = pending(&device);
        for state in self.carried.iter().map(|s| &s.0) {
            if !carried.iter().any(|known| known.same(state)) {
                carried.push(state.clone());
            }
        }
        let Commit { arenas, moved, applied, states, carried: _, skip, watch } = self;
        let mut written: Vec<Variable> = moved.iter().map(|p| p.0.clone()).collect();
        let flats = arenas.into_iter().map(|(arena, new)| (arena.variable().clone(), new));
        let own = states.into_iter().map(|(state, new)| (state.0, new));
        let (variables, mut roots): (Vec<Variable>, Vec<Root>) = flats.chain(own).map(root).unzip();
        written.extend(variables);
        let mut set = Vec::new();
        for variable in carried {
            let Some(value) = variable.take_pending() else { continue };
            let kept = skip.as_ref().map(|_| value.clone());
            let value = match &skip {
                Some(skip) => skip.where_(variable.leaf(), value),
                None => value,
            };
            set.push((variable.clone(), roots.len()));
            let (variable, root) = root((variable, value));
            roots.push(Root { kept, ..root });
            written.push(variable);
        }
        let unread = watch.iter().filter(|t| !t.is_evaluated());
        roots.extend(unread.map(|t| Root { tensor: t.clone(), target: None, kept: None, written: None }));
        drop((watch, skip));
        let ran = match eval::run(&roots, true) {
            Ok(ran) => ran,
            Err(error) => {
                for (variable, at) in set {
                    let root = &roots[at];
                    variable.put_back_unless_lost(root.kept.as_ref().unwrap_or(&root.tensor));
                }
                return Err(error);
            }
        };
        drop(roots);
        let keys: Set<u64> = written.iter().map(Variable::key).collect();
        all_written(written);
        ran.end_histories(&keys);
        for (param, version) in applied.to.iter().filter(|(param, _)| moved.iter().any(|m| m.same(param))) {
            param.0.applied(applied.pass, *version);
        }
        Ok(())
    }
}

/// Writes states, and computes what is watched, in one run that is no step: states that were set meanwhile keep waiting for one, but
/// no longer hold the graph that they come from.
///
/// # Errors
/// Another shape or dtype than the state's; an error that one of the tensors carries; what went wrong on the device.
#[track_caller]
pub fn write_states(device: &Device, states: Vec<(State, Tensor)>, watch: &[Tensor]) -> Result<()> {
    for (state, value) in &states {
        super::param::fitting(&state.0, value).map(drop)?;
    }
    let writes: Vec<(Variable, Tensor)> = states.into_iter().map(|(state, value)| (state.0, value)).collect();
    let written: Vec<Variable> = writes.iter().map(|(variable, _)| variable.clone()).collect();
    let unread = watch.iter().filter(|t| !t.is_evaluated()).cloned();
    write_all(writes, unread.chain(waiting(device, &written)).collect())
}

/// Tells a function that is being compiled that it depends on this flag: when it changes, the function is recorded again.
pub fn depends_on(flag: &Arc<AtomicBool>) -> bool {
    let now = flag.load(Ordering::Relaxed);
    record::depends(record::On::Mode(Arc::as_ptr(flag) as usize), || {
        let flag = flag.clone();
        move || flag.load(Ordering::Relaxed) == now
    });
    now
}

/// What `f` gives; a function that is being compiled does not do it again.
pub fn unrecorded<T>(f: impl FnOnce() -> T) -> T {
    record::unrecorded(f)
}

/// The number of the recording that is being made on this thread, if one is.
pub fn recording() -> Option<u64> {
    record::number()
}

/// What `f` gives; states that it sets keep what they had, as if it had not been called.
pub fn discarding<T>(f: impl FnOnce() -> T) -> T {
    rehearsed(f)
}
