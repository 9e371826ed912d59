//! A schedule lowered to launches, and its replay.
//!
//! Replay looks buffers up, compares their identities with those that bind groups were made for, and records one pass. It
//! makes bind groups only for buffers that it has not seen in that launch, and writes words only when they change.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Weak},
    time::Instant,
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::PlanReport,
    program::{Bindings, Program},
    schedule::ir::{BufId, BufferSpec, Place, Schedule},
    span::{Described, Span},
    storage::{Region, Storage},
};
use wgpu::{BufferUsages, CommandEncoder, CommandEncoderDescriptor, ComputePassDescriptor};

use super::{
    ahead::Ahead,
    context::add,
    inner::Inner,
    lower::{Lowered, lower},
    pool::GpuBuffer,
    step::{Bound, Places, Step},
    timestamps::Timestamps,
    transfer::foreign,
};
use crate::templates::{
    kernel::{Kernel, Source},
    params::Word,
};

/// Launches after which the first submission is worth while.
const FIRST_SUBMIT: usize = 24;

/// The identity of a zeroed buffer: bytes, and what lies where in it.
type ZeroedKey = (usize, Vec<(usize, usize)>);

/// What the plans of a device share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The activation pool, largest first: as large as the most demanding plan needs.
    slots: Vec<Arc<GpuBuffer>>,
    /// Buffers whose padding is zero and stays so, for plans that lay out the same things in them.
    zeroed: HashMap<ZeroedKey, Weak<GpuBuffer>>,
}

/// A lowered schedule.
pub(crate) struct Plan {
    buffers: Vec<BufferSpec>,
    outputs: Vec<BufId>,
    launches: Vec<Step>,
    /// What these are parts of.
    described: Vec<Described>,
    /// Bytes of each slot, largest first.
    slot_bytes: Vec<usize>,
    /// For each slot of the schedule its position in `slot_bytes`.
    slot_order: Vec<usize>,
    /// The slot of the kernels' own memory.
    scratch: Option<usize>,
    zeroed: Vec<Option<Arc<GpuBuffer>>>,
    /// Whether a buffer must start as zeros, if it is an output.
    cleared: Vec<bool>,
    words: Option<wgpu::Buffer>,
    /// What `words` holds, and the scalars and address remainders that it was made from.
    word_bytes: Vec<u8>,
    filled: bool,
    scalars: Vec<u32>,
    remainders: Vec<u32>,
    kernels: usize,
    /// Where each buffer is in this run.
    bound: Vec<Bound>,
    /// Compiles kernels of the first run.
    ahead: Option<Ahead>,
}

impl Plan {
    /// Lowers a schedule.
    ///
    /// # Errors
    /// A launch that no kernel can do or that binds more than the device can, a shader that does not compile, memory.
    pub fn build(inner: &Inner, shared: &mut Shared, schedule: Schedule) -> Result<Plan> {
        let context = &inner.context;
        let cleared = schedule.starts_at_zero();
        let Schedule { buffers, launches, slots, outputs, .. } = schedule;
        let Lowered { steps, launches: described, listed, offset, scratch } = lower(context, &launches, &buffers)?;
        let listed: Vec<(&Kernel, &str)> = listed.iter().map(|(kernel, label)| (&**kernel, label.as_str())).collect();
        let ahead = inner.pipelines.prepare(context, &listed)?;
        let kernels = listed.iter().map(|(k, _)| k.wgsl(0)).collect::<std::collections::HashSet<_>>().len();
        // Scratch, if there is any, is one more slot.
        let slots = slots.iter().map(|s| (*s).max(16)).chain((scratch > 0).then_some(scratch));
        let mut sizes: Vec<(usize, usize)> = slots.enumerate().map(|(i, s)| (s, i)).collect();
        sizes.sort_by_key(|(size, i)| (std::cmp::Reverse(*size), *i));
        let mut slot_order = vec![0; sizes.len()];
        for (position, (_, i)) in sizes.iter().enumerate() {
            slot_order[*i] = position;
        }
        let zeroed = zeroed(inner, shared, &buffers)?;
        let words = (offset > 0).then(|| {
            context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("words"),
                size: offset as u64,
                usage: BufferUsages::UNIFORM | BufferUsages::STORAGE | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        Ok(Plan {
            outputs,
            launches: steps,
            described,
            slot_bytes: sizes.iter().map(|(size, _)| *size).collect(),
            scratch: (scratch > 0).then(|| slot_order[sizes.len() - 1]),
            slot_order,
            zeroed,
            cleared,
            words,
            word_bytes: vec![0; offset],
            filled: false,
            scalars: Vec::new(),
            remainders: vec![0; buffers.len()],
            kernels,
            bound: Vec::with_capacity(buffers.len() + 1),
            ahead,
            buffers,
        })
    }

    /// What it costs.
    pub fn report(&self) -> PlanReport {
        PlanReport {
            launches: self.launches.len(),
            kernels: self.kernels,
            planned_bytes: self.slot_bytes.iter().map(|s| *s as u64).sum(),
        }
    }

    /// Queues the launches. Gives the outputs' regions and the last submission. If there are to be spans, one for each launch, waits
    /// for them.
    ///
    /// # Errors
    /// Memory, a region that does not fit its buffer.
    pub fn run(
        &mut self,
        inner: &Inner,
        shared: &mut Shared,
        program: &Program,
        bindings: &Bindings,
        spans: Option<&mut Vec<Span>>,
    ) -> Result<(Vec<Region>, Option<wgpu::SubmissionIndex>)> {
        let made = self.bind(inner, shared, program, bindings)?;
        self.name_checks(inner, program);
        self.fill_words(inner, program, bindings);
        let submission = match spans {
            Some(spans) => self.record_timed(inner, program, spans)?,
            None => self.record(inner)?,
        };
        if let Some(ahead) = self.ahead.take() {
            inner.context.wait("run", submission.clone())?;
            drop(ahead);
        }
        let context = &inner.context;
        add(&context.counters.runs, 1);
        add(&context.counters.launches, self.launches.len() as u64);
        let outputs = self.outputs.iter().map(|buf| self.region(*buf, bindings, &made)).collect::<Result<Vec<_>>>()?;
        Ok((outputs, submission))
    }

    /// Finds every buffer of this run; makes outputs that were not given.
    fn bind(
        &mut self,
        inner: &Inner,
        shared: &mut Shared,
        program: &Program,
        bindings: &Bindings,
    ) -> Result<Vec<Option<Storage>>> {
        let context = &inner.context;
        for (i, size) in self.slot_bytes.iter().enumerate() {
            if shared.slots.get(i).is_some_and(|slot| slot.capacity() >= *size as u64) {
                continue;
            }
            // The old one goes back first, so that the pool may give it to something else.
            let slot = Arc::new(inner.pool.take(context, *size, &"activations")?);
            if i < shared.slots.len() { shared.slots[i] = slot } else { shared.slots.push(slot) }
        }
        let mut made: Vec<Option<Storage>> = vec![None; program.outputs.len()];
        for (spec, cleared) in self.buffers.iter().zip(&self.cleared) {
            if let Place::Output(i) = spec.place
                && bindings.targets[i].is_none()
                && made[i].is_none()
            {
                let size = spec.len * spec.dtype.size_bytes();
                let label = program.nodes[program.outputs[i].node].label.to_string();
                made[i] = Some(Storage::new(match cleared {
                    true => inner.transfers.zeros(context, &inner.pool, size, &label)?,
                    false => inner.pool.take(context, size, &label)?,
                }));
            }
        }
        self.bound.clear();
        for (i, spec) in self.buffers.iter().enumerate() {
            let (holder, start_in_holder) = match spec.place {
                Place::Window { of, offset } => (of, offset),
                // Where it is at each step is found there.
                Place::Walk { of, .. } => {
                    self.bound.push(self.bound[of].clone());
                    continue;
                }
                _ => (i, 0),
            };
            let each = spec.dtype.size_bytes();
            let (buffer, offset) = match self.buffers[holder].place {
                Place::Leaf(i) => (gpu(&bindings.leaves[i].storage)?, bindings.leaves[i].offset),
                Place::Output(i) => match (&bindings.targets[i], &made[i]) {
                    (Some(region), _) => (gpu(&region.storage)?, region.offset),
                    (None, Some(storage)) => (gpu(storage)?, 0),
                    (None, None) => return Err(broken("an output has no memory")),
                },
                Place::Slot(i) => (&*shared.slots[self.slot_order[i]], 0),
                Place::Zeroed => match &self.zeroed[holder] {
                    Some(buffer) => (&**buffer, 0),
                    None => return Err(broken("a zeroed buffer has no memory")),
                },
                Place::Window { .. } | Place::Walk { .. } => return Err(broken("a window lies in a window")),
            };
            let start = ((offset + start_in_holder) * each) as u64;
            let capacity = buffer.capacity();
            if !(offset + start_in_holder).is_multiple_of(4) {
                return Err(broken("a region does not start at a multiple of four elements"));
            }
            if start + (spec.len * each) as u64 > capacity {
                return Err(broken("a region is longer than its buffer"));
            }
            self.bound.push(Bound::of(&buffer.buffer, buffer.id, start, spec, capacity, context.alignment));
        }
        // Behind the buffers: scratch, if any kernel has some.
        if let Some(scratch) = self.scratch {
            let slot = &shared.slots[scratch];
            let (buffer, size) = (slot.buffer.clone(), slot.capacity());
            self.bound.push(Bound { buffer, id: slot.id, offset: 0, size, remainder: 0, start: 0, capacity: size });
        }
        Ok(made)
    }

    /// Has positions outside reported at the places in the caller's code that this program comes from.
    fn name_checks(&mut self, inner: &Inner, program: &Program) {
        for (number, check) in self.launches.iter_mut().flat_map(|step| &mut step.checks) {
            let here = check.of(program);
            if here != *check {
                *check = here.clone();
                inner.context.rename(*number, here);
            }
        }
    }

    /// Computes the words, if a scalar or an address has changed, and queues their upload.
    fn fill_words(&mut self, inner: &Inner, program: &Program, bindings: &Bindings) {
        let Some(words) = &self.words else { return };
        let scalars_same = self.scalars.iter().copied().eq(program.scalar_words(bindings));
        let places_same =
            self.remainders.iter().copied().eq(self.bound[..self.buffers.len()].iter().map(|b| b.remainder));
        if self.filled && scalars_same && places_same {
            return;
        }
        self.filled = true;
        self.scalars.clear();
        self.scalars.extend(program.scalar_words(bindings));
        for (to, bound) in self.remainders.iter_mut().zip(&self.bound) {
            *to = bound.remainder;
        }
        let places = Places { bound: &self.bound, buffers: &self.buffers, alignment: inner.context.alignment };
        for step in &self.launches {
            for (i, word) in step.kernel.words.iter().enumerate() {
                let value = match word {
                    Word::Fixed(value) => *value,
                    Word::Scalar(i) => self.scalars.get(*i).copied().unwrap_or(0),
                    Word::Offset { elements, binding } => match step.kernel.bindings[*binding].source {
                        Source::Buffer(buf) => elements.wrapping_add(step.bound(places, buf).remainder),
                        Source::Flags | Source::Scratch | Source::Words => *elements,
                    },
                    Word::Flag(check) => step.checks[*check].0,
                };
                let at = step.offset + i * 4;
                self.word_bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        inner.context.queue.write_buffer(words, 0, &self.word_bytes);
    }

    /// Records and submits the launches: hardware starts on a part while the rest is recorded.
    fn record(&mut self, inner: &Inner) -> Result<Option<wgpu::SubmissionIndex>> {
        let count = self.launches.len();
        let parts = match inner.context.caps.software {
            true => 1,
            false => count.div_ceil(FIRST_SUBMIT).clamp(1, 4),
        };
        let mut submission = None;
        for part in (0..parts).filter(|_| count > 0) {
            let mut encoder = inner.context.device.create_command_encoder(&CommandEncoderDescriptor::default());
            self.encode(inner, &mut encoder, part * count / parts..(part + 1) * count / parts, None)?;
            submission = Some(inner.submit(encoder.finish()));
        }
        Ok(submission)
    }

    /// The same, with a span for each launch. Without timestamps each is submitted alone, and the host's clock tells.
    fn record_timed(
        &mut self,
        inner: &Inner,
        program: &Program,
        spans: &mut Vec<Span>,
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let context = &inner.context;
        context.wait("profile", None)?;
        let at_once = if Timestamps::exist(context) { Timestamps::LAUNCHES } else { 1 };
        let mut submission = None;
        let mut times = Vec::with_capacity(self.launches.len());
        for first in (0..self.launches.len()).step_by(at_once) {
            let steps = first..self.launches.len().min(first + at_once);
            let timestamps = Timestamps::new(context, steps.len());
            let mut encoder = context.device.create_command_encoder(&CommandEncoderDescriptor::default());
            self.encode(inner, &mut encoder, steps, timestamps.as_ref())?;
            if let Some(timestamps) = &timestamps {
                timestamps.resolve(&mut encoder);
            }
            let start = Instant::now();
            let submitted = inner.submit(encoder.finish());
            context.wait("profile", Some(submitted.clone()))?;
            submission = Some(submitted);
            match timestamps {
                Some(timestamps) => {
                    times.extend(timestamps.read(context)?.into_iter().map(|t| start + t.start..start + t.end))
                }
                None => times.push(start..Instant::now()),
            }
        }
        // A launch of several steps is one span.
        for steps in self.launches.iter().zip(times).collect::<Vec<_>>().chunk_by(|(a, _), (b, _)| a.launch == b.launch)
        {
            let [(step, first), ..] = steps else { continue };
            let end = steps.last().map_or(first.end, |(_, last)| last.end);
            let entry = step.kernel.entry;
            spans.push(self.described[step.launch].span(program, entry, first.start, end.duration_since(first.start)));
        }
        Ok(submission)
    }

    /// Records steps. Those that are timed have passes of their own.
    fn encode(
        &mut self,
        inner: &Inner,
        encoder: &mut CommandEncoder,
        steps: Range<usize>,
        timestamps: Option<&Timestamps>,
    ) -> Result<()> {
        let places = Places { bound: &self.bound, buffers: &self.buffers, alignment: inner.context.alignment };
        let mut open = None;
        for (i, step) in self.launches[steps].iter_mut().enumerate() {
            let begin = |encoder: &mut CommandEncoder, timestamp_writes| {
                let descriptor = ComputePassDescriptor { label: None, timestamp_writes };
                encoder.begin_compute_pass(&descriptor).forget_lifetime()
            };
            if let Some(copy) = &step.copy
                && let (from, to) = (step.bound(places, copy.from.0), step.bound(places, copy.to.0))
                && from.id != to.id
            {
                open = None;
                let (from_at, to_at) = (from.start + copy.from.1, to.start + copy.to.1);
                timestamps.map(|t| begin(encoder, Some(t.begin(i))));
                encoder.copy_buffer_to_buffer(&from.buffer, from_at, &to.buffer, to_at, copy.bytes);
                timestamps.map(|t| begin(encoder, Some(t.end(i))));
                continue;
            }
            if timestamps.is_some() {
                open = None;
            }
            let pass = open.get_or_insert_with(|| begin(encoder, timestamps.map(|t| t.of(i))));
            let grid = step.kernel.grid;
            let variant = step.variant(inner, places, self.words.as_ref())?;
            pass.set_pipeline(&variant.pipeline.pipeline);
            pass.set_bind_group(0, &variant.group, &[]);
            pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
        }
        Ok(())
    }

    /// The region of an output.
    fn region(&self, buf: BufId, bindings: &Bindings, made: &[Option<Storage>]) -> Result<Region> {
        let spec = &self.buffers[buf];
        let (holder, start) = match spec.place {
            Place::Window { of, offset } => (of, offset),
            _ => (buf, 0),
        };
        let (storage, offset) = match self.buffers[holder].place {
            Place::Leaf(i) => (bindings.leaves[i].storage.clone(), bindings.leaves[i].offset),
            Place::Output(i) => match (&bindings.targets[i], &made[i]) {
                (Some(region), _) => (region.storage.clone(), region.offset),
                (None, Some(storage)) => (storage.clone(), 0),
                (None, None) => return Err(broken("an output has no memory")),
            },
            _ => return Err(broken("an output lies in the plan's own memory")),
        };
        Ok(Region { storage, offset: offset + start, len: spec.len, dtype: spec.dtype })
    }
}

/// The plan's zeroed buffers, shared with plans that lay out the same in them.
fn zeroed(inner: &Inner, shared: &mut Shared, buffers: &[BufferSpec]) -> Result<Vec<Option<Arc<GpuBuffer>>>> {
    let mut zeroed = vec![None; buffers.len()];
    for (i, spec) in buffers.iter().enumerate() {
        if spec.place != Place::Zeroed {
            continue;
        }
        let windows = buffers.iter().filter_map(|b| match b.place {
            Place::Window { of, offset } if of == i => Some((offset, b.len)),
            _ => None,
        });
        let size = spec.len * spec.dtype.size_bytes();
        let key: ZeroedKey = (size, windows.collect());
        let known = shared.zeroed.get(&key).and_then(Weak::upgrade);
        // One plan may have several of the same layout.
        let taken = |b: &Arc<GpuBuffer>| zeroed.iter().flatten().any(|z: &Arc<GpuBuffer>| Arc::ptr_eq(z, b));
        zeroed[i] = Some(match known.filter(|b| !taken(b)) {
            Some(buffer) => buffer,
            None => {
                let made = inner.transfers.zeros(&inner.context, &inner.pool, size, &"packed gradients")?;
                let made = Arc::new(made);
                shared.zeroed.insert(key, Arc::downgrade(&made));
                made
            }
        });
    }
    Ok(zeroed)
}

fn gpu(storage: &Storage) -> Result<&GpuBuffer> {
    storage.downcast::<GpuBuffer>().ok_or_else(foreign)
}

/// A schedule that breaks its contract: a bug of ours, but no reason to panic in a user's training run.
fn broken(problem: &str) -> Error {
    Error::new("run", ErrorKind::Device(format!("internal: {problem}")))
}
