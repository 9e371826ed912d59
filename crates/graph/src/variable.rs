//! The variable: a named place on a device, a version, and a current value. It is under every parameter and every state.
//!
//! Only a variable's own memory is ever written after it was first filled, and only leaves of a [`Version`] read it. What was
//! recorded with a version that is no longer current is an error; nothing else can see a write.

mod new;
pub(crate) mod overlay;
mod writes;

use std::{
    any::Any,
    fmt,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use thalweg_ir::{Error, ErrorKind, Name, Result, storage::Region};

use crate::{
    device::Device,
    tensor::{Identity, Role, Tensor, Version, next_id},
};

pub(crate) use writes::{all_written, pending, pending_anywhere, rehearsed, root, settle, waiting, write_all};

/// A place, its version, and its value. Clones are the same variable.
#[derive(Clone)]
pub(crate) struct Variable {
    identity: Arc<Identity>,
    now: Arc<Mutex<Now>>,
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

impl Variable {
    /// A variable over memory that nothing else sees.
    #[track_caller]
    pub fn over(home: Region, shape: Vec<usize>, device: &Device, trainable: bool) -> Variable {
        let identity = Arc::new(Identity::new(next_id()));
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

    /// The variable that a version is of, if somebody still holds it.
    pub fn of(version: &Version) -> Option<Variable> {
        let now = version.cell.upgrade()?.downcast().ok()?;
        Some(Variable { identity: version.identity.clone(), now })
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
        self.identity.version()
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
        let cell: Weak<dyn Any + Send + Sync> = Arc::<Mutex<Now>>::downgrade(&self.now);
        let version = Version::current(self.identity.clone(), cell);
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
        self.identity.advance();
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
