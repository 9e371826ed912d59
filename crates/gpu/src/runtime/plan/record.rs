//! The words and commands of a run.

use std::{ops::Range, time::Instant};

use thalweg_ir::{
    Result,
    program::{Bindings, Program},
    span::Span,
};
use wgpu::{CommandEncoder, CommandEncoderDescriptor, ComputePassDescriptor};

use super::{
    super::{inner::Inner, step::Places, timestamps::Timestamps},
    Plan,
};
use crate::templates::{kernel::Source, params::Word};

/// Launches after which the first submission is worth while.
const FIRST_SUBMIT: usize = 24;

impl Plan {
    /// Computes the words, if a scalar or an address has changed, and queues their upload.
    pub(super) fn fill_words(&mut self, inner: &Inner, program: &Program, bindings: &Bindings) {
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
    pub(super) fn record(&mut self, inner: &Inner) -> Result<Option<wgpu::SubmissionIndex>> {
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
    pub(super) fn record_timed(
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
}
