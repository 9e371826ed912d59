//! From launches to kernels, each of which is compiled once wherever it stands.

use std::{hash::Hash, sync::Arc};

use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    key::Key,
    map::Set,
    schedule::{
        ir::{BufId, BufferSpec, Launch, LaunchKind, Repeat, Whole},
        recent::Recent,
    },
    shape::count,
};

use super::{
    contract::ContractKernel,
    kernel::{code::LoopCode, lower::Options},
};

/// Lane-operations for an element of a primitive, about.
const WHOLE: usize = 8;
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
pub enum Compiled {
    Kernel(Arc<Kernel>),
    Whole(Whole),
    Repeat(Steps),
}

impl Compiled {
    /// What it comes to, as [`LoopCode::work`] counts.
    pub fn work(&self) -> usize {
        match self {
            Compiled::Kernel(kernel) => match &**kernel {
                Kernel::Loop(parts) => parts.iter().map(LoopCode::work).fold(0, usize::saturating_add),
                Kernel::Contract(kernel) => kernel.work(),
            },
            Compiled::Whole(whole) => {
                let arrays = whole.inputs.iter().chain(whole.outputs.iter().flatten());
                arrays.map(|array| count(&array.shape).saturating_mul(WHOLE)).fold(0, usize::saturating_add)
            }
            Compiled::Repeat(steps) => {
                let once = steps.launches.iter().map(|(launch, _)| launch.work()).fold(0, usize::saturating_add);
                once.saturating_mul(steps.times)
            }
        }
    }
}

/// A compiled step, so many times.
#[derive(Debug)]
pub struct Steps {
    pub times: usize,
    pub launches: Vec<(Compiled, Launch)>,
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
    pub fn compile(&mut self, launch: &Launch, buffers: &[BufferSpec]) -> Result<Compiled> {
        match &launch.work.code.kind {
            LaunchKind::Loop(_) | LaunchKind::Contract(_) => Ok(Compiled::Kernel(self.kernel(launch, buffers)?)),
            LaunchKind::Whole(whole) => Ok(Compiled::Whole(whole.clone())),
            LaunchKind::Repeat(Repeat { times, .. }) => {
                let (launches, walking) = launch.work.steps();
                let launches = launches.into_iter().map(|launch| Ok((self.compile(&launch, buffers)?, launch)));
                let launches = launches.collect::<Result<Vec<_>>>()?;
                Ok(Compiled::Repeat(Steps { times: *times, launches, walking }))
            }
        }
    }

    fn kernel(&mut self, launch: &Launch, specs: &[BufferSpec]) -> Result<Arc<Kernel>> {
        let code = &launch.work.code;
        if let Some(known) = code.kernel() {
            return Ok(known);
        }
        let specs: Vec<BufferSpec> = launch.work.buffers.iter().map(|buf| specs[*buf].clone()).collect();
        let mut key = Key::default();
        match &code.kind {
            LaunchKind::Loop(l) => (l, specs.iter().map(|s| s.dtype).collect::<Vec<DType>>()).hash(&mut key),
            LaunchKind::Contract(c) => (c, specs.iter().map(|s| (s.dtype, s.len)).collect::<Vec<_>>()).hash(&mut key),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => unreachable!("neither is compiled to a kernel"),
        }
        if let Some(kernel) = self.known.get(&key.words) {
            code.keep(kernel);
            return Ok(kernel.clone());
        }
        let dtype_of = |buf: BufId| specs[buf].dtype;
        let kernel = match &code.kind {
            LaunchKind::Loop(l) => {
                let parts = l.parts();
                let code = parts.iter().map(|part| LoopCode::new(part, &Options::default(), &dtype_of));
                code.collect::<Result<Vec<_>, _>>().map(Kernel::Loop)
            }
            LaunchKind::Contract(c) => ContractKernel::new(c, &specs).map(Kernel::Contract),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => unreachable!("neither is compiled to a kernel"),
        };
        let invalid = |problem: String| Error::new("cpu", ErrorKind::Invalid(format!("{}: {problem}", launch.title)));
        let kernel = Arc::new(kernel.map_err(invalid)?);
        code.keep(&kernel);
        self.known.insert(key.words, kernel.clone(), code.kind.size());
        self.compiled += 1;
        Ok(kernel)
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
    pub fn add(&mut self, launch: &Compiled, times: usize) {
        match launch {
            Compiled::Repeat(steps) => {
                steps.launches.iter().for_each(|(launch, _)| self.add(launch, times * steps.times));
            }
            Compiled::Kernel(kernel) => {
                self.launches += times;
                self.kernels.insert(Arc::as_ptr(kernel));
            }
            Compiled::Whole(whole) => {
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
