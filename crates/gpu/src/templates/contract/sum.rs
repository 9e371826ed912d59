//! Partial sums of a split contraction, added in a fixed order, and the body on each: `sum.wgsl`.

use thalweg_ir::schedule::ir::BufferSpec;
use thalweg_shaders::{context, skeleton};

use super::{
    super::{
        Caps,
        kernel::{Builder, Kernel, Source, linear_grid},
    },
    epilogue::quads,
    holes,
    normal::Normal,
};

/// Invocations of a workgroup.
const WG: u32 = 64;

/// `y[b, m, n] = body(Σ_s scratch[s, b, m, n])`.
pub fn kernel(c: &Normal, buffers: &[BufferSpec], caps: &Caps, splits: usize) -> Kernel {
    let mut k = Builder::new(caps, buffers);
    let each = if quads(c) { 4 } else { 1 };
    let total = c.batch * c.m * c.n / each;
    for (name, value) in [("points", total), ("parts", splits), ("m", c.m), ("n", c.n), ("columns_each", c.n / each)] {
        k.params.fixed(name, value);
    }
    let (ty, load) = match each {
        4 => ("vec4f", k.load4(Source::Scratch, "i * 4u")),
        _ => ("f32", k.load(Source::Scratch, "i")),
    };
    k.globals.push_str(&format!("alias Sum = {ty};\n"));
    k.function("partial(i: u32) -> Sum", |k| k.line(format!("return {load};")));
    holes::body(&mut k, c, each);
    k.skeleton(skeleton::SUM, context! { size => WG, each });
    k.scratch_len = splits * c.batch * c.m * c.n;
    k.finish("contract_sum", [WG, 1, 1], linear_grid(total.div_ceil(WG as usize), caps.max_grid))
}
