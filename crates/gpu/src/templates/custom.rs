//! A user's own op: an invocation for each element of a result, which calls the user's function.

use std::fmt::Write as _;

use thalweg_ir::{
    Custom,
    schedule::ir::{Array, BufferSpec, Whole},
};

use super::{
    Caps,
    kernel::{Builder, Kernel, linear_grid},
    ops::register,
    params::Word,
};

/// A kernel for each result that somebody asks for.
pub fn kernels(op: &Custom, whole: &Whole, buffers: &[BufferSpec], caps: &Caps) -> Vec<Kernel> {
    let wanted = whole.outputs.iter().enumerate().filter_map(|(k, array)| array.as_ref().map(|array| (k, array)));
    wanted.map(|(k, array)| kernel(op, &whole.inputs, k, array, buffers, caps)).collect()
}

/// The kernel of one result. Its text has the user's, and functions by which that reads inputs and extents.
fn kernel(op: &Custom, inputs: &[Array], k: usize, output: &Array, buffers: &[BufferSpec], caps: &Caps) -> Kernel {
    let function = if k == 0 { "custom".to_string() } else { format!("custom{k}") };
    let wg = caps.max_workgroup.min(64);
    let mut k = Builder::new(caps, buffers);
    let total: usize = output.shape.iter().product();
    // Words are read by their position, so that functions at module scope can.
    let mut words = 0;
    let mut word = |k: &mut Builder, value: Word| {
        k.params.push(value);
        words += 1;
        words - 1
    };
    let at = |n: usize| format!("params[{}][{}]", n / 4, n % 4);
    let mut functions = String::new();
    let len = word(&mut k, Word::Fixed(total as u32));
    let _ = writeln!(functions, "fn out_len() -> u32 {{ return {}; }}", at(len));
    let mut extents = |k: &mut Builder, name: &str, shape: &[usize]| {
        let first = shape.iter().map(|n| word(k, Word::Fixed(*n as u32))).min().unwrap_or(0);
        let element = format!("params[({first}u + d) >> 2u][({first}u + d) & 3u]");
        let _ = writeln!(functions, "fn {name}_dim(d: u32) -> u32 {{ return {element}; }}");
    };
    extents(&mut k, "out", &output.shape);
    for (i, input) in inputs.iter().enumerate() {
        extents(&mut k, &format!("in{i}"), &input.shape);
    }
    for (i, input) in inputs.iter().enumerate() {
        let buf = input.buf;
        let binding = k.bind(buf.into());
        let offset = word(&mut k, Word::Offset { elements: 0, binding });
        let load = k.load(buf, &format!("{} + i", at(offset)));
        let ty = register(k.kind(buf).class());
        let _ = writeln!(functions, "fn in{i}(i: u32) -> {ty} {{ return {load}; }}");
    }
    let binding = k.bind(output.buf.into());
    let offset = word(&mut k, Word::Offset { elements: 0, binding });
    k.user = format!("{functions}{}\n", op.op().wgsl());
    k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
    k.line(format!("if i >= {} {{ return; }}", at(len)));
    k.store(output.buf, &format!("{} + i", at(offset)), &format!("{function}(i)"));
    k.finish("custom_op", [wg, 1, 1], linear_grid(total.div_ceil(wg as usize), caps.max_grid))
}
