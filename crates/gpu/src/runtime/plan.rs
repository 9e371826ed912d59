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
    backend::{PlanReport, Region, Storage, Trace},
    schedule::ir::{BufId, BufferSpec, Check, Inst, Launch, LaunchKind, Linear, Place, Schedule},
    span::{Described, Span},
};
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferSize, BufferUsages,
    CommandEncoder, CommandEncoderDescriptor, ComputePassDescriptor,
};

use super::{
    ahead::Ahead, backend::Inner, context::add, pipelines::Pipeline, pool::GpuBuffer, timestamps::Timestamps,
    transfer::foreign,
};
use crate::templates::{
    kernel::{Kernel, Source},
    kernels,
    normalise::normalise,
    params::Word,
    window::Windows,
};

/// Bytes to which the words of a launch are aligned.
const WORDS_ALIGN: usize = 256;
/// Bind groups kept for each launch: inputs and results go round in a few buffers.
const VARIANTS: usize = 6;
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
    /// What the launches of the schedule are, of which some take several steps.
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

struct Step {
    kernel: Kernel,
    /// Which of the schedule's launches it is a part of.
    launch: usize,
    /// Set where the launch does nothing but copy: bytes are moved without a kernel, unless they stay in their buffer.
    copy: Option<Copy>,
    label: String,
    /// The body's checks, and the number of each on this device.
    checks: Vec<(u32, Check)>,
    /// Where its words are.
    offset: usize,
    variants: Vec<Variant>,
    clock: u64,
}

/// A dense run of elements that goes from one buffer to another.
struct Copy {
    from: (BufId, u64),
    to: (BufId, u64),
    bytes: u64,
}

/// A bind group, and the buffers it was made for.
struct Variant {
    key: Vec<(u64, u64)>,
    group: BindGroup,
    pipeline: Arc<Pipeline>,
    used: u64,
}

/// A piece of a buffer.
#[derive(Clone)]
struct Bound {
    buffer: wgpu::Buffer,
    id: u64,
    /// Aligned as the device wants it.
    offset: u64,
    size: u64,
    /// Elements by which the piece starts behind `offset`.
    remainder: u32,
    /// Bytes from the buffer's start to the piece.
    start: u64,
}

impl Bound {
    /// The part that is bound as window `w`. One that lies behind the end is never used, but must be something.
    fn window(&self, w: usize, windows: Windows) -> BufferBinding<'_> {
        let start = w as u64 * windows.bytes;
        let (offset, size) = match windows.count {
            1 => (0, self.size),
            _ if start < self.size => (start, windows.bytes.min(self.size - start)),
            _ => (0, 16),
        };
        BufferBinding { buffer: &self.buffer, offset: self.offset + offset, size: BufferSize::new(size) }
    }
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
        let mut steps: Vec<Step> = Vec::new();
        let (mut offset, mut scratch) = (0, 0);
        for (number, launch) in launches.iter().enumerate().filter(|(_, l)| !is_empty(l)) {
            let made = kernels(launch, &buffers, &context.caps)
                .map_err(|e| Error::new("plan", ErrorKind::Invalid(format!("{}: {e}", launch.label))))?;
            let copies = copy(launch, &buffers);
            made.iter().try_for_each(|kernel| check_bindings(kernel, &buffers, inner, &launch.label))?;
            for (kernel, copy) in made.into_iter().zip(std::iter::once(copies).chain(std::iter::repeat_with(|| None))) {
                scratch = scratch.max(kernel.scratch_len * 4);
                let checks = launch.checks().iter().map(|check| (context.number_of(check), check.clone())).collect();
                let size = (kernel.words.len() * 4).next_multiple_of(16);
                let label = launch.label.clone();
                steps.push(Step {
                    kernel,
                    launch: number,
                    copy,
                    label,
                    checks,
                    offset,
                    variants: Vec::new(),
                    clock: 0,
                });
                offset += size.next_multiple_of(WORDS_ALIGN);
            }
        }
        let listed: Vec<(&Kernel, &str)> =
            steps.iter().filter(|s| s.copy.is_none()).map(|s| (&s.kernel, s.label.as_str())).collect();
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
            described: launches.iter().map(|launch| Described::new(launch, &buffers)).collect(),
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
        trace: &Trace,
        spans: Option<&mut Vec<Span>>,
    ) -> Result<(Vec<Region>, Option<wgpu::SubmissionIndex>)> {
        let made = self.bind(inner, shared, trace)?;
        self.name_checks(inner, trace);
        self.fill_words(inner, trace);
        let submission = match spans {
            Some(spans) => self.record_timed(inner, trace, spans)?,
            None => self.record(inner)?,
        };
        if let Some(ahead) = self.ahead.take() {
            inner.context.wait("run", submission.clone())?;
            drop(ahead);
        }
        let context = &inner.context;
        add(&context.counters.runs, 1);
        add(&context.counters.launches, self.launches.len() as u64);
        let outputs = self.outputs.iter().map(|buf| self.region(*buf, trace, &made)).collect::<Result<Vec<_>>>()?;
        Ok((outputs, submission))
    }

    /// Finds every buffer of this run; makes outputs that were not given.
    fn bind(&mut self, inner: &Inner, shared: &mut Shared, trace: &Trace) -> Result<Vec<Option<Storage>>> {
        let context = &inner.context;
        for (i, size) in self.slot_bytes.iter().enumerate() {
            if shared.slots.get(i).is_some_and(|slot| slot.capacity() >= *size as u64) {
                continue;
            }
            // The old one goes back first, so that the pool may give it to something else.
            let slot = Arc::new(inner.pool.take(context, *size, &"activations")?);
            if i < shared.slots.len() { shared.slots[i] = slot } else { shared.slots.push(slot) }
        }
        let mut made: Vec<Option<Storage>> = vec![None; trace.outputs.len()];
        for (spec, cleared) in self.buffers.iter().zip(&self.cleared) {
            if let Place::Output(i) = spec.place
                && trace.outputs[i].target.is_none()
                && made[i].is_none()
            {
                let size = spec.len * spec.dtype.size_bytes();
                let label = trace.nodes[trace.outputs[i].node].label.to_string();
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
                _ => (i, 0),
            };
            let each = spec.dtype.size_bytes();
            let (buffer, offset) = match self.buffers[holder].place {
                Place::Leaf(i) => (gpu(&trace.leaves[i].1.storage)?, trace.leaves[i].1.offset),
                Place::Output(i) => match (&trace.outputs[i].target, &made[i]) {
                    (Some(region), _) => (gpu(&region.storage)?, region.offset),
                    (None, Some(storage)) => (gpu(storage)?, 0),
                    (None, None) => return Err(broken("an output has no memory")),
                },
                Place::Slot(i) => (&*shared.slots[self.slot_order[i]], 0),
                Place::Zeroed => match &self.zeroed[holder] {
                    Some(buffer) => (&**buffer, 0),
                    None => return Err(broken("a zeroed buffer has no memory")),
                },
                Place::Window { .. } => return Err(broken("a window lies in a window")),
            };
            let start = ((offset + start_in_holder) * each) as u64;
            let down = start / context.alignment * context.alignment;
            let end = start + (spec.len * each) as u64;
            let capacity = buffer.capacity();
            if !(offset + start_in_holder).is_multiple_of(4) {
                return Err(broken("a region does not start at a multiple of four elements"));
            }
            if end > capacity {
                return Err(broken("a region is longer than its buffer"));
            }
            // Kernels that take four elements at once read up to the end of their vector.
            let size = (end.next_multiple_of(16).max(down + 16)).min(capacity) - down;
            let remainder = ((start - down) as usize / each) as u32;
            let (id, buffer) = (buffer.id, buffer.buffer.clone());
            self.bound.push(Bound { buffer, id, offset: down, size, remainder, start });
        }
        // Behind the buffers: scratch, if any kernel has some.
        if let Some(scratch) = self.scratch {
            let slot = &shared.slots[scratch];
            let (buffer, size) = (slot.buffer.clone(), slot.capacity());
            self.bound.push(Bound { buffer, id: slot.id, offset: 0, size, remainder: 0, start: 0 });
        }
        Ok(made)
    }

    /// Has positions outside reported at the places in the caller's code that this trace comes from.
    fn name_checks(&mut self, inner: &Inner, trace: &Trace) {
        for (number, check) in self.launches.iter_mut().flat_map(|step| &mut step.checks) {
            let here = check.of(trace);
            if here != *check {
                *check = here.clone();
                inner.context.rename(*number, here);
            }
        }
    }

    /// Computes the words, if a scalar or an address has changed, and queues their upload.
    fn fill_words(&mut self, inner: &Inner, trace: &Trace) {
        let Some(words) = &self.words else { return };
        let scalars_same = self.scalars.iter().copied().eq(trace.scalars.iter().map(|s| s.1));
        let places_same =
            self.remainders.iter().copied().eq(self.bound[..self.buffers.len()].iter().map(|b| b.remainder));
        if self.filled && scalars_same && places_same {
            return;
        }
        self.filled = true;
        self.scalars.clear();
        self.scalars.extend(trace.scalars.iter().map(|s| s.1));
        for (to, bound) in self.remainders.iter_mut().zip(&self.bound) {
            *to = bound.remainder;
        }
        for step in &self.launches {
            for (i, word) in step.kernel.words.iter().enumerate() {
                let value = match word {
                    Word::Fixed(value) => *value,
                    Word::Scalar(i) => self.scalars.get(*i).copied().unwrap_or(0),
                    Word::Offset { elements, binding } => match step.kernel.bindings[*binding].source {
                        Source::Buffer(buf) => elements.wrapping_add(self.remainders[buf]),
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
        trace: &Trace,
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
            spans.push(self.described[step.launch].span(trace, entry, first.start, end.duration_since(first.start)));
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
        let mut open = None;
        for (i, step) in self.launches[steps].iter_mut().enumerate() {
            let begin = |encoder: &mut CommandEncoder, timestamp_writes| {
                let descriptor = ComputePassDescriptor { label: None, timestamp_writes };
                encoder.begin_compute_pass(&descriptor).forget_lifetime()
            };
            if let Some(copy) = &step.copy
                && let (from, to) = (&self.bound[copy.from.0], &self.bound[copy.to.0])
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
            let variant = step.variant(inner, &self.bound, self.words.as_ref())?;
            pass.set_pipeline(&variant.pipeline.pipeline);
            pass.set_bind_group(0, &variant.group, &[]);
            pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
        }
        Ok(())
    }

    /// The region of an output.
    fn region(&self, buf: BufId, trace: &Trace, made: &[Option<Storage>]) -> Result<Region> {
        let spec = &self.buffers[buf];
        let (holder, start) = match spec.place {
            Place::Window { of, offset } => (of, offset),
            _ => (buf, 0),
        };
        let (storage, offset) = match self.buffers[holder].place {
            Place::Leaf(i) => (trace.leaves[i].1.storage.clone(), trace.leaves[i].1.offset),
            Place::Output(i) => match (&trace.outputs[i].target, &made[i]) {
                (Some(region), _) => (region.storage.clone(), region.offset),
                (None, Some(storage)) => (storage.clone(), 0),
                (None, None) => return Err(broken("an output has no memory")),
            },
            _ => return Err(broken("an output lies in the plan's own memory")),
        };
        Ok(Region { storage, offset: offset + start, len: spec.len, dtype: spec.dtype })
    }
}

impl Step {
    /// The bind group for where the buffers are now.
    fn variant(&mut self, inner: &Inner, bound: &[Bound], words: Option<&wgpu::Buffer>) -> Result<&Variant> {
        self.clock += 1;
        let place = |source: Source| match source {
            Source::Buffer(buf) => Some(&bound[buf]),
            Source::Scratch | Source::Words => bound.last(),
            Source::Flags => None,
        };
        let bindings = &self.kernel.bindings;
        let identity = |i: usize| place(bindings[i].source).map_or((0, 0), |b| (b.id, b.offset));
        let found = self.variants.iter().position(|v| (0..bindings.len()).all(|i| v.key[i] == identity(i)));
        let found = match found {
            Some(found) => found,
            None => {
                let key: Vec<(u64, u64)> = (0..bindings.len()).map(identity).collect();
                // A buffer that one binding writes may not be read-only in another.
                let written = |id: u64| (0..bindings.len()).any(|i| key[i].0 == id && self.kernel.is_written(i, 0));
                let shared = (0..bindings.len())
                    .filter(|i| !self.kernel.is_written(*i, 0) && written(key[*i].0))
                    .fold(0, |bits, i| bits | 1 << i);
                let pipeline = inner.pipelines.get(&inner.context, &self.kernel, shared, &self.label)?;
                let mut entries = Vec::with_capacity(bindings.len() + 1);
                if let Some(words) = words
                    && let Some(size) = BufferSize::new((self.kernel.words.len() * 4).next_multiple_of(16) as u64)
                {
                    let resource = BufferBinding { buffer: words, offset: self.offset as u64, size: Some(size) };
                    entries.push(BindGroupEntry { binding: 0, resource: BindingResource::Buffer(resource) });
                }
                let pieces = bindings.iter().flat_map(|binding| {
                    let place = place(binding.source);
                    (0..binding.windows.count).map(move |w| match place {
                        Some(b) => b.window(w, binding.windows),
                        None => BufferBinding { buffer: &inner.context.flags, offset: 0, size: None },
                    })
                });
                for (i, piece) in pieces.enumerate() {
                    entries.push(BindGroupEntry { binding: i as u32 + 1, resource: BindingResource::Buffer(piece) });
                }
                let group = inner.context.device.create_bind_group(&BindGroupDescriptor {
                    label: Some(&self.label),
                    layout: &pipeline.layout,
                    entries: &entries,
                });
                if self.variants.len() >= VARIANTS {
                    let oldest = (0..self.variants.len()).min_by_key(|i| self.variants[*i].used).unwrap_or(0);
                    self.variants.swap_remove(oldest);
                }
                self.variants.push(Variant { key, group, pipeline, used: 0 });
                self.variants.len() - 1
            }
        };
        self.variants[found].used = self.clock;
        Ok(&self.variants[found])
    }
}

/// An error if a kernel binds more pieces of buffers than the device can, or counts elements beyond 32 bits.
fn check_bindings(kernel: &Kernel, buffers: &[BufferSpec], inner: &Inner, label: &str) -> Result<()> {
    let (most, each) = (inner.context.caps.max_bindings as usize, inner.context.caps.max_binding);
    let count: usize =
        kernel.bindings.iter().map(|b| b.windows.count).sum::<usize>() + usize::from(inner.context.caps.software);
    let lens = kernel
        .bindings
        .iter()
        .filter_map(|b| if let Source::Buffer(buf) = b.source { Some(&buffers[buf]) } else { None });
    let largest = lens.max_by_key(|spec| spec.len * spec.dtype.size_bytes());
    let Some(largest) = largest.filter(|l| count > most || l.len > u32::MAX as usize - 256) else { return Ok(()) };
    let problem = format!(
        "{label} needs {count} bindings of at most {each} bytes, of which this device has {most}; its largest tensor has {} \
         elements ({})",
        largest.len, largest.dtype
    );
    Err(Error::new("plan", ErrorKind::Memory(problem)))
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

/// The copy that a launch is, if it is one: each element of a dense run goes to the same place of another, unchanged.
fn copy(launch: &Launch, buffers: &[BufferSpec]) -> Option<Copy> {
    let LaunchKind::Loop(l) = &launch.kind else { return None };
    let l = normalise(l);
    let ([Inst::Load { buf, at }], [store]) = (&l.body.insts[..], &l.body.stores[..]) else { return None };
    let dense = |at: &Linear| at.coef.iter().all(|c| *c == 1);
    let dtype = buffers[*buf].dtype;
    let (bytes, from, to) = (l.rows() * dtype.size_bytes(), at.base.offset as usize, store.at.offset as usize);
    let (from, to) = (from * dtype.size_bytes(), to * dtype.size_bytes());
    let same = l.inner.is_empty()
        && l.outer.len() <= 1
        && dense(&at.base)
        && at.terms.is_empty()
        && dense(&store.at)
        && dtype == buffers[store.buf].dtype
        && [bytes, from, to].iter().all(|b| b.is_multiple_of(4));
    same.then_some(Copy { from: (*buf, from as u64), to: (store.buf, to as u64), bytes: bytes as u64 })
}

/// Whether a launch has no point to compute.
fn is_empty(launch: &Launch) -> bool {
    match &launch.kind {
        LaunchKind::Loop(l) => l.outer.contains(&0),
        LaunchKind::Whole(w) => w.outputs.iter().flatten().all(|array| array.shape.contains(&0)),
        LaunchKind::Contract(c) => [&c.batch, &c.m, &c.n].into_iter().any(|extents| extents.contains(&0)),
    }
}

fn gpu(storage: &Storage) -> Result<&GpuBuffer> {
    storage.downcast::<GpuBuffer>().ok_or_else(foreign)
}

/// A schedule that breaks its contract: a bug of ours, but no reason to panic in a user's training run.
fn broken(problem: &str) -> Error {
    Error::new("run", ErrorKind::Device(format!("internal: {problem}")))
}
