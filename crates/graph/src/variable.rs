//! The variable: a named place on a device, a version, and a current value. It is under every parameter and every state.
//!
//! Only a variable's own memory is ever written after it was first filled, and only leaves of a [`Version`] read it. What was
//! recorded with a version that is no longer current is an error; nothing else can see a write.

pub(crate) mod overlay;
mod writes;

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{Error, ErrorKind, Name, Result, backend::Region};

use crate::{
    device::Device,
    eval, record,
    tensor::{Role, Tensor, next_id},
};

pub(crate) use writes::{all_written, pending, pending_anywhere, rehearsed, root, settle, waiting, write_all};

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

pub(crate) fn unevaluated(op: &'static str) -> Error {
    Error::new(op, ErrorKind::Device("the backend gave no value".into()))
}
