//! The fast executor: schedules, lowered to cache-sized blocks.
//!
//! The same [`thalweg_ir::schedule::ir::Schedule`] that a GPU runs is compiled here to code on blocks of lanes
//! (`kernel`) and to matrix products on tiles (`contract`). Everything is cut by shape alone, so the same input gives the
//! same bits with any number of threads.

mod compile;
mod contract;
mod crew;
mod kernel;
mod plan;
mod pool;
mod whole;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::{Backend, PlanReport, Properties, ReadFuture, Stats},
    program::{Bindings, Program},
    schedule::{self, cache::PlanCache},
    settings::{MOST_THREADS, Settings},
    span::Span,
    storage::{Region, Storage, StorageObject},
};

use compile::Kernels;
use crew::Crew;
use plan::{Plan, view_of};
use pool::{Buffer, Pool};

/// The CPU as a device. See the module's documentation.
///
/// `THALWEG_THREADS` sets the number of threads (default: `RAYON_NUM_THREADS`, else all cores).
pub struct FastCpu {
    properties: Properties,
    pool: Arc<Pool>,
    crew: Crew,
    plans: PlanCache<Plan>,
    state: Mutex<State>,
    runs: AtomicU64,
    launches: AtomicU64,
    kernels: Mutex<Kernels>,
}

/// What one run at a time may touch.
#[derive(Default)]
struct State {
    /// The activation pool, shared by all plans: the largest of each slot.
    slots: Vec<Buffer>,
    last_step: Option<PlanReport>,
}

impl fmt::Debug for FastCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FastCpu({} threads)", self.crew.size())
    }
}

impl FastCpu {
    /// A new device; tensors of two devices do not mix.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a variable of the environment that means nothing; [`ErrorKind::Device`] when threads cannot start.
    pub fn new() -> Result<FastCpu> {
        FastCpu::with_threads(Settings::get().threads.unwrap_or(0))
    }

    /// A new device with so many threads; 0 for the default.
    ///
    /// # Errors
    /// As [`FastCpu::new`]; [`ErrorKind::Invalid`] for more than 1024.
    #[track_caller]
    pub fn with_threads(threads: usize) -> Result<FastCpu> {
        FastCpu::with_capacity(threads, Settings::get().memory.or_else(machine_memory))
    }

    /// The same with so many bytes of memory; none for as many as the system gives.
    ///
    /// # Errors
    /// As [`FastCpu::with_threads`].
    #[track_caller]
    pub fn with_capacity(threads: usize, memory: Option<u64>) -> Result<FastCpu> {
        Settings::get().checked()?;
        if threads > MOST_THREADS {
            let problem = format!("{threads} threads are more than {MOST_THREADS}");
            return Err(Error::new("cpu", ErrorKind::Invalid(problem)));
        }
        let problem = |e: String| Error::new("cpu", ErrorKind::Device(e));
        let crew = Crew::new(threads).map_err(|e| problem(e.to_string()))?;
        Ok(FastCpu {
            properties: Properties {
                name: "cpu".into(),
                api: "cpu",
                hardware: false,
                native_f16: true,
                mixed_gains: false,
                f64: false,
                max_buffers: 64,
                max_binding_bytes: u64::MAX,
                max_tensor_bytes: memory.unwrap_or(u64::MAX),
                memory_bytes: memory,
                scheduled: true,
            },
            pool: Pool::new(memory).ok_or_else(|| problem("no memory".into()))?,
            crew,
            plans: PlanCache::default(),
            state: Mutex::default(),
            runs: AtomicU64::new(0),
            launches: AtomicU64::new(0),
            kernels: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn plan(&self, program: &Program) -> Result<Arc<Plan>> {
        self.plans.get_or_build(program, |pieces| {
            let options = schedule::Options { laid_out: true, ..schedule::Options::of(&self.properties) };
            let schedule = schedule::build_of(program, &options, pieces)?;
            Plan::new(schedule, program.outputs.len(), &mut lock(&self.kernels), &self.pool)
        })
    }

    /// Runs a program; `spans` get one for each launch.
    fn execute(&self, program: &Program, bindings: &Bindings, spans: Option<&mut Vec<Span>>) -> Result<Vec<Region>> {
        debug_assert!(program.fits(bindings), "other memory than the plan is for");
        let plan = self.plan(program)?;
        let mut state = self.state();
        for (i, bytes) in plan.slots().iter().enumerate() {
            let held = state.slots.get(i).map(StorageObject::size_bytes);
            if held.is_none_or(|held| held < *bytes) {
                // The old one goes back first, so that the pool may grow by the difference only.
                if held.is_some() {
                    state.slots[i] = Buffer::new(&self.pool, 0)?;
                }
                let buffer = Buffer::new(&self.pool, *bytes)?;
                match held {
                    Some(_) => state.slots[i] = buffer,
                    None => state.slots.push(buffer),
                }
            }
        }
        let run = |shared| plan.run(program, bindings, &state.slots, &self.pool, shared, spans);
        let regions = self.crew.run(plan.work, run)?;
        if program.step {
            state.last_step = Some(plan.report);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.launches.fetch_add(plan.report.launches as u64, Ordering::Relaxed);
        Ok(regions)
    }
}

impl Backend for FastCpu {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        let buffer = Buffer::new(&self.pool, bytes.len())?;
        buffer.view().slice_mut::<u8>(0, bytes.len()).copy_from_slice(bytes);
        Ok(Storage::new(buffer))
    }

    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        let buffer = Buffer::new(&self.pool, size_bytes)?;
        buffer.view().slice_mut::<u8>(0, size_bytes).fill(0);
        Ok(Storage::new(buffer))
    }

    fn read(&self, region: &Region) -> Result<Vec<u8>> {
        // No run is under way meanwhile: another thread may be at a step that writes what is read here.
        let _state = self.state();
        Ok(view_of(region)?.slice::<u8>(0, region.len * region.dtype.size_bytes()).to_vec())
    }

    fn read_async(&self, region: &Region) -> ReadFuture {
        Box::pin(std::future::ready(self.read(region)))
    }

    fn copy(&self, copies: &[(Region, Region)]) -> Result<()> {
        // No run is under way meanwhile.
        let _state = self.state();
        for (from, to) in copies {
            let bytes = from.len * from.dtype.size_bytes();
            view_of(to)?.slice_mut::<u8>(0, bytes).copy_from_slice(view_of(from)?.slice::<u8>(0, bytes));
        }
        Ok(())
    }

    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        self.execute(program, bindings, None)
    }

    fn run_timed(&self, program: &Program, bindings: &Bindings, spans: &mut Vec<Span>) -> Result<Vec<Region>> {
        self.execute(program, bindings, Some(spans))
    }

    fn synchronize(&self) -> Result<()> {
        // Runs are over, and have told what went wrong, when they return.
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            runs: self.runs.load(Ordering::Relaxed),
            launches: self.launches.load(Ordering::Relaxed),
            plans_built: self.plans.built(),
            nodes_grouped: self.plans.nodes_grouped(),
            kernels: lock(&self.kernels).compiled(),
            device_bytes: self.pool.bytes(),
            ..Stats::default()
        }
    }

    fn last_step(&self) -> Option<PlanReport> {
        self.state().last_step
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the machine's memory, where the system tells.
fn machine_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        info.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
