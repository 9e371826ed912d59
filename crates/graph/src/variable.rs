//! The variable: a named place on a device, a version, and a current value. It is under every parameter and every state.
//!
//! Only a variable's own memory is ever written after it was first filled, and only leaves of a [`Version`] read it. What was
//! recorded with a version that is no longer current is an error; nothing else can see a write.

use std::{
    cell::RefCell,
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    backend::Region,
    device::Device,
    error::{Error, ErrorKind, Result},
    eval::{self, Root},
    name::Name,
    op::Op,
    record,
    tensor::{Role, Tensor, next_id},
};

/// A place, its version, and its value. Clones are the same variable.
#[derive(Clone)]
pub(crate) struct Variable {
    identity: Arc<Identity>,
    now: Arc<Mutex<Now>>,
}

/// What stays the same when a variable moves or is written.
#[derive(Debug)]
struct Identity {
    /// Numbered with the nodes, so that gradients are looked up by one kind of key.
    key: u64,
    version: AtomicU64,
    name: Name,
}

struct Now {
    /// Over the home, at the current version.
    leaf: Tensor,
    home: Region,
    /// Where the next value goes, if not over this one.
    spare: Option<Region>,
    /// The next value, where it was set and not written yet.
    pending: Option<Tensor>,
    /// How often it was set when nothing was pending: what a thread set is not what another sets later.
    sets: u64,
    trainable: bool,
    training: bool,
    frozen: bool,
    /// The backward pass whose gradients were applied last, and the version that they belong to.
    applied: Option<(u64, u64)>,
}

/// Which version of a variable a leaf stands for.
#[derive(Clone)]
pub(crate) struct Version {
    identity: Arc<Identity>,
    recorded: u64,
    now: Weak<Mutex<Now>>,
}

impl Version {
    /// The variable's key, by which its gradient is found.
    pub fn key(&self) -> u64 {
        self.identity.key
    }

    /// The number of the version.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The variable's name.
    pub fn name(&self) -> &Name {
        &self.identity.name
    }

    /// The variable, if somebody still holds it.
    pub fn variable(&self) -> Option<Variable> {
        self.now.upgrade().map(|now| Variable { identity: self.identity.clone(), now })
    }

    /// What is wrong if the variable has been written since.
    pub fn stale(&self) -> Option<ErrorKind> {
        let current = self.identity.version.load(Ordering::Acquire);
        let path = self.identity.name.to_string();
        (current != self.recorded).then_some(ErrorKind::Stale { path, recorded: self.recorded, current })
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.recorded, self.identity.name)
    }
}

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
    /// What stands for parameters on this thread, the innermost last.
    static OVERLAYS: RefCell<Vec<(u64, Tensor)>> = const { RefCell::new(Vec::new()) };
    /// While something is rehearsed: what was pending before, of each variable that was set since.
    static REHEARSAL: RefCell<Option<Vec<(Variable, Option<Tensor>)>>> = const { RefCell::new(None) };
}

impl Variable {
    /// A variable with memory of its own that holds this value now.
    #[track_caller]
    pub fn new(value: Tensor, trainable: bool) -> Result<Variable> {
        value.check()?;
        if record::is_recording() {
            let problem =
                "the function makes a parameter or a state, which replays would not make again; make it outside";
            return Err(Error::new("compile", ErrorKind::Invalid(problem.into())));
        }
        value.eval()?;
        let (shape, device) = (value.shape().to_vec(), value.device().clone());
        let home = own_memory(value)?;
        Ok(Variable::over(home, shape, &device, trainable))
    }

    /// A variable over memory that nothing else sees.
    #[track_caller]
    pub fn over(home: Region, shape: Vec<usize>, device: &Device, trainable: bool) -> Variable {
        let identity = Arc::new(Identity { key: next_id(), version: AtomicU64::new(0), name: Name::default() });
        let leaf = Tensor::leaf(home.clone(), shape, device, false, Role::Plain, Location::caller());
        let now = Now {
            leaf,
            home: home.clone(),
            spare: None,
            pending: None,
            sets: 0,
            trainable,
            training: true,
            frozen: false,
            applied: None,
        };
        let variable = Variable { identity, now: Arc::new(Mutex::new(now)) };
        variable.rebind(home);
        variable
    }

    /// A variable of its own with the same value, name and flags.
    #[track_caller]
    pub fn fork(&self) -> Result<Variable> {
        let leaf = self.leaf();
        let home = copy_of(&self.home(), leaf.device())?;
        let trainable = self.now().trainable;
        let fork = Variable::over(home, leaf.shape().to_vec(), leaf.device(), trainable);
        fork.named_as(self);
        Ok(fork)
    }

    /// Takes another's name and flags.
    pub fn named_as(&self, other: &Variable) {
        if let Some(name) = other.name().get() {
            self.name().set(&name);
        }
        let (training, frozen) = other.flags();
        self.set_flags(Some(training), Some(frozen));
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // A panic while the lock is held leaves nothing half-written.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn same(&self, other: &Variable) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    pub fn key(&self) -> u64 {
        self.identity.key
    }

    pub fn name(&self) -> &Name {
        &self.identity.name
    }

    pub fn version(&self) -> u64 {
        self.identity.version.load(Ordering::Acquire)
    }

    /// The current value: what it was set to, or a leaf of the current version.
    pub fn tensor(&self) -> Tensor {
        let now = self.now();
        now.pending.as_ref().unwrap_or(&now.leaf).clone()
    }

    /// What it was set to and nothing has written yet.
    pub fn next(&self) -> Option<Tensor> {
        self.now().pending.clone()
    }

    /// A leaf of the version that is in memory.
    pub fn leaf(&self) -> Tensor {
        self.now().leaf.clone()
    }

    /// Where its next value is to be written.
    pub fn target(&self) -> Region {
        let now = self.now();
        now.spare.as_ref().unwrap_or(&now.home).clone()
    }

    /// Gives it memory for two values, used in turn: what reads old elements all over while it writes new ones needs no copy.
    pub fn double(&self) -> Result<()> {
        let spare = copy_of(&self.home(), self.leaf().device())?;
        self.now().spare = Some(spare);
        Ok(())
    }

    /// Whether it has memory for two values.
    pub fn is_double(&self) -> bool {
        self.now().spare.is_some()
    }

    pub fn home(&self) -> Region {
        self.now().home.clone()
    }

    pub fn is_frozen(&self) -> bool {
        self.now().frozen
    }

    /// Whether its module trains, and whether it is frozen.
    pub fn flags(&self) -> (bool, bool) {
        let now = self.now();
        (now.training, now.frozen)
    }

    /// Tells a recording that it depends on both flags.
    pub fn note_flags(&self) {
        record::depends(record::On::Flags(self.key()), || {
            let (variable, then) = (self.clone(), self.flags());
            move || variable.flags() == then
        });
    }

    /// Sets both flags that decide whether what is recorded from now on is tracked.
    pub fn set_flags(&self, training: Option<bool>, frozen: Option<bool>) {
        let home = {
            let mut now = self.now();
            let before = (now.training, now.frozen);
            (now.training, now.frozen) = (training.unwrap_or(before.0), frozen.unwrap_or(before.1));
            if (now.training, now.frozen) == before {
                return;
            }
            now.home.clone()
        };
        self.rebind(home);
    }

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

    /// A new leaf over a region that holds the current version.
    fn rebind(&self, home: Region) {
        let mut now = self.now();
        let version =
            Version { identity: self.identity.clone(), recorded: self.version(), now: Arc::downgrade(&self.now) };
        let tracked = now.trainable && now.training && !now.frozen && home.dtype.is_float();
        let (shape, device) = (now.leaf.shape().to_vec(), now.leaf.device().clone());
        let location = now.leaf.0.origin.location;
        now.home = home.clone();
        let old = std::mem::replace(
            &mut now.leaf,
            Tensor::leaf(home, shape, &device, tracked, Role::Variable(version), location),
        );
        drop(now);
        drop(old);
    }

    /// It lies elsewhere now, with the same value: nothing becomes stale.
    pub fn moved(&self, home: Region) {
        self.rebind(home);
    }

    /// Its memory has been written: whatever was recorded with the old version is stale.
    pub fn was_written(&self) {
        self.identity.version.fetch_add(1, Ordering::AcqRel);
        let home = {
            let mut now = self.now();
            now.applied = None;
            match now.spare.take() {
                Some(written) => {
                    now.spare = Some(std::mem::replace(&mut now.home, written.clone()));
                    written
                }
                None => now.home.clone(),
            }
        };
        self.rebind(home);
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

    /// Notes that gradients of a backward pass were applied, which belong to the version `of`.
    pub fn applied(&self, pass: u64, of: u64) {
        self.now().applied = Some((pass, of));
    }

    /// Whether gradients of a pass may be applied that belong to the version `of`: it is current, or nothing but gradients of the
    /// same pass was applied since.
    pub fn takes(&self, pass: u64, of: u64) -> bool {
        self.version() == of || self.now().applied == Some((pass, of))
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        write!(f, "{:?} {}{:?}, version {}", self.identity.name, now.leaf.dtype(), now.leaf.shape(), self.version())
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
    Tensor::node(Op::Detach, vec![value.clone()], shape, value.dtype(), value.device(), location)
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

/// The memory of an evaluated tensor if nobody else can see it, else a copy.
#[track_caller]
fn own_memory(value: Tensor) -> Result<Region> {
    let device = value.device().clone();
    let borrowed = matches!(value.0.role, Role::Variable(_));
    eval::check_version(&value, Location::caller())?;
    let only = !borrowed && Arc::strong_count(&value.0) == 1;
    let region = value.region().ok_or_else(|| unevaluated("variable"))?;
    drop(value);
    if only && region.storage.is_only() && region.offset == 0 {
        return Ok(region);
    }
    copy_of(&region, &device)
}

/// A region of its own with the same elements.
pub(crate) fn copy_of(region: &Region, device: &Device) -> Result<Region> {
    let storage = device.backend().allocate(region.len * region.dtype.size_bytes())?;
    let copy = Region { storage, offset: 0, ..region.clone() };
    device.backend().copy(&[(region.clone(), copy.clone())])?;
    Ok(copy)
}

/// What `f` gives while parameters compute with other values on this thread, by their keys.
pub(crate) fn overlaid<T>(values: Vec<(u64, Tensor)>, f: impl FnOnce() -> T) -> T {
    /// Takes them away again, also when `f` panics.
    struct End(usize);
    impl Drop for End {
        fn drop(&mut self) {
            OVERLAYS.with_borrow_mut(|all| all.truncate(self.0));
        }
    }
    let _end = OVERLAYS.with_borrow_mut(|all| {
        let before = all.len();
        all.extend(values);
        End(before)
    });
    f()
}

/// What stands for a parameter on this thread.
pub(crate) fn overlay_of(key: u64) -> Option<Tensor> {
    OVERLAYS.with_borrow(|all| all.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value.clone()))
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

pub(crate) fn unevaluated(op: &'static str) -> Error {
    Error::new(op, ErrorKind::Device("the backend gave no value".into()))
}
