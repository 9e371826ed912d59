//! A schedule lowered to launches, and its replay.
//!
//! Replay looks buffers up, compares their identities with those that bind groups were made for, and records one pass. It
//! makes bind groups only for buffers that it has not seen in that launch, and writes words only when they change.

mod memory;
mod record;

use std::sync::Arc;

use thalweg_ir::{
    Result,
    backend::PlanReport,
    program::{Bindings, Program},
    schedule::ir::{BufId, BufferSpec, Schedule},
    span::{Described, Span},
    storage::Region,
};
use wgpu::BufferUsages;

use super::{
    ahead::Ahead,
    context::add,
    inner::Inner,
    lower::{Lowered, lower},
    pool::GpuBuffer,
    shared::Shared,
    step::{Bound, Step},
};
use crate::templates::kernel::Kernel;

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
        let zeroed = shared.zeroed(inner, &buffers)?;
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
}
