//! Bytes to the device and back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    storage::{Region, Storage},
};
use wgpu::{Buffer, BufferUsages, CommandEncoderDescriptor, MapMode};

use super::{
    context::{Context, FLAG_BYTES, add, lock},
    pool::{GpuBuffer, Pool},
};

/// Bytes of writes after which they are submitted: writes that wait for a submission pile up in host memory.
const SUBMIT_AT: u64 = 64 << 20;

/// Mapped buffers for reading, used again, and the bytes of writes that no submission has taken yet.
#[derive(Default)]
pub(crate) struct Transfers {
    staging: Mutex<HashMap<u64, Vec<Buffer>>>,
    pending: AtomicU64,
}

/// A copy on its way into a mapped buffer.
pub(crate) struct Copy {
    buffer: Buffer,
    class: u64,
    /// Where in the buffer the wanted bytes start, and how many they are.
    skip: usize,
    size: usize,
    pub submission: wgpu::SubmissionIndex,
}

impl Transfers {
    /// A buffer with these bytes.
    pub fn upload(&self, context: &Context, pool: &Arc<Pool>, bytes: &[u8]) -> Result<Storage> {
        let buffer = pool.take(context, bytes.len(), &"an upload")?;
        let whole = bytes.len() / 4 * 4;
        context.queue.write_buffer(&buffer.buffer, 0, &bytes[..whole]);
        if whole < bytes.len() {
            let mut last = [0; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            context.queue.write_buffer(&buffer.buffer, whole as u64, &last);
        }
        if self.pending.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64 > SUBMIT_AT {
            self.submitted();
            context.queue.submit([]);
            add(&context.counters.submits, 1);
        }
        Ok(Storage::new(buffer))
    }

    /// Told after every submission.
    pub fn submitted(&self) {
        self.pending.store(0, Ordering::Relaxed);
    }

    /// A buffer of zeros.
    pub fn zeros(
        &self,
        context: &Context,
        pool: &Arc<Pool>,
        size: usize,
        what: &dyn std::fmt::Display,
    ) -> Result<GpuBuffer> {
        let buffer = pool.take(context, size, what)?;
        if !buffer.fresh() {
            let mut encoder = context.device.create_command_encoder(&CommandEncoderDescriptor::default());
            encoder.clear_buffer(&buffer.buffer, 0, None);
            context.queue.submit([encoder.finish()]);
            self.submitted();
            add(&context.counters.submits, 1);
        }
        Ok(buffer)
    }

    /// Queues a copy of a region and of the flag words into a mapped buffer.
    pub fn copy(&self, context: &Context, region: &Region) -> Result<Copy> {
        let source = region.storage.downcast::<GpuBuffer>().ok_or_else(foreign)?;
        let each = region.dtype.size_bytes();
        let (start, size) = (region.offset * each, region.len * each);
        if start + size > source.capacity() as usize {
            let problem = format!(
                "elements {} to {} are not in a buffer of {} bytes",
                region.offset,
                region.offset + region.len,
                source.capacity()
            );
            return Err(Error::new("read", ErrorKind::Invalid(problem)));
        }
        // Copies are of whole words.
        let first = start / 4 * 4;
        let length = ((start + size).next_multiple_of(4) - first) as u64;
        let class = (length + FLAG_BYTES).next_power_of_two().max(256);
        let pooled = lock(&self.staging).get_mut(&class).and_then(Vec::pop);
        let buffer = match pooled {
            Some(buffer) => buffer,
            None => {
                add(&context.counters.bytes, class);
                context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("read"),
                    size: class,
                    usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            }
        };
        let mut encoder = context.device.create_command_encoder(&CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&context.flags, 0, &buffer, 0, FLAG_BYTES);
        if length > 0 {
            encoder.copy_buffer_to_buffer(&source.buffer, first as u64, &buffer, FLAG_BYTES, length);
        }
        let submission = context.queue.submit([encoder.finish()]);
        self.submitted();
        add(&context.counters.submits, 1);
        add(&context.counters.maps, 1);
        Ok(Copy { buffer, class, skip: FLAG_BYTES as usize + start - first, size, submission })
    }

    /// The bytes of a copy that has arrived and is mapped.
    pub fn take(&self, context: &Context, copy: Copy) -> Result<Vec<u8>> {
        let failed = |e: String| Error::new("read", ErrorKind::Device(format!("mapping failed: {e}")));
        let view = copy.buffer.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
        let flag = [0, 4, 8, 12].map(|i| u32::from_le_bytes([view[i], view[i + 1], view[i + 2], view[i + 3]]));
        let bytes = view[copy.skip..copy.skip + copy.size].to_vec();
        drop(view);
        copy.buffer.unmap();
        lock(&self.staging).entry(copy.class).or_default().push(copy.buffer);
        context.flag_error(flag)?;
        Ok(bytes)
    }
}

impl Copy {
    /// Asks for the map; `done` is called from a poll.
    pub fn map(&self, done: impl FnOnce(std::result::Result<(), wgpu::BufferAsyncError>) + Send + 'static) {
        self.buffer.map_async(MapMode::Read, .., done);
    }
}

/// The error of a storage that another backend made.
pub(crate) fn foreign() -> Error {
    Error::new("run", ErrorKind::Invalid("a buffer of another device was given".into()))
}
