//! Buffers, and the pool that they go back to.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{Error, ErrorKind, Result, storage::StorageObject};
use wgpu::{Buffer, BufferUsages};

use super::context::{Context, add, lock};

/// A buffer of the device. With the last handle it goes back to the pool: there is one queue, so whatever is queued on it
/// runs before whatever its next owner queues.
pub struct GpuBuffer {
    pub(crate) buffer: Buffer,
    /// The number of this piece of memory: bind groups are cached by it.
    pub(crate) id: u64,
    size: usize,
    class: u64,
    fresh: bool,
    pool: Arc<Pool>,
}

impl GpuBuffer {
    /// Bytes of the wgpu buffer, at least the bytes asked for.
    pub(crate) fn capacity(&self) -> u64 {
        self.class
    }

    /// Whether nothing was ever written, so that it is zeros.
    pub(crate) fn fresh(&self) -> bool {
        self.fresh
    }
}

impl StorageObject for GpuBuffer {
    fn size_bytes(&self) -> usize {
        self.size
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        lock(&self.pool.free).entry(self.class).or_default().push((self.id, self.buffer.clone()));
    }
}

/// Unused buffers by size.
#[derive(Default)]
pub(crate) struct Pool {
    free: Mutex<HashMap<u64, Vec<(u64, Buffer)>>>,
    ids: AtomicU64,
}

const USAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

impl Pool {
    /// A buffer of at least `size` bytes with any content. `what` is for the error.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] with bytes and what they were for.
    pub fn take(self: &Arc<Pool>, context: &Context, size: usize, what: &dyn std::fmt::Display) -> Result<GpuBuffer> {
        let class = size_class(size as u64);
        let wrap = |id, buffer, fresh| GpuBuffer { buffer, id, size, class, fresh, pool: self.clone() };
        let pooled = lock(&self.free).get_mut(&class).and_then(Vec::pop);
        if let Some((id, buffer)) = pooled {
            return Ok(wrap(id, buffer, false));
        }
        let fits = || {
            let held = context.counters.bytes.load(Ordering::Relaxed);
            context.properties.memory_bytes.is_none_or(|capacity| held.saturating_add(class) <= capacity)
        };
        if !fits() && (self.clear(context) == 0 || !fits()) {
            let held = context.counters.bytes.load(Ordering::Relaxed);
            let text = format!("{size} bytes for {what} do not fit beside {held} bytes in use");
            return Err(Error::new("allocate", ErrorKind::Memory(text)));
        }
        let made = match create(context, class) {
            // What the pool holds in other sizes may make room.
            Err(_) if self.clear(context) > 0 => create(context, class),
            made => made,
        };
        let buffer = made.map_err(|problem| {
            let held = context.counters.bytes.load(Ordering::Relaxed);
            let text = format!("{size} bytes for {what} do not fit beside {held} bytes in use: {problem}");
            Error::new("allocate", ErrorKind::Memory(text))
        })?;
        add(&context.counters.bytes, class);
        Ok(wrap(self.ids.fetch_add(1, Ordering::Relaxed) + 1, buffer, true))
    }

    /// Gives unused buffers back to the driver; says how many bytes.
    fn clear(&self, context: &Context) -> u64 {
        let freed: u64 = lock(&self.free).drain().map(|(class, list)| class * list.len() as u64).sum();
        context.counters.bytes.fetch_sub(freed, Ordering::Relaxed);
        // Memory is released when the device is next polled, after the work that used it.
        let _ = context.device.poll(wgpu::PollType::wait_indefinitely());
        freed
    }
}

fn create(context: &Context, size: u64) -> std::result::Result<Buffer, String> {
    if size > context.device.limits().max_buffer_size {
        return Err(format!("the device's largest buffer has {} bytes", context.device.limits().max_buffer_size));
    }
    let memory = context.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = context.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage: USAGE,
        mapped_at_creation: false,
    });
    match pollster::block_on(memory.pop()) {
        None => Ok(buffer),
        Some(error) => Err(error.to_string()),
    }
}

/// Sizes are rounded up to one of four steps between powers of two, so that buffers are used again and little is wasted.
fn size_class(size: u64) -> u64 {
    let size = size.max(256);
    let step = (size.next_power_of_two() / 8).max(64);
    size.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_waste_little_and_are_stable() {
        assert_eq!(size_class(1), 256);
        for size in [257, 1000, 4096, 4097, 100_000, 1 << 26] {
            let class = size_class(size);
            assert!(class >= size && class <= size + size / 4 + 64, "{size} became {class}");
            assert_eq!(size_class(class), class);
        }
    }
}
