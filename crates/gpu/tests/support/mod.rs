//! Runs one kernel on software Vulkan: upload, dispatch, read back.

#![allow(dead_code, unsafe_code, missing_docs, reason = "each test binary uses its own part of this")]

use wgpu::util::DeviceExt;

/// A device of its own for each test binary.
pub struct Bare {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

impl Bare {
    pub fn open() -> Bare {
        let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
        desc.backends = wgpu::Backends::PRIMARY;
        desc.flags = wgpu::InstanceFlags::empty();
        let instance = wgpu::Instance::new(desc);
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        let wanted = std::env::var("THALWEG_DEVICE").unwrap_or_default();
        adapters.retain(|a| wanted.is_empty() || wanted == "gpu" || a.get_info().name.contains(&wanted));
        adapters.sort_by_key(|a| a.get_info().device_type == wgpu::DeviceType::Cpu);
        let adapter = adapters.into_iter().next().expect("a Vulkan driver: install mesa-vulkan-drivers");
        let wanted = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: wanted & adapter.features(),
            required_limits: adapter.limits(),
            ..Default::default()
        }))
        .expect("a device");
        Bare { device, queue }
    }

    pub fn pipeline(&self, wgsl: &str) -> wgpu::ComputePipeline {
        let guard = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let source = wgpu::ShaderSource::Wgsl(wgsl.into());
        let desc = wgpu::ShaderModuleDescriptor { label: None, source };
        // SAFETY: the tests compare every result with plain loops; an access out of bounds would be a failure there, and
        // the device keeps robust buffer access on.
        let module = unsafe { self.device.create_shader_module_trusted(desc, wgpu::ShaderRuntimeChecks::unchecked()) };
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            cache: None,
        });
        if let Some(error) = pollster::block_on(guard.pop()) {
            let numbered: String = wgsl.lines().enumerate().map(|(i, l)| format!("{:4} {l}\n", i + 1)).collect();
            panic!("{error}\n{numbered}");
        }
        pipeline
    }

    pub fn buffer(&self, bytes: &[u8]) -> wgpu::Buffer {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(4).max(16), 0);
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &padded,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        })
    }

    pub fn uniform(&self, words: &[u32]) -> wgpu::Buffer {
        let mut words = words.to_vec();
        words.resize(words.len().next_multiple_of(4).max(4), 0);
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(&words),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
        })
    }

    /// Binds `buffers` at 0, 1, 2 … .
    pub fn bind(&self, pipeline: &wgpu::ComputePipeline, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry { binding: i as u32, resource: b.as_entire_binding() })
            .collect();
        let layout = pipeline.get_bind_group_layout(0);
        self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries })
    }

    /// Runs each (pipeline, bindings, grid) in one pass and waits.
    pub fn run(&self, launches: &[(&wgpu::ComputePipeline, &wgpu::BindGroup, [u32; 3])]) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for (pipeline, group, grid) in launches {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, *group, &[]);
                pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
            }
        }
        self.queue.submit([encoder.finish()]);
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    }

    pub fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, None);
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        staging.get_mapped_range(..).expect("mapped").to_vec()
    }
}
