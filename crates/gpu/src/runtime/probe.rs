//! What a device does, found out by small kernels rather than by what it says.

use thalweg_ir::{Error, ErrorKind, Result};
use wgpu::{BufferUsages, Device, Queue};

/// What a device was found to do.
pub(super) struct Found {
    /// Invocations of a subgroup, or 1 where there are no subgroup operations. What adapters report is a range, and on
    /// Metal a guess.
    pub subgroup_size: u32,
    /// Whether the driver's conversions between f32 and f16 are exact: to nearest even, subnormals kept, overflow to
    /// infinity.
    pub exact_f16: bool,
    /// Whether `0 x`, `x - x` and `(x + 1) - x` of infinities are not numbers, as they should be.
    pub honest: bool,
}

/// Numbers whose conversion to f16 is easily got wrong: ties, subnormals, the edge of overflow.
const TRICKY: [f32; 16] = [
    65504.0,
    65519.0,
    65520.0,
    -65520.0,
    1.000_488_3,
    1.000_488_4,
    1.001_464_8,
    5.96e-8,
    2.98e-8,
    2.980_233e-8,
    8.94e-8,
    6.1e-5,
    -3.05e-5,
    0.333_333_34,
    1e-10,
    -0.0,
];

/// Runs the kernel that finds it out.
///
/// # Errors
/// A device that does not run it.
pub(super) fn find(device: &Device, queue: &Queue, native_f16: bool, subgroups: bool) -> Result<Found> {
    let there = if native_f16 { "pack2x16float(vec2f(f32(f16(v)), 0.0))" } else { "want" };
    let enable = if native_f16 { "enable f16;\n" } else { "" };
    let (argument, size) = if subgroups { (", @builtin(subgroup_size) size: u32", "size") } else { ("", "1u") };
    // Quarters of y: f32 to f16 in the low half of a word, f16 to f32, the size, and what algebra makes of infinity.
    let text = format!(
        "{enable}@group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(64)
        fn probe(@builtin(local_invocation_index) lid: u32{argument}) {{
            let i = lid % 16u;
            let v = bitcast<f32>(x[i]);
            let want = x[i + 16u];
            y[i] = {there};
            y[i + 16u] = bitcast<u32>(unpack2x16float(want).x);
            y[i + 32u] = {size};
            let inf = bitcast<f32>(x[48u + i]);
            var odd = inf * 0.0;
            switch i % 4u {{
                case 0u: {{ odd = inf - inf; }}
                case 1u: {{ odd = (inf + 1.0) - inf; }}
                case 2u: {{ odd = inf / inf; }}
                default: {{}}
            }}
            y[i + 48u] = bitcast<u32>(odd);
        }}"
    );
    let halves: Vec<u32> = TRICKY.iter().map(|v| u32::from(half::f16::from_f32(*v).to_bits())).collect();
    let mut input: Vec<u32> = TRICKY.iter().map(|v| v.to_bits()).collect();
    input.extend(&halves);
    input.resize(48, 0);
    input.resize(64, f32::INFINITY.to_bits());
    let output = run(device, queue, &text, &input)?;
    let back = halves.iter().map(|h| half::f16::from_bits(*h as u16).to_f32().to_bits());
    let exact_f16 =
        output[..16].iter().map(|w| w & 0xffff).eq(halves.iter().copied()) && output[16..32].iter().copied().eq(back);
    let honest = output[48..].iter().all(|w| f32::from_bits(*w).is_nan());
    Ok(Found { subgroup_size: output[32].max(1), exact_f16, honest })
}

/// One workgroup of a kernel with one input and one output of the same length.
fn run(device: &Device, queue: &Queue, text: &str, input: &[u32]) -> Result<Vec<u32>> {
    let failed = |what: String| Error::new("open", ErrorKind::Device(format!("a test kernel failed: {what}")));
    let size = size_of_val(input) as u64;
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: Some("probe"), size, usage, mapped_at_creation: false })
    };
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let x = buffer(BufferUsages::STORAGE | BufferUsages::COPY_DST);
    let y = buffer(BufferUsages::STORAGE | BufferUsages::COPY_SRC);
    let back = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST);
    queue.write_buffer(&x, 0, bytemuck::cast_slice(input));
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("probe"),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("probe"),
        layout: None,
        module: &module,
        entry_point: Some("probe"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    if let Some(error) = pollster::block_on(scope.pop()) {
        return Err(failed(error.to_string()));
    }
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: x.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: y.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&y, 0, &back, 0, size);
    queue.submit([encoder.finish()]);
    back.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| failed(e.to_string()))?;
    let view = back.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
    Ok(bytemuck::pod_collect_to_vec(&view[..]))
}
