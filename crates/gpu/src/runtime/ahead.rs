//! Compiling on two threads where the driver compiles at the first dispatch.
//!
//! Software Vulkan turns a kernel into machine code when it is first dispatched, on the thread of its queue: one after the
//! other, while other cores idle. What it made it keeps in its cache on disk, by content. So a second device on the same adapter
//! dispatches the kernels of a new plan on nothing, last ones first, while the first device works from the front; where they
//! meet, each finds in the cache what the other made. Without a cache on disk nothing is gained, and nothing waits for it
//! longer than for a kernel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use wgpu::{
    Adapter, BindGroupDescriptor, BindGroupEntry, BufferDescriptor, BufferUsages, CommandEncoderDescriptor,
    ComputePassDescriptor, Device, DeviceDescriptor, PollType, Queue,
};

use super::compiler::Compiler;
use crate::templates::kernel::Kernel;

/// Kernels from which a second device is worth opening.
pub(crate) const WORTH_WHILE: usize = 6;
/// Bytes of what stands for every buffer. Its words are zero, and kernels of no points touch nothing else.
const NOTHING: u64 = 16 << 10;

/// The thread that compiles ahead. Stopped and waited for when dropped: no driver may be compiling while the process ends.
pub(crate) struct Ahead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts on the last of these kernels.
    pub fn start(adapter: Adapter, like: &Device, kernels: Vec<Kernel>) -> Ahead {
        let stop = Arc::new(AtomicBool::new(false));
        let (features, limits, stopped) = (like.features(), like.limits(), stop.clone());
        let work = move || {
            let descriptor = DeviceDescriptor {
                label: Some("thalweg, ahead"),
                required_features: features,
                required_limits: limits,
                ..DeviceDescriptor::default()
            };
            // What fails here will show on the device that counts.
            let Ok((device, queue)) = pollster::block_on(adapter.request_device(&descriptor)) else { return };
            let compiler = Compiler::default();
            for kernel in kernels.iter().rev() {
                if stopped.load(Ordering::Relaxed) || dispatch_on_nothing(&device, &queue, &compiler, kernel).is_none()
                {
                    break;
                }
            }
        };
        Ahead { stop, thread: std::thread::Builder::new().name("thalweg-ahead".into()).spawn(work).ok() }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whether it came to an end or panicked, nothing depends on it.
            let _ = thread.join();
        }
    }
}

fn dispatch_on_nothing(device: &Device, queue: &Queue, compiler: &Compiler, kernel: &Kernel) -> Option<()> {
    let pipeline = compiler.compile(device, true, kernel, 0, &kernel.wgsl(0), "ahead").ok()?;
    let bindings =
        usize::from(!kernel.words.is_empty()) + kernel.bindings.iter().map(|b| b.windows.count).sum::<usize>();
    // One for each: a buffer that is written may not be read-only in another binding.
    let nothing = || {
        let usage = BufferUsages::STORAGE;
        device.create_buffer(&BufferDescriptor { label: None, size: NOTHING, usage, mapped_at_creation: false })
    };
    let buffers: Vec<wgpu::Buffer> = (0..bindings).map(|_| nothing()).collect();
    // Binding 0 is the words'.
    let first = u32::from(kernel.words.is_empty());
    let numbered = (first..).zip(&buffers);
    let entries: Vec<BindGroupEntry<'_>> =
        numbered.map(|(binding, buffer)| BindGroupEntry { binding, resource: buffer.as_entire_binding() }).collect();
    let descriptor = BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries };
    let group = device.create_bind_group(&descriptor);
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    let submission = queue.submit([encoder.finish()]);
    device.poll(PollType::Wait { submission_index: Some(submission), timeout: None }).ok().map(drop)
}
