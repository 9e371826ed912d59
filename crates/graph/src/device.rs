//! The handle that tensors hold to their device.

use std::{
    cell::RefCell,
    fmt,
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
};

use thalweg_ir::{
    DType, Error, ErrorKind, Result, Settings,
    backend::{Backend, PlanReport, Properties, Stats},
};

/// Which numbers contractions compute with. A node is recorded with the precision of the tensors that it is made of, and its gradient
/// has the same: see `docs/semantics.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Everything in f32.
    F32,
    /// Contractions read f16 and sum in f32, and what waits in memory between them is f16: activations for the backward pass, gradients on
    /// their way. Statistics, losses, parameters and the optimizer are f32. Needs loss scaling, which the optimizer does.
    MixedF16,
    /// The same with bf16, which needs no loss scaling.
    MixedBf16,
    /// Mixed f16 where the device gains from it, else f32.
    #[default]
    Auto,
}

impl std::str::FromStr for Precision {
    type Err = Error;

    /// `f32`, `mixed-f16` (or `f16`), `mixed-bf16` (or `bf16`), `auto`.
    fn from_str(name: &str) -> Result<Precision> {
        match name.trim().to_lowercase().as_str() {
            "f32" => Ok(Precision::F32),
            "mixed-f16" | "f16" => Ok(Precision::MixedF16),
            "mixed-bf16" | "bf16" => Ok(Precision::MixedBf16),
            "auto" => Ok(Precision::Auto),
            _ => {
                let text = format!("'{name}' is no precision; there are f32, mixed-f16, mixed-bf16 and auto");
                Err(Error::new("precision", ErrorKind::Invalid(text)))
            }
        }
    }
}

/// A device, and the precision policy of what runs on it. A cheap clone.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
    precision: Precision,
    eager: bool,
    writes: Arc<Mutex<()>>,
}

thread_local! {
    /// The devices whose variables this thread is writing.
    static WRITING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl Device {
    /// A device over a backend.
    pub fn new(backend: Arc<dyn Backend>) -> Device {
        let eager = Settings::get().eager;
        Device { backend, precision: Precision::F32, eager, writes: Arc::default() }
    }

    /// The same device with another precision policy.
    pub fn with_precision(&self, precision: Precision) -> Device {
        Device { precision, ..self.clone() }
    }

    /// The same device, on which every op runs as soon as it is recorded, as with `THALWEG_EAGER=1`: nothing is fused, and the
    /// first bad op is the one that tells.
    pub fn op_by_op(&self) -> Device {
        Device { eager: true, ..self.clone() }
    }

    /// The dtype that autocast gives contractions, or `None` in f32.
    pub fn compute_dtype(&self) -> Option<DType> {
        match self.precision {
            Precision::F32 => None,
            Precision::MixedF16 => Some(DType::F16),
            Precision::MixedBf16 => Some(DType::BF16),
            Precision::Auto => self.properties().mixed_gains.then_some(DType::F16),
        }
    }

    /// The first of these handles to one device that asks for bf16, or else for f16, or else the first: what is made of tensors with
    /// several handles is in mixed precision if one of them is.
    pub(crate) fn meet<'a>(first: &'a Device, others: impl Iterator<Item = &'a Device>) -> Device {
        let rank = |device: &Device| match device.compute_dtype() {
            Some(DType::BF16) => 2,
            Some(_) => 1,
            None => 0,
        };
        others.fold(first, |met, other| if rank(other) > rank(met) { other } else { met }).clone()
    }

    /// What the device is and can do.
    pub fn properties(&self) -> &Properties {
        self.backend.properties()
    }

    /// Waits for all queued work; returns what went wrong on the device.
    #[track_caller]
    pub fn synchronize(&self) -> Result<()> {
        let caller = Location::caller();
        self.backend.synchronize().map_err(|error| error.seen_at(caller))
    }

    /// Counts since the device was opened, and bytes now.
    pub fn stats(&self) -> Stats {
        self.backend.stats()
    }

    /// What the latest training step's plan costs.
    pub fn last_step(&self) -> Option<PlanReport> {
        self.backend.last_step()
    }

    /// Whether every op is to run as soon as it is recorded, as [`Device::op_by_op`] or `THALWEG_EAGER=1` ask.
    pub(crate) fn eager(&self) -> bool {
        self.eager
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// What `f` gives while no other thread writes a variable of this device: where a step looks at what it moves and then writes it,
    /// another must not come between.
    pub fn writing<T>(&self, f: impl FnOnce() -> T) -> T {
        /// Ends it, also when `f` panics.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                WRITING.with_borrow_mut(|held| held.truncate(held.len() - 1));
            }
        }
        let lock = Arc::as_ptr(&self.writes) as usize;
        let is_mine = WRITING.with_borrow(|held| held.contains(&lock));
        let _lock = (!is_mine).then(|| self.writes.lock().unwrap_or_else(PoisonError::into_inner));
        WRITING.with_borrow_mut(|held| held.push(lock));
        let _end = End;
        f()
    }

    /// Whether both are the same device, whatever their precision.
    pub fn same(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {:?})", self.properties().name, self.precision)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.properties().name, self.properties().api)
    }
}
