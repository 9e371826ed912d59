//! From launches to kernels, each of which is compiled once wherever it stands.

use std::{hash::Hash, sync::Arc};

use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    key::Key,
    map::Set,
    schedule::{
        ir::{BufId, BufferSpec, Launch, LaunchKind, Place, Repeat, Whole},
        recent::Recent,
    },
};

use super::{
    contract::ContractKernel,
    kernel::{code::LoopCode, lower::Options},
};

/// Instructions of all kernels that are kept.
const INSTRUCTIONS: usize = 1 << 14;

/// A compiled launch, over buffers and host scalars in order of appearance.
#[derive(Debug)]
pub enum Kernel {
    /// In parts.
    Loop(Vec<LoopCode>),
    Contract(ContractKernel),
}

/// What a plan does for a launch.
#[derive(Debug)]
pub enum Work {
    Kernel { kernel: Arc<Kernel>, buffers: Vec<BufId>, scalars: Vec<usize> },
    Whole(Whole),
    Repeat(Steps),
}

/// A compiled step, so many times.
#[derive(Debug)]
pub struct Steps {
    pub times: usize,
    pub works: Vec<(Work, Launch)>,
    /// The buffers that lie elsewhere every time.
    pub walking: Vec<BufId>,
}

/// The kernels that were used last.
#[derive(Debug)]
pub struct Kernels {
    known: Recent<Arc<Kernel>>,
    compiled: u64,
}

impl Default for Kernels {
    fn default() -> Self {
        Kernels { known: Recent::new(usize::MAX, INSTRUCTIONS), compiled: 0 }
    }
}

impl Kernels {
    /// How many were compiled so far.
    pub fn compiled(&self) -> u64 {
        self.compiled
    }

    /// Compiles a launch over these buffers.
    ///
    /// # Errors
    /// A nest with too many coordinates.
    pub fn compile(&mut self, launch: &Launch, buffers: &[BufferSpec]) -> Result<Work> {
        let repeat = match &launch.kind {
            LaunchKind::Whole(whole) => return Ok(Work::Whole(whole.clone())),
            LaunchKind::Repeat(repeat) => repeat,
            kind => return self.kernel(kind, &launch.label, buffers),
        };
        let Repeat { times, launches, .. } = repeat;
        let works = launches.iter().map(|launch| Ok((self.compile(launch, buffers)?, launch.clone())));
        let works = works.collect::<Result<Vec<_>>>()?;
        let walks = |buf: &BufId| matches!(buffers[*buf].place, Place::Walk { .. });
        let mut walking: Vec<BufId> = launches.iter().flat_map(|l| l.kind.buffers()).filter(walks).collect();
        walking.sort_unstable();
        walking.dedup();
        Ok(Work::Repeat(Steps { times: *times, works, walking }))
    }

    fn kernel(&mut self, kind: &LaunchKind, label: &str, specs: &[BufferSpec]) -> Result<Work> {
        let (kind, buffers, scalars) = kind.anywhere();
        let specs: Vec<BufferSpec> = buffers.iter().map(|buf| specs[*buf].clone()).collect();
        let mut key = Key::default();
        match &kind {
            LaunchKind::Loop(l) => (l, specs.iter().map(|s| s.dtype).collect::<Vec<DType>>()).hash(&mut key),
            LaunchKind::Contract(c) => (c, specs.iter().map(|s| (s.dtype, s.len)).collect::<Vec<_>>()).hash(&mut key),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => unreachable!("neither is compiled to a kernel"),
        }
        if let Some(kernel) = self.known.get(&key.words) {
            return Ok(Work::Kernel { kernel: kernel.clone(), buffers, scalars });
        }
        let dtype_of = |buf: BufId| specs[buf].dtype;
        let kernel = match &kind {
            LaunchKind::Loop(l) => {
                let parts = l.parts();
                let code = parts.iter().map(|part| LoopCode::new(part, &Options::default(), &dtype_of));
                code.collect::<Result<Vec<_>, _>>().map(Kernel::Loop)
            }
            LaunchKind::Contract(c) => ContractKernel::new(c, &specs).map(Kernel::Contract),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => unreachable!("neither is compiled to a kernel"),
        };
        let invalid = |problem: String| Error::new("cpu", ErrorKind::Invalid(format!("{label}: {problem}")));
        let kernel = Arc::new(kernel.map_err(invalid)?);
        self.known.insert(key.words, kernel.clone(), kind.size());
        self.compiled += 1;
        Ok(Work::Kernel { kernel, buffers, scalars })
    }
}

/// What a plan's launches come to.
#[derive(Default)]
pub struct Count {
    pub launches: usize,
    kernels: Set<*const Kernel>,
    wholes: Vec<Whole>,
}

impl Count {
    /// Counts so many runs of a launch.
    pub fn add(&mut self, work: &Work, times: usize) {
        match work {
            Work::Repeat(steps) => steps.works.iter().for_each(|(work, _)| self.add(work, times * steps.times)),
            Work::Kernel { kernel, .. } => {
                self.launches += times;
                self.kernels.insert(Arc::as_ptr(kernel));
            }
            Work::Whole(whole) => {
                self.launches += times;
                let mut whole = whole.clone();
                let arrays = whole.inputs.iter_mut().chain(whole.outputs.iter_mut().flatten());
                arrays.for_each(|array| array.buf = 0);
                if !self.wholes.contains(&whole) {
                    self.wholes.push(whole);
                }
            }
        }
    }

    /// How many launches differ.
    pub fn kernels(&self) -> usize {
        self.kernels.len() + self.wholes.len()
    }
}
