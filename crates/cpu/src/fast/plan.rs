//! A schedule compiled for the fast executor, and its runs.

use std::time::Instant;

use smallvec::SmallVec;
use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    backend::PlanReport,
    program::{Bindings, Program},
    schedule::ir::{BufId, Launch, Place, Schedule},
    span::{Described, Span},
    storage::{Region, Storage},
};

use super::{
    compile::{Compiled, Count, Kernel, Kernels},
    kernel::{
        access,
        machine::{Bind, Outside},
    },
    pool::{Buffer, Pool},
    whole,
};
use crate::gemm::View;

/// A compiled schedule.
pub struct Plan {
    schedule: Schedule,
    /// For each launch.
    compiled: Vec<Compiled>,
    /// Buffers of the plan's own.
    zeroed: Vec<(BufId, Buffer)>,
    /// Outputs whose every element is not written by a launch of their own, and which so must start as zeros.
    cleared: Vec<bool>,
    /// Outputs written by a launch that looks at positions: they go to their target when all is well.
    held_back: Vec<bool>,
    pub report: PlanReport,
    /// Lane-operations in all.
    pub work: usize,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({} launches)", self.compiled.len())
    }
}

fn invalid(problem: String) -> Error {
    Error::new("cpu", ErrorKind::Invalid(problem))
}

impl Plan {
    /// Compiles every launch.
    ///
    /// # Errors
    /// A nest with too many coordinates, F64, no memory.
    pub fn new(schedule: Schedule, outputs: usize, kernels: &mut Kernels, pool: &std::sync::Arc<Pool>) -> Result<Plan> {
        if schedule.buffers.iter().any(|b| b.dtype == DType::F64) {
            let problem = "f64 tensors exist on the strict CPU executor only".to_string();
            return Err(Error::new("cpu", ErrorKind::DType { got: DType::F64, problem }));
        }
        let compile = |launch| kernels.compile(launch, &schedule.buffers);
        let compiled: Vec<Compiled> = schedule.launches.iter().map(compile).collect::<Result<_>>()?;
        let mut zeroed = Vec::new();
        for (buf, spec) in schedule.buffers.iter().enumerate() {
            if spec.place == Place::Zeroed {
                let buffer = Buffer::new(pool, spec.len * spec.dtype.size_bytes())?;
                buffer.view().slice_mut::<u8>(0, spec.len * spec.dtype.size_bytes()).fill(0);
                zeroed.push((buf, buffer));
            }
        }
        let mut cleared = vec![false; outputs];
        for (spec, zero) in schedule.buffers.iter().zip(schedule.starts_at_zero()) {
            if let Place::Output(i) = spec.place {
                cleared[i] = zero;
            }
        }
        let window = |place: &Place| if let Place::Window { of, .. } = place { Some(*of) } else { None };
        let mut held_back = vec![false; outputs];
        for launch in schedule.launches.iter().filter(|l| l.work.looks()) {
            for buf in launch.work.writes() {
                let of = window(&schedule.buffers[buf].place).unwrap_or(buf);
                if let Place::Output(i) = schedule.buffers[of].place {
                    held_back[i] = true;
                }
            }
        }
        let work = compiled.iter().map(Compiled::work).fold(0, usize::saturating_add);
        let mut count = Count::default();
        compiled.iter().for_each(|launch| count.add(launch, 1));
        let planned_bytes = schedule.slots.iter().map(|s| *s as u64).sum();
        let report = PlanReport { launches: count.launches, kernels: count.kernels(), planned_bytes };
        Ok(Plan { schedule, compiled, zeroed, cleared, held_back, report, work })
    }

    /// Bytes of each slot of the activation pool.
    pub fn slots(&self) -> &[usize] {
        &self.schedule.slots
    }

    /// Runs the plan. `slots` are at least as large as [`Plan::slots`]; `shared`: whether
    /// other threads may take parts. `spans` get one for each launch.
    ///
    /// # Errors
    /// A position that is none of its axis: the launches behind it are not run, and nothing is written in place by those in front
    /// of it, which the schedule puts there for its sake.
    pub fn run(
        &self,
        program: &Program,
        bindings: &Bindings,
        slots: &[Buffer],
        pool: &std::sync::Arc<Pool>,
        shared: bool,
        mut spans: Option<&mut Vec<Span>>,
    ) -> Result<Vec<Region>> {
        let targets = bindings.targets.iter().zip(&self.held_back);
        let mut made: Vec<Option<Region>> =
            targets.map(|(target, held_back)| target.clone().filter(|_| !held_back)).collect();
        for spec in &self.schedule.buffers {
            if let Place::Output(i) = spec.place
                && made[i].is_none()
            {
                let bytes = spec.len * spec.dtype.size_bytes();
                let buffer = Buffer::new(pool, bytes)?;
                if self.cleared[i] {
                    buffer.view().slice_mut::<u8>(0, bytes).fill(0);
                }
                made[i] = Some(Region { storage: Storage::new(buffer), offset: 0, len: spec.len, dtype: spec.dtype });
            }
        }
        let region_of = |buf: BufId| -> Option<&Region> {
            match self.schedule.buffers[buf].place {
                Place::Leaf(i) => bindings.leaves.get(i),
                Place::Output(i) => made.get(i)?.as_ref(),
                _ => None,
            }
        };
        {
            let scalars: Vec<u32> = program.scalar_words(bindings).collect();
            let mut views = self.views(slots, pool, &region_of)?;
            let run = Run { plan: self, program, scalars: &scalars, pool, shared };
            for (compiled, launch) in self.compiled.iter().zip(&self.schedule.launches) {
                let start = Instant::now();
                run.launch(compiled, launch, &mut views)?;
                if let Some(spans) = &mut spans {
                    let (took, name) = (start.elapsed(), launch.work.code.kind.name());
                    spans.push(Described::new(launch, &self.schedule.buffers).span(program, name, start, took));
                }
            }
        }
        let mut regions = Vec::with_capacity(self.schedule.outputs.len());
        for (i, buf) in self.schedule.outputs.iter().enumerate() {
            let region = match made.get(i).cloned().flatten() {
                Some(region) => Some(region),
                None => region_of(*buf).cloned(),
            };
            regions.push(region.ok_or_else(|| invalid(format!("output {i} has no memory")))?);
        }
        let held_back = bindings.targets.iter().zip(&self.held_back).zip(&mut regions).filter(|((_, held), _)| **held);
        for ((target, _), region) in held_back {
            if let Some(target) = target {
                let bytes = target.len * target.dtype.size_bytes();
                view_of(target)?.slice_mut::<u8>(0, bytes).copy_from_slice(view_of(region)?.slice::<u8>(0, bytes));
                *region = target.clone();
            }
        }
        Ok(regions)
    }

    fn views<'a>(
        &'a self,
        slots: &'a [Buffer],
        pool: &'a Pool,
        region_of: &dyn Fn(BufId) -> Option<&'a Region>,
    ) -> Result<Vec<View<'a>>> {
        let mut views = Vec::with_capacity(self.schedule.buffers.len());
        for (buf, spec) in self.schedule.buffers.iter().enumerate() {
            let bytes = spec.len * spec.dtype.size_bytes();
            views.push(match spec.place {
                Place::Leaf(_) | Place::Output(_) => match region_of(buf) {
                    Some(region) => view_of(region)?,
                    None => pool.empty(),
                },
                Place::Slot(slot) => slots[slot].view().bytes_at(0, bytes),
                Place::Zeroed => {
                    let own = self.zeroed.iter().find(|(b, _)| *b == buf);
                    own.map_or_else(|| pool.empty(), |(_, buffer)| buffer.view())
                }
                // Filled below, when what it is in is known, or step by step.
                Place::Window { .. } | Place::Walk { .. } => pool.empty(),
            });
        }
        for (buf, spec) in self.schedule.buffers.iter().enumerate() {
            if let Place::Window { of, offset } = spec.place {
                let size = spec.dtype.size_bytes();
                views[buf] = views[of].bytes_at(offset * size, spec.len * size);
            }
        }
        Ok(views)
    }
}

/// What is the same for all launches of a run.
struct Run<'r> {
    plan: &'r Plan,
    program: &'r Program,
    scalars: &'r [u32],
    pool: &'r std::sync::Arc<Pool>,
    shared: bool,
}

impl Run<'_> {
    fn launch(&self, compiled: &Compiled, launch: &Launch, views: &mut [View<'_>]) -> Result<()> {
        let (outside, work) = (Outside::default(), &launch.work);
        let own = || work.buffers.iter().map(|buf| views[*buf]).collect::<SmallVec<[View; 8]>>();
        match compiled {
            Compiled::Kernel(kernel) => {
                let scalars: SmallVec<[u32; 2]> = work.scalars.iter().map(|slot| self.scalars[*slot]).collect();
                let bind = Bind { views: &own(), scalars: &scalars, outside: &outside, shared: self.shared };
                match &**kernel {
                    Kernel::Loop(parts) => {
                        parts.iter().for_each(|nest| nest.execute(bind, &access::Region::whole(&nest.extents)));
                    }
                    Kernel::Contract(kernel) => kernel.execute(bind, self.pool)?,
                }
            }
            Compiled::Whole(whole) => {
                let dtype = |number: BufId| self.plan.schedule.buffers[work.buffers[number]].dtype;
                whole::execute(whole, whole::Bound { views: &own(), dtype: &dtype, shared: self.shared });
            }
            Compiled::Repeat(steps) => {
                for step in 0..steps.times {
                    for buf in &steps.walking {
                        let spec = &self.plan.schedule.buffers[*buf];
                        if let Place::Walk { of, walk } = spec.place {
                            let size = spec.dtype.size_bytes();
                            views[*buf] = views[of].bytes_at(walk.at(step) * size, spec.len * size);
                        }
                    }
                    for (compiled, launch) in &steps.launches {
                        self.launch(compiled, launch, views)?;
                    }
                }
            }
        }
        match outside.stray() {
            Some(stray) => {
                let check = &work.checks()[stray.check];
                Err(check.of(self.program).error(i64::from(stray.index), stray.bound as usize))
            }
            None => Ok(()),
        }
    }
}

/// The memory of a region, which must be this executor's own.
pub fn view_of(region: &Region) -> Result<View<'_>> {
    let buffer = region.storage.downcast::<Buffer>().ok_or_else(|| {
        Error::new("storage", ErrorKind::Device("the buffer belongs to another kind of device".into()))
    })?;
    let size = region.dtype.size_bytes();
    let (start, bytes) = (region.offset * size, region.len * size);
    if start + bytes > region.storage.size_bytes() {
        let problem = format!("bytes {start}..{} of a buffer of {}", start + bytes, region.storage.size_bytes());
        return Err(Error::new("storage", ErrorKind::Device(problem)));
    }
    Ok(buffer.view().bytes_at(start, bytes))
}
