//! A user's own op: an invocation for each element of the result, which calls the user's function.

use std::fmt::Write as _;

use thalweg_ir::schedule::ir::{BufferSpec, CustomLaunch};

use super::{
    Caps,
    kernel::{Builder, Kernel, linear_grid},
    ops::register,
    params::Word,
};

/// The kernel. Its text has the user's, and functions by which that reads inputs and extents.
pub fn kernel(c: &CustomLaunch, buffers: &[BufferSpec], caps: &Caps) -> Kernel {
    let wg = caps.max_workgroup.min(64);
    let mut k = Builder::new(caps, buffers);
    let total: usize = c.shape.iter().product();
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
    extents(&mut k, "out", &c.shape);
    for (i, (_, shape)) in c.operands().enumerate() {
        extents(&mut k, &format!("in{i}"), shape);
    }
    for (i, (buf, _)) in c.operands().enumerate() {
        let binding = k.bind(buf.into());
        let offset = word(&mut k, Word::Offset { elements: 0, binding });
        let load = k.load(buf, &format!("{} + i", at(offset)));
        let ty = register(k.kind(buf).class());
        let _ = writeln!(functions, "fn in{i}(i: u32) -> {ty} {{ return {load}; }}");
    }
    let binding = k.bind(c.output().into());
    let offset = word(&mut k, Word::Offset { elements: 0, binding });
    k.user = format!("{functions}{}\n", c.op.op().wgsl());
    k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
    k.line(format!("if i >= {} {{ return; }}", at(len)));
    k.store(c.output(), &format!("{} + i", at(offset)), "custom(i)");
    k.finish("custom_op", [wg, 1, 1], linear_grid(total.div_ceil(wg as usize), caps.max_grid))
}
