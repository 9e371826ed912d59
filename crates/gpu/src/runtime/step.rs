//! A dispatch of a plan, and where the buffers are that it binds.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use thalweg_ir::{
    Result,
    schedule::ir::{BufId, BufferSpec, Check},
};
use wgpu::{BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferSize};

use super::{compiler::Pipeline, inner::Inner};
use crate::templates::{
    kernel::{Kernel, Source},
    window::Windows,
};

/// Bind groups kept for each dispatch: inputs and results go round in a few buffers.
const VARIANTS: usize = 6;

/// A dispatch of a plan.
pub(super) struct Step {
    pub kernel: Arc<Kernel>,
    /// Which of the plan's launches it is a part of.
    pub launch: usize,
    /// Of a step of a [`Repeat`]: where the buffers are that walk.
    pub walking: Arc<Walking>,
    /// Set where the launch does nothing but copy: bytes are moved without a kernel, unless they stay in their buffer.
    pub copy: Option<Copy>,
    pub label: String,
    /// The body's checks, and the number of each on this device.
    pub checks: Vec<(u32, Check)>,
    /// Where its words are.
    pub offset: usize,
    pub variants: Vec<Variant>,
    pub clock: u64,
}

/// Of buffers that walk: the one that each is in, and at which element, at one step.
pub(super) type Walking = HashMap<BufId, (BufId, usize)>;

/// A dense run of elements that goes from one buffer to another.
#[derive(Clone)]
pub(super) struct Copy {
    pub from: (BufId, u64),
    pub to: (BufId, u64),
    pub bytes: u64,
}

/// A bind group, and the buffers it was made for.
pub(super) struct Variant {
    pub key: Vec<(u64, u64)>,
    pub group: BindGroup,
    pub pipeline: Arc<Pipeline>,
    pub used: u64,
}

/// A piece of a buffer.
#[derive(Clone)]
pub(super) struct Bound {
    pub buffer: wgpu::Buffer,
    pub id: u64,
    /// Aligned as the device wants it.
    pub offset: u64,
    pub size: u64,
    /// Elements by which the piece starts behind `offset`.
    pub remainder: u32,
    /// Bytes from the buffer's start to the piece.
    pub start: u64,
    /// Bytes of the buffer.
    pub capacity: u64,
}

impl Bound {
    /// Elements of `spec` from byte `start` of a buffer on.
    pub fn of(buffer: &wgpu::Buffer, id: u64, start: u64, spec: &BufferSpec, capacity: u64, alignment: u64) -> Bound {
        let each = spec.dtype.size_bytes() as u64;
        let (down, end) = (start / alignment * alignment, start + spec.len as u64 * each);
        // Kernels that take four elements at once read up to the end of their vector.
        let size = (end.next_multiple_of(16).max(down + 16)).min(capacity) - down;
        let remainder = ((start - down) / each) as u32;
        Bound { buffer: buffer.clone(), id, offset: down, size, remainder, start, capacity }
    }

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

/// Where the buffers are in a run.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// Each buffer, then the kernels' own memory if there is any.
    pub bound: &'a [Bound],
    pub buffers: &'a [BufferSpec],
    pub alignment: u64,
}

impl<'a> Places<'a> {
    /// A buffer, which may be one that walks.
    fn at(&self, walking: &Walking, buf: BufId) -> Cow<'a, Bound> {
        let Some((of, element)) = walking.get(&buf) else { return Cow::Borrowed(&self.bound[buf]) };
        let (within, spec) = (&self.bound[*of], &self.buffers[buf]);
        let start = within.start + (element * spec.dtype.size_bytes()) as u64;
        Cow::Owned(Bound::of(&within.buffer, within.id, start, spec, within.capacity, self.alignment))
    }
}

impl Step {
    /// Where one of its buffers is.
    pub fn bound<'a>(&self, places: Places<'a>, buf: BufId) -> Cow<'a, Bound> {
        places.at(&self.walking, buf)
    }

    /// The bind group for where the buffers are now.
    pub fn variant(&mut self, inner: &Inner, places: Places<'_>, words: Option<&wgpu::Buffer>) -> Result<&Variant> {
        self.clock += 1;
        let (kernel, walking) = (self.kernel.clone(), self.walking.clone());
        let place = |source: Source| match source {
            Source::Buffer(buf) => Some(places.at(&walking, buf)),
            Source::Scratch | Source::Words => places.bound.last().map(Cow::Borrowed),
            Source::Flags => None,
        };
        let bindings = &kernel.bindings;
        let placed: Vec<Option<Cow<'_, Bound>>> = bindings.iter().map(|binding| place(binding.source)).collect();
        let identity = |i: usize| placed[i].as_ref().map_or((0, 0), |b| (b.id, b.offset));
        let found = self.variants.iter().position(|v| (0..bindings.len()).all(|i| v.key[i] == identity(i)));
        let found = match found {
            Some(found) => found,
            None => {
                let key: Vec<(u64, u64)> = (0..bindings.len()).map(identity).collect();
                // A buffer that one binding writes may not be read-only in another.
                let written = |id: u64| (0..bindings.len()).any(|i| key[i].0 == id && kernel.is_written(i, 0));
                let shared = (0..bindings.len())
                    .filter(|i| !kernel.is_written(*i, 0) && written(key[*i].0))
                    .fold(0, |bits, i| bits | 1 << i);
                let pipeline = inner.pipelines.get(&inner.context, &kernel, shared, &self.label)?;
                let mut entries = Vec::with_capacity(bindings.len() + 1);
                if let Some(words) = words
                    && let Some(size) = BufferSize::new((kernel.words.len() * 4).next_multiple_of(16) as u64)
                {
                    let resource = BufferBinding { buffer: words, offset: self.offset as u64, size: Some(size) };
                    entries.push(BindGroupEntry { binding: 0, resource: BindingResource::Buffer(resource) });
                }
                let pieces = bindings.iter().zip(&placed).flat_map(|(binding, place)| {
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
