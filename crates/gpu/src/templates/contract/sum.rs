//! Partial sums of a split contraction, added in a fixed order, and the body on each.

use thalweg_ir::schedule::ir::BufferSpec;

use super::{
    super::{
        Caps,
        kernel::{Builder, Kernel, Source, decode, linear_grid},
    },
    epilogue::{Epilogue, quads},
    normal::Normal,
};

/// Invocations of a workgroup.
const WG: u32 = 64;

/// `y[b, m, n] = body(Σ_s scratch[s, b, m, n])`.
pub fn kernel(c: &Normal, buffers: &[BufferSpec], caps: &Caps, splits: usize) -> Kernel {
    let mut k = Builder::new(caps, buffers);
    let each = if quads(c) { 4 } else { 1 };
    let extents = [c.batch, c.m, c.n / each];
    let total: usize = extents.iter().product();
    let words = extents.map(|e| k.params.fixed(e));
    let [total_word, splits_word] = [total, splits].map(|e| k.params.fixed(e));
    k.line(format!("let t = (wid.y * nwg.x + wid.x) * {WG}u + lid;"));
    k.line(format!("if t >= {total_word} {{ return; }}"));
    k.line(format!("var acc = {};", if each == 4 { "vec4f()" } else { "0.0" }));
    k.open(format!("for (var s = 0u; s < {splits_word}; s++) {{"));
    let at = k.name(format!("s * {total_word} + t"));
    let partial = match each {
        4 => k.load4(Source::Scratch, &format!("{at} * 4u")),
        _ => k.load(Source::Scratch, &at),
    };
    k.line(format!("acc += {partial};"));
    k.close();
    let coords = decode(&mut k, "t", &extents, &words);
    let column = if each == 4 { k.name(format!("{} * 4u", coords[2])) } else { coords[2].clone() };
    let batch = if c.batch == 1 { "0u".to_string() } else { coords[0].clone() };
    let mut epilogue = Epilogue::new(&mut k, c);
    epilogue.columns(&mut k, &batch, &[column]);
    epilogue.row(&mut k, &coords[1].clone(), "acc", &["true".into()]);
    k.scratch_len = splits * c.batch * c.m * c.n;
    k.finish("contract_sum", [WG, 1, 1], linear_grid(total.div_ceil(WG as usize), caps.max_grid))
}
