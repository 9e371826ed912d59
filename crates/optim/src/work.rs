//! What moves with the steps.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use thalweg_graph::{DType, Device, Grads, Param, Result, Tensor, module::Layout};

use crate::{
    control::{Control, wide},
    group::{Group, Rules},
};

/// Gradients added up for the step to come.
#[derive(Clone)]
pub(crate) struct Summed {
    pub grads: Grads,
    /// The same by groups, in the layout of their parameters.
    pub flats: Vec<Flat>,
    /// Of how many losses.
    pub losses: u32,
    /// In which recording, if they are a compiled function's.
    pub recording: Option<u64>,
}

/// Gradients of a group's parameters in one buffer.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    layout: Layout,
    /// Which of them have one.
    given: Vec<bool>,
    pub gradient: Tensor,
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

    /// Gradients laid out by groups, where that changes no dtype; they are parts of these buffers then. Those that stay by themselves
    /// come last.
    #[track_caller]
    pub fn lay_out(&self, mut grads: Grads) -> (Grads, Vec<Flat>, Vec<Tensor>) {
        let mut flats = Vec::with_capacity(self.groups.len());
        let mut others = grads.clone();
        for group in self.groups.iter().filter(|g| wide(g.arena.dtype()) == g.arena.dtype()) {
            let given: Vec<bool> = group.arena.params().iter().map(|p| grads.get(p).is_some()).collect();
            if !given.contains(&true) {
                continue;
            }
            let (layout, gradient) = (group.arena.layout(), group.gather(&grads, &given));
            for (i, param) in group.arena.params().iter().enumerate().filter(|(i, _)| given[*i]) {
                grads.replace(param, &layout.part(&gradient, i));
                others.remove(param);
            }
            flats.push(Flat { layout: layout.clone(), given, gradient });
        }
        (grads, flats, others.iter().cloned().collect())
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

impl Flat {
    /// Another gradient in its place.
    pub fn map(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Flat {
        Flat { gradient: f(&self.gradient), ..self.clone() }
    }

    /// Whether it is what a step moves these parameters by.
    pub fn is_of(&self, group: &Group, moves: &[bool]) -> bool {
        self.given == moves && self.layout == *group.arena.layout()
    }
}

/// Whoever panicked with it has left it as it was.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
