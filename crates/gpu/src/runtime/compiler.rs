//! From WGSL to a pipeline.

use std::{collections::HashMap, sync::Mutex};

use thalweg_ir::{
    Error, ErrorKind, Result,
    settings::{Print, Settings},
};
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType, BufferSize,
    ComputePipeline, ComputePipelineDescriptor, PipelineCompilationOptions, PipelineLayoutDescriptor,
    ShaderModuleDescriptor, ShaderRuntimeChecks, ShaderSource, ShaderStages,
};

use super::context::lock;
use crate::templates::kernel::Kernel;

/// A pipeline and the layout of its one bind group.
pub(crate) struct Pipeline {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// What tells layouts apart: vectors of words, and which storage bindings are written.
type LayoutKey = (usize, Vec<bool>);

/// Compiles kernels, and keeps the layouts that they have in common.
#[derive(Default)]
pub(crate) struct Compiler {
    layouts: Mutex<HashMap<LayoutKey, (BindGroupLayout, wgpu::PipelineLayout)>>,
}

impl Compiler {
    /// Compiles the text of a kernel. `software` devices have its words in storage. For `shared` see [`Kernel::wgsl`].
    pub fn compile(
        &self,
        device: &wgpu::Device,
        software: bool,
        kernel: &Kernel,
        shared: u32,
        text: &str,
        label: &str,
    ) -> Result<Pipeline> {
        if Settings::get().prints(Print::Wgsl) {
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
