//! The open device: what the rest of the runtime shares.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::{Properties, Stats},
    schedule::ir::Check,
    settings::{Limits, Settings},
};
use wgpu::{
    Adapter, Buffer, BufferUsages, Device, DeviceDescriptor, ExperimentalFeatures, Features, MemoryHints, Queue,
};

use super::{adapter::api, probe};
use crate::templates::Caps;

/// Counts since the device was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub runs: AtomicU64,
    pub launches: AtomicU64,
    pub submits: AtomicU64,
    pub waits: AtomicU64,
    pub maps: AtomicU64,
    pub kernels: AtomicU64,
    pub bytes: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of ours while locked leaves counters and free-lists, which stay sound.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A device and its queue.
pub(crate) struct Context {
    pub adapter: Adapter,
    pub device: Device,
    pub queue: Queue,
    pub caps: Caps,
    pub properties: Properties,
    pub counters: Counters,
    /// Bytes to which the offset of a storage binding must be aligned.
    pub alignment: u64,
    /// Word 0: whether a kernel met a position outside its axis. Of the first: the number of the check, the position, the extent.
    pub flags: Buffer,
    checks: Mutex<Vec<Check>>,
    /// How long a wait may be. Software may be as slow as it is.
    patience: Option<Duration>,
    /// What the device reported outside of any call.
    trouble: Arc<Mutex<Option<ErrorKind>>>,
}

/// Bytes of the flag buffer.
pub(crate) const FLAG_BYTES: u64 = 16;

impl Context {
    pub fn open(adapter: &Adapter, lowered: Limits) -> Result<Context> {
        let info = adapter.get_info();
        let on_cpu = info.device_type == wgpu::DeviceType::Cpu;
        // How kernels are written; what the device is, is another thing.
        let software = on_cpu && !lowered.hardware;
        let settings = Settings::get();
        let mut wanted = Features::SUBGROUP | Features::TIMESTAMP_QUERY;
        if !settings.no_f16 {
            wanted |= Features::SHADER_F16;
        }
        let features = wanted & adapter.features();
        let limits = adapter.limits();
        let request = adapter.request_device(&DeviceDescriptor {
            label: Some("thalweg"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: ExperimentalFeatures::disabled(),
            memory_hints: MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|e| Error::new("open", ErrorKind::Device(format!("'{}' refused a device: {e}", info.name))))?;
        let trouble = watch(&device);
        let native_f16 = features.contains(Features::SHADER_F16);
        let subgroups = features.contains(Features::SUBGROUP);
        let probe::Found { subgroup_size, exact_f16, honest } = probe::find(&device, &queue, native_f16, subgroups)?;
        let mut caps = Caps {
            native_f16,
            exact_f16,
            honest,
            subgroups,
            subgroup_size,
            software,
            shared_texts: software,
            max_grid: limits.max_compute_workgroups_per_dimension,
            max_workgroup: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            max_binding: limits.max_storage_buffer_binding_size,
            max_bindings: limits.max_storage_buffers_per_shader_stage,
        };
        caps.lower(lowered);
        let properties = Properties {
            name: info.name.clone(),
            api: api(info.backend),
            hardware: !on_cpu,
            native_f16,
            mixed_gains: !on_cpu && native_f16,
            f64: false,
            max_buffers: caps.max_buffers(),
            max_binding_bytes: caps.max_binding,
            max_tensor_bytes: limits.max_buffer_size,
            memory_bytes: settings.memory,
            scheduled: true,
        };
        let flags = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("flags"),
            size: FLAG_BYTES,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Ok(Context {
            adapter: adapter.clone(),
            device,
            queue,
            caps,
            properties,
            counters: Counters::default(),
            alignment: u64::from(limits.min_storage_buffer_offset_alignment),
            flags,
            checks: Mutex::default(),
            patience: match lowered.wait {
                Some(wait) => Some(Duration::from_millis(wait.into())),
                None => (!on_cpu).then_some(PATIENCE),
            },
            trouble,
        })
    }

    /// A number by which a kernel names a check.
    pub fn number_of(&self, check: &Check) -> u32 {
        let mut checks = lock(&self.checks);
        checks.push(check.clone());
        checks.len() as u32 - 1
    }

    /// Gives a check another place in the caller's code.
    pub fn rename(&self, number: u32, check: Check) {
        lock(&self.checks)[number as usize] = check;
    }

    /// The error of a raised flag, which is lowered.
    pub fn flag_error(&self, [raised, check, position, extent]: [u32; 4]) -> Result<()> {
        if raised == 0 {
            return Ok(());
        }
        self.queue.write_buffer(&self.flags, 0, &[0; FLAG_BYTES as usize]);
        match lock(&self.checks).get(check as usize) {
            Some(check) => Err(check.error(i64::from(position as i32), extent as usize)),
            None => Err(Error::new("gather", ErrorKind::Device("an index was out of range".into()))),
        }
    }

    /// What the device reported since the last call.
    ///
    /// # Errors
    /// A lost device (again at every call), or an error that no call could be blamed for (once).
    pub fn check(&self, op: &'static str) -> Result<()> {
        let mut trouble = lock(&self.trouble);
        match &*trouble {
            None => Ok(()),
            Some(kind) => {
                let error = Error::new(op, kind.clone());
                if !matches!(kind, ErrorKind::Device(text) if text.starts_with(LOST)) {
                    *trouble = None;
                }
                Err(error)
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let c = &self.counters;
        Stats {
            runs: get(&c.runs),
            launches: get(&c.launches),
            submits: get(&c.submits),
            waits: get(&c.waits),
            maps: get(&c.maps),
            plans_built: 0,
            nodes_grouped: 0,
            kernels: get(&c.kernels),
            device_bytes: get(&c.bytes),
        }
    }

    /// Waits until a submission is done.
    pub fn wait(&self, op: &'static str, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        add(&self.counters.waits, 1);
        self.device
            .poll(wgpu::PollType::Wait { submission_index: submission, timeout: self.patience })
            .map_err(|e| self.impatient(op, e))?;
        self.check(op)
    }

    /// A device that does not come to an end is as good as lost: what is asked of it from now on is an error too.
    fn impatient(&self, op: &'static str, error: wgpu::PollError) -> Error {
        let kind = match error {
            wgpu::PollError::Timeout => {
                let waited = self.patience.unwrap_or_default();
                let kind = ErrorKind::Device(format!("{LOST} (it has not finished in {waited:?}); {RESTORE}"));
                lock(&self.trouble).insert(kind).clone()
            }
            error => ErrorKind::Device(format!("waiting for the device failed: {error}")),
        };
        Error::new(op, kind)
    }
}

const LOST: &str = "the device was lost";
const RESTORE: &str = "open it again and restore the last checkpoint";
/// How long hardware may take for what is queued. Most drivers give up after 2 to 10 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Collects what the device reports by callback.
fn watch(device: &Device) -> Arc<Mutex<Option<ErrorKind>>> {
    let trouble: Arc<Mutex<Option<ErrorKind>>> = Arc::default();
    let on_error = trouble.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let kind = match &error {
            wgpu::Error::OutOfMemory { .. } => ErrorKind::Memory(format!("the device is out of memory: {error}")),
            _ => ErrorKind::Device(format!("the device reported: {error}")),
        };
        log::error!("{kind}");
        lock(&on_error).get_or_insert(kind);
    }));
    let on_lost = trouble.clone();
    device.set_device_lost_callback(move |reason, message| {
        if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
            *lock(&on_lost) = Some(ErrorKind::Device(format!("{LOST} ({message}); {RESTORE}")));
        }
    });
    trouble
}
