//! A user's own op: one kernel, which calls the user's function for each element of the largest result.

use std::fmt::Write as _;

use thalweg_ir::{
    Custom,
    op::compound::Compound,
    schedule::ir::{BufferSpec, Whole},
    shape::Type,
};

use super::{
    Caps,
    kernel::{Builder, Kernel, linear_grid},
    kind::Kind,
    ops::register,
    params::Word,
};

/// The kernel. Its text has the user's, and functions by which that reads inputs and extents and sets results.
pub fn kernel(op: &Custom, whole: &Whole, buffers: &[BufferSpec], caps: &Caps) -> Kernel {
    let wg = caps.max_workgroup.min(64);
    let results = op.outputs(&[]);
    let total = results.iter().map(Type::count).max().unwrap_or(0);
    let mut k = Builder::new(caps, buffers);
    // Functions at module scope read words of `params` itself.
    let word = |k: &mut Builder, name: String, value: Word| k.params.push(name, value).replacen("p.", "params.", 1);
    let mut functions = String::new();
    let len = word(&mut k, "points".into(), Word::Fixed(total as u32));
    let mut extents = |k: &mut Builder, name: &str, shape: &[usize]| {
        let words = shape.iter().enumerate().map(|(d, n)| word(k, format!("{name}_dim_{d}"), Word::Fixed(*n as u32)));
        let cases: Vec<String> =
            words.enumerate().map(|(d, word)| format!("case {d}u: {{ return {word}; }}")).collect();
        let _ = writeln!(
            functions,
            "fn {name}_dim(d: u32) -> u32 {{ switch d {{ {} default: {{ return 0u; }} }} }}",
            cases.join(" ")
        );
    };
    for (i, result) in results.iter().enumerate() {
        extents(&mut k, &format!("out{i}"), &result.shape);
    }
    for (i, input) in whole.inputs.iter().enumerate() {
        extents(&mut k, &format!("in{i}"), &input.shape);
    }
    for (i, input) in whole.inputs.iter().enumerate() {
        let buf = input.buf;
        let binding = k.bind(buf.into());
        let start = word(&mut k, format!("in{i}_start"), Word::Offset { elements: 0, binding });
        let load = k.load(buf, &format!("{start} + i"));
        let ty = register(k.kind(buf).class());
        let _ = writeln!(functions, "fn in{i}(i: u32) -> {ty} {{ return {load}; }}");
    }
    for (i, (result, array)) in results.iter().zip(&whole.outputs).enumerate() {
        let count = word(&mut k, format!("out{i}_count"), Word::Fixed(result.count() as u32));
        let _ = writeln!(functions, "fn out{i}_len() -> u32 {{ return {count}; }}");
        // What nobody asks for has no memory.
        let store = array.as_ref().map(|array| {
            let binding = k.bind(array.buf.into());
            let start = word(&mut k, format!("out{i}_start"), Word::Offset { elements: 0, binding });
            format!("if i < {count} {{ {}({start} + i, x); }}", k.storer(array.buf))
        });
        let (ty, store) = (register(Kind::of(result.dtype, caps).class()), store.unwrap_or_default());
        let _ = writeln!(functions, "fn set{i}(i: u32, x: {ty}) {{ {store} }}");
    }
    k.user = format!("{functions}{}\n", op.op().wgsl());
    k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
    k.line(format!("if i >= {len} {{ return; }}"));
    k.line("custom_multi(i);");
    k.finish("custom_op", [wg, 1, 1], linear_grid(total.div_ceil(wg as usize), caps.max_grid))
}
