//! The strict executor: every node of the raw graph by the plain loop that defines it, in f64.
//!
//! After each op the result is rounded to the node's dtype, so f32 results are correctly rounded f64 computations; F64
//! tensors are not rounded at all. No pass, no fusion, one thread: slow, and the oracle for every other executor.

mod interpret;
pub(crate) mod storage;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use thalweg_ir::{
    Error, ErrorKind, Result, Settings,
    backend::{Backend, PlanReport, Properties, ReadFuture, Stats},
    program::{Bindings, Program},
    storage::{Region, Storage},
};

use storage::Bytes;
pub use storage::store;

/// The reference device. See the module's documentation.
#[derive(Debug)]
pub struct StrictCpu {
    properties: Properties,
    device_bytes: Arc<AtomicU64>,
    runs: AtomicU64,
    launches: AtomicU64,
    last_step: Mutex<Option<PlanReport>>,
}

impl Default for StrictCpu {
    fn default() -> StrictCpu {
        StrictCpu::new()
    }
}

impl StrictCpu {
    /// A new device; tensors of two devices do not mix.
    pub fn new() -> StrictCpu {
        StrictCpu {
            properties: Properties {
                name: "cpu (strict)".into(),
                api: "strict",
                hardware: false,
                native_f16: true,
                mixed_gains: false,
                f64: true,
                max_buffers: usize::MAX,
                max_binding_bytes: u64::MAX,
                max_tensor_bytes: u64::MAX,
                memory_bytes: None,
                scheduled: false,
            },
            device_bytes: Arc::default(),
            runs: AtomicU64::new(0),
            launches: AtomicU64::new(0),
            last_step: Mutex::new(None),
        }
    }

    fn store(&self, bytes: Vec<u8>) -> Storage {
        Storage::new(Bytes::new(bytes, self.device_bytes.clone()))
    }
}

impl Backend for StrictCpu {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        Ok(self.store(bytes.to_vec()))
    }

    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(size_bytes).is_err() {
            return Err(Error::new("allocate", ErrorKind::Memory(format!("no memory for {size_bytes} bytes"))));
        }
        bytes.resize(size_bytes, 0);
        Ok(self.store(bytes))
    }

    fn read(&self, region: &Region) -> Result<Vec<u8>> {
        let size = region.dtype.size_bytes();
        storage::bytes_of(region)?.read(region.offset * size, region.len * size)
    }

    fn read_async(&self, region: &Region) -> ReadFuture {
        Box::pin(std::future::ready(self.read(region)))
    }

    fn copy(&self, copies: &[(Region, Region)]) -> Result<()> {
        // All is read before anything is written.
        let bytes = copies.iter().map(|(from, _)| self.read(from)).collect::<Result<Vec<_>>>()?;
        for ((_, to), bytes) in copies.iter().zip(&bytes) {
            storage::bytes_of(to)?.write(to.offset * to.dtype.size_bytes(), bytes)?;
        }
        Ok(())
    }

    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        // Opening this device cannot fail.
        Settings::get().checked()?;
        let values = interpret::run(program, bindings)?;
        let mut regions = Vec::with_capacity(program.outputs.len());
        // Written after everything is computed: a target may be the region of a leaf.
        for ((output, target), values) in program.outputs.iter().zip(&bindings.targets).zip(&values) {
            let node = &program.nodes[output.node];
            let region = match target {
                Some(region) => region.clone(),
                None => {
                    let storage = self.allocate(values.len() * node.dtype.size_bytes())?;
                    Region { storage, offset: 0, len: values.len(), dtype: node.dtype }
                }
            };
            storage::store(&region, values)?;
            regions.push(region);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.launches.fetch_add(program.nodes.len() as u64, Ordering::Relaxed);
        if program.step {
            let report = PlanReport { launches: program.nodes.len(), kernels: 0, planned_bytes: 0 };
            *self.last_step.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(report);
        }
        Ok(regions)
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            runs: self.runs.load(Ordering::Relaxed),
            launches: self.launches.load(Ordering::Relaxed),
            device_bytes: self.device_bytes.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }

    fn last_step(&self) -> Option<PlanReport> {
        *self.last_step.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
