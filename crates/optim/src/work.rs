//! What moves with the steps.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use thalweg_graph::{DType, Device, Grads, Param, Result};

use crate::{
    control::Control,
    group::{Group, Rules},
};

/// Gradients added up for the step to come.
#[derive(Clone)]
pub(crate) struct Summed {
    pub grads: Grads,
    /// Of how many losses.
    pub losses: u32,
    /// In which recording, if they are a compiled function's.
    pub recording: Option<u64>,
}

/// What moves with the steps.
#[derive(Debug)]
pub(crate) struct Work {
    pub groups: Vec<Group>,
    pub control: Control,
    /// Whether it is the optimizer's still, or another has taken its place.
    pub current: Arc<AtomicBool>,
}

impl Work {
    #[track_caller]
    pub fn new(params: &[(String, Param)], rules: &Rules, device: &Device, scale: f64) -> Result<Work> {
        let now: Vec<(String, Param)> = params.iter().filter(|(_, p)| !p.is_frozen()).cloned().collect();
        let groups = Group::all(&now, rules)?;
        Work::of(groups, device, scale)
    }

    /// With all numbers at their start.
    pub fn of(groups: Vec<Group>, device: &Device, scale: f64) -> Result<Work> {
        let numbers: Vec<(f64, usize)> = groups.iter().flat_map(Group::start).collect();
        let exact = groups.iter().any(|g| g.arena.dtype() == DType::F64);
        let control = Control::new(device, if exact { DType::F64 } else { DType::F32 }, scale, &numbers)?;
        Ok(Work { groups, control, current: Arc::new(AtomicBool::new(true)) })
    }

    /// Whether there is room for a parameter.
    pub fn has(&self, param: &Param) -> bool {
        self.groups.iter().any(|g| g.arena.params().iter().any(|p| p.same(param)))
    }

    /// Compiled functions that met it record again.
    pub fn end(&self) {
        self.current.store(false, Ordering::Relaxed);
    }

    /// For how many parameters there is room.
    pub fn size(&self) -> usize {
        self.groups.iter().map(Group::size).sum()
    }
}

/// Whoever panicked with it has left it as it was.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
