//! Compiled kernels, by text.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use thalweg_ir::{Error, ErrorKind, Result};
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType, BufferSize,
    ComputePipeline, ComputePipelineDescriptor, PipelineCompilationOptions, PipelineLayoutDescriptor,
    ShaderModuleDescriptor, ShaderRuntimeChecks, ShaderSource, ShaderStages,
};

use super::{
    ahead::{self, Ahead},
    context::{Context, add, lock},
};
use crate::templates::kernel::Kernel;

/// A pipeline and the layout of its one bind group.
pub(crate) struct Pipeline {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// What tells layouts apart: vectors of words, and which storage bindings are written.
type LayoutKey = (usize, Vec<bool>);

/// All pipelines of a device.
#[derive(Default)]
pub(crate) struct Pipelines {
    by_text: Mutex<HashMap<String, Arc<Pipeline>>>,
    layouts: Mutex<HashMap<LayoutKey, (BindGroupLayout, wgpu::PipelineLayout)>>,
}

impl Pipelines {
    /// The pipeline of a kernel. For `shared` see [`Kernel::wgsl`].
    ///
    /// # Errors
    /// What the shader compiler says, with the label.
    pub fn get(&self, context: &Context, kernel: &Kernel, shared: u32, label: &str) -> Result<Arc<Pipeline>> {
        let text = kernel.wgsl(shared);
        if let Some(pipeline) = lock(&self.by_text).get(&text) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(&context.device, context.caps.software, kernel, shared, &text, label)?);
        add(&context.counters.kernels, 1);
        lock(&self.by_text).insert(text, pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles what a plan will need. Drivers of hardware compile here, and several at once; software Vulkan does it at
    /// the first dispatch, so there a thread begins with the last of them: it is to be held until the plan is queued.
    pub fn prepare(&self, context: &Context, kernels: &[(&Kernel, &str)]) -> Result<Option<Ahead>> {
        let mut texts = std::collections::HashSet::new();
        let known = lock(&self.by_text);
        let new: Vec<&(&Kernel, &str)> = kernels
            .iter()
            .filter(|(k, _)| {
                let text = k.wgsl(0);
                !known.contains_key(&text) && texts.insert(text)
            })
            .collect();
        drop(known);
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(new.len());
        if context.caps.software || threads < 2 {
            let ahead = (threads > 1 && new.len() >= ahead::WORTH_WHILE).then(|| {
                let kernels = new.iter().map(|(kernel, _)| (*kernel).clone()).collect();
                Ahead::start(context.adapter.clone(), &context.device, kernels)
            });
            new.iter().try_for_each(|(kernel, label)| self.get(context, kernel, 0, label).map(drop))?;
            return Ok(ahead);
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || -> Result<()> {
                while let Some((kernel, label)) = new.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    self.get(context, kernel, 0, label)?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|w| match w.join() {
                Ok(result) => result,
                Err(_) => Err(Error::new("compile", ErrorKind::Device("a shader compiler thread panicked".into()))),
            })
        })?;
        Ok(None)
    }

    /// Compiles a kernel that is not kept. `software` devices have its words in storage.
    pub fn compile(
        &self,
        device: &wgpu::Device,
        software: bool,
        kernel: &Kernel,
        shared: u32,
        text: &str,
        label: &str,
    ) -> Result<Pipeline> {
        if std::env::var("THALWEG_DEBUG").is_ok_and(|v| v.split(',').any(|v| v == "wgsl")) {
            eprintln!("// {label}\n{text}");
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor = ShaderModuleDescriptor { label: Some(kernel.entry), source: ShaderSource::Wgsl(text.into()) };
        let module = if cfg!(debug_assertions) || !kernel.trusted {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the text is made by our templates, whose loops end and whose indices are guarded or clamped; the
            // drivers' robust buffer access stays on. Debug builds run the same text with checks.
            #[expect(unsafe_code, reason = "checks cost up to a third of a kernel's time")]
            unsafe {
                device.create_shader_module_trusted(descriptor, ShaderRuntimeChecks::unchecked())
            }
        };
        let (layout, pipeline_layout) = self.layout(device, software, kernel, shared);
        let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: PipelineCompilationOptions {
                constants: &[],
                // Templates write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        match pollster::block_on(scope.pop()) {
            None => Ok(Pipeline { pipeline, layout }),
            Some(error) => {
                let problem = format!("kernel '{}' of {label} does not compile: {error}", kernel.entry);
                Err(Error::new("compile", ErrorKind::Device(problem)))
            }
        }
    }

    fn layout(
        &self,
        device: &wgpu::Device,
        software: bool,
        kernel: &Kernel,
        shared: u32,
    ) -> (BindGroupLayout, wgpu::PipelineLayout) {
        let windows = |i: usize| std::iter::repeat_n(kernel.is_written(i, shared), kernel.bindings[i].windows.count);
        let written: Vec<bool> = (0..kernel.bindings.len()).flat_map(windows).collect();
        let vectors = kernel.words.len().div_ceil(4);
        let mut layouts = lock(&self.layouts);
        let made = layouts.entry((vectors, written.clone())).or_insert_with(|| {
            let entry = |binding, ty, min_binding_size| BindGroupLayoutEntry {
                binding,
                visibility: ShaderStages::COMPUTE,
                ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
                count: None,
            };
            let words = match software {
                true => BufferBindingType::Storage { read_only: true },
                false => BufferBindingType::Uniform,
            };
            let words = BufferSize::new(16 * vectors as u64).map(|size| entry(0, words, Some(size)));
            let storage = written
                .iter()
                .enumerate()
                .map(|(i, w)| entry(i as u32 + 1, BufferBindingType::Storage { read_only: !w }, BufferSize::new(16)));
            let entries: Vec<BindGroupLayoutEntry> = words.into_iter().chain(storage).collect();
            let layout = device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            (layout, pipeline_layout)
        });
        made.clone()
    }
}
