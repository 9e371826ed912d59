//! The backend: a device, its pools, its plans.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::{Backend, PlanReport, Properties, ReadFuture, Stats},
    program::{Bindings, Program},
    schedule::{self, cache::PlanCache},
    settings::{Limits, Settings},
    span::Span,
    storage::{Region, Storage},
};

use super::{
    adapter::{Selector, select},
    context::{Context, lock},
    inner::Inner,
    pipelines::Pipelines,
    plan::Plan,
    pool::GpuBuffer,
    shared::Shared,
    transfer::{Copy, Transfers, foreign},
};

/// Training steps that may be queued behind the one that runs.
const IN_FLIGHT: usize = 2;

/// A device that runs graphs through wgpu.
pub struct GpuBackend {
    inner: Arc<Inner>,
    plans: PlanCache<Mutex<Plan>>,
    shared: Mutex<Shared>,
    steps: Mutex<VecDeque<wgpu::SubmissionIndex>>,
    last_step: Mutex<Option<PlanReport>>,
    /// To the thread that polls for asynchronous reads, once there is one.
    poller: Mutex<Option<mpsc::Sender<wgpu::SubmissionIndex>>>,
}

impl GpuBackend {
    /// Opens a device.
    ///
    /// # Errors
    /// [`ErrorKind::NoDevice`] with what there is; a variable of the environment that means nothing; a driver that refuses.
    pub fn open(selector: &Selector) -> Result<GpuBackend> {
        GpuBackend::open_limited(selector, Settings::get().limits)
    }

    /// As [`GpuBackend::open`], as if the device could do no more than this.
    ///
    /// # Errors
    /// As [`GpuBackend::open`].
    pub fn open_limited(selector: &Selector, limits: Limits) -> Result<GpuBackend> {
        Settings::get().checked()?;
        let context = Context::open(&select(selector)?, limits)?;
        let inner =
            Inner { context, pool: Arc::default(), transfers: Transfers::default(), pipelines: Pipelines::default() };
        Ok(GpuBackend {
            inner: Arc::new(inner),
            plans: PlanCache::default(),
            shared: Mutex::default(),
            steps: Mutex::default(),
            last_step: Mutex::default(),
            poller: Mutex::default(),
        })
    }

    /// What kernels on this device may use.
    pub fn caps(&self) -> &crate::templates::Caps {
        &self.inner.context.caps
    }

    /// Runs a schedule that is not cached, for tests and tools.
    pub fn run_schedule(
        &self,
        schedule: schedule::ir::Schedule,
        program: &Program,
        bindings: &Bindings,
    ) -> Result<Vec<Region>> {
        let mut plan = Plan::build(&self.inner, &mut lock(&self.shared), schedule)?;
        self.run_plan(&mut plan, program, bindings, None)
    }

    /// Prepares a schedule once, for benches: the returned function queues it.
    pub fn prepare(
        &self,
        schedule: schedule::ir::Schedule,
    ) -> Result<impl FnMut(&Program, &Bindings) -> Result<Vec<Region>> + '_> {
        let mut plan = Plan::build(&self.inner, &mut lock(&self.shared), schedule)?;
        Ok(move |program: &Program, bindings: &Bindings| self.run_plan(&mut plan, program, bindings, None))
    }

    fn run_plan(
        &self,
        plan: &mut Plan,
        program: &Program,
        bindings: &Bindings,
        spans: Option<&mut Vec<Span>>,
    ) -> Result<Vec<Region>> {
        let (regions, submission) = plan.run(&self.inner, &mut lock(&self.shared), program, bindings, spans)?;
        if program.step {
            *lock(&self.last_step) = Some(plan.report());
            if let Some(submission) = submission {
                let before = {
                    let mut steps = lock(&self.steps);
                    steps.push_back(submission);
                    if steps.len() > IN_FLIGHT { steps.pop_front() } else { None }
                };
                if let Some(before) = before {
                    self.inner.context.wait("step", Some(before))?;
                }
            }
        }
        Ok(regions)
    }

    /// Runs a program; `spans` get one for each launch.
    fn execute(&self, program: &Program, bindings: &Bindings, spans: Option<&mut Vec<Span>>) -> Result<Vec<Region>> {
        debug_assert!(program.fits(bindings), "other memory than the plan is for");
        self.inner.context.check("run")?;
        let plan = self.plans.get_or_build(program, |pieces| {
            let options = schedule::Options::of(self.properties());
            let schedule = schedule::build_of(program, &options, pieces)?;
            Ok::<_, Error>(Mutex::new(Plan::build(&self.inner, &mut lock(&self.shared), schedule)?))
        })?;
        self.run_plan(&mut lock(&plan), program, bindings, spans)
    }

    /// Waits for a copy; gives its bytes.
    fn arrive(&self, copy: Copy, op: &'static str) -> Result<Vec<u8>> {
        let Inner { context, transfers, .. } = &*self.inner;
        let (sender, receiver) = mpsc::channel();
        copy.map(move |result| {
            let _ = sender.send(result);
        });
        context.wait(op, Some(copy.submission.clone()))?;
        // Another thread's poll may be the one that calls back, a moment later than ours returns.
        match receiver.recv_timeout(Duration::from_secs(10)) {
            Ok(Ok(())) => transfers.take(context, copy),
            other => Err(Error::new(op, ErrorKind::Device(format!("mapping failed: {other:?}")))),
        }
    }

    /// Has the polling thread wait for a submission, and with it call what waits for a map.
    fn poll_for(&self, submission: wgpu::SubmissionIndex) {
        let mut poller = lock(&self.poller);
        let sender = poller.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel::<wgpu::SubmissionIndex>();
            let device = self.inner.context.device.clone();
            std::thread::spawn(move || {
                for submission in receiver {
                    // A lost device calls the callbacks with an error.
                    let _ = device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
                }
            });
            sender
        });
        // The thread lives as long as its sender.
        let _ = sender.send(submission);
    }
}

impl Backend for GpuBackend {
    fn properties(&self) -> &Properties {
        &self.inner.context.properties
    }

    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        let Inner { context, pool, transfers, .. } = &*self.inner;
        context.check("upload")?;
        transfers.upload(context, pool, bytes)
    }

    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        let Inner { context, pool, transfers, .. } = &*self.inner;
        context.check("allocate")?;
        Ok(Storage::new(transfers.zeros(context, pool, size_bytes, &"a tensor")?))
    }

    fn read(&self, region: &Region) -> Result<Vec<u8>> {
        let Inner { context, transfers, .. } = &*self.inner;
        context.check("read")?;
        let copy = transfers.copy(context, region)?;
        self.arrive(copy, "read")
    }

    fn read_async(&self, region: &Region) -> ReadFuture {
        let start = || {
            self.inner.context.check("read")?;
            self.inner.transfers.copy(&self.inner.context, region)
        };
        let copy = match start() {
            Ok(copy) => copy,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (sender, receiver) = futures::channel::oneshot::channel();
        copy.map(move |result| {
            let _ = sender.send(result);
        });
        self.poll_for(copy.submission.clone());
        let inner = self.inner.clone();
        Box::pin(async move {
            match receiver.await {
                Ok(Ok(())) => inner.transfers.take(&inner.context, copy),
                other => Err(Error::new("read", ErrorKind::Device(format!("mapping failed: {other:?}")))),
            }
        })
    }

    fn copy(&self, copies: &[(Region, Region)]) -> Result<()> {
        let context = &self.inner.context;
        context.check("copy")?;
        // The device copies whole words between two buffers; the rest is a kernel's work.
        let (plain, other): (Vec<_>, Vec<_>) =
            copies.iter().partition(|(from, to)| is_words(from) && is_words(to) && !from.storage.same(&to.storage));
        if !plain.is_empty() {
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for (from, to) in plain {
                let [source, target] = [from, to].map(|r| r.storage.downcast::<GpuBuffer>().ok_or_else(foreign));
                let bytes = |n: usize| (n * from.dtype.size_bytes()) as u64;
                let (start, end) = (bytes(from.offset), bytes(to.offset));
                encoder.copy_buffer_to_buffer(&source?.buffer, start, &target?.buffer, end, bytes(from.len));
            }
            self.inner.submit(encoder.finish());
        }
        for (from, to) in other {
            let (program, bindings) = Program::copying(from, to);
            self.run(&program, &bindings)?;
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
        let Inner { context, transfers, .. } = &*self.inner;
        context.check("synchronize")?;
        // A read of nothing brings the flag words.
        let nothing = Storage::new(self.inner.pool.take(context, 4, &"a flag")?);
        let copy =
            transfers.copy(context, &Region { storage: nothing, offset: 0, len: 0, dtype: thalweg_ir::DType::U32 })?;
        self.arrive(copy, "synchronize").map(drop)
    }

    fn stats(&self) -> Stats {
        let (plans_built, nodes_grouped) = (self.plans.built(), self.plans.nodes_grouped());
        Stats { plans_built, nodes_grouped, ..self.inner.context.stats() }
    }

    fn last_step(&self) -> Option<PlanReport> {
        *lock(&self.last_step)
    }
}

/// Whether a region begins and ends with a word.
fn is_words(region: &Region) -> bool {
    let size = region.dtype.size_bytes();
    (region.offset * size).is_multiple_of(4) && (region.len * size).is_multiple_of(4)
}

impl fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GpuBackend({} on {})", self.properties().name, self.properties().api)
    }
}
