//! A contraction through workgroup memory, for hardware: `staged.wgsl` has its drawing. Here its form is chosen for, and its holes filled.

use thalweg_ir::schedule::ir::BufferSpec;
use thalweg_shaders::{context, skeleton};

use super::{
    super::{
        Caps,
        kernel::{Builder, Kernel, linear_grid},
    },
    holes,
    normal::Normal,
};

/// Steps of k in a tile.
pub const TILE_K: usize = 16;

/// The form of a staged kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Invocations along the columns.
    pub x: usize,
    /// Invocations along the rows.
    pub y: usize,
    /// Blocks of 4 × 4 results along each side that an invocation owns: 1 or 2.
    pub blocks: usize,
    /// Parts of k.
    pub splits: usize,
    /// Steps of k in each part, a multiple of [`TILE_K`] but where there is one part.
    pub chunk: usize,
}

impl Stage {
    /// Rows of a workgroup's tile.
    pub fn tile_m(self) -> usize {
        4 * self.y * self.blocks
    }

    /// Columns of a workgroup's tile.
    pub fn tile_n(self) -> usize {
        4 * self.x * self.blocks
    }

    /// Bytes of workgroup memory: both tiles, each with a vector of skew for every step of k.
    pub fn bytes(self) -> usize {
        16 * TILE_K * (self.tile_m() / 4 + self.tile_n() / 4 + 2)
    }
}

/// The kernel: the whole contraction, or partial sums in scratch memory where there are several splits.
pub fn kernel(c: &Normal, buffers: &[BufferSpec], caps: &Caps, stage: Stage) -> Kernel {
    let mut k = Builder::new(caps, buffers);
    let Stage { x, y, blocks, splits, chunk } = stage;
    let (tile_m, tile_n, depth) = (stage.tile_m(), stage.tile_n(), c.k.iter().product::<usize>());
    let (tiles_m, tiles_n) = (c.m.div_ceil(tile_m), c.n.div_ceil(tile_n));
    let total = tiles_m * tiles_n * c.batch * splits;
    let sizes = [("m", c.m), ("n", c.n), ("k", depth), ("chunk", if splits > 1 { chunk } else { depth })];
    let tiles = [("tiles", total), ("tiles_m", tiles_m), ("tiles_n", tiles_n), ("batches", c.batch)];
    for (name, value) in sizes.into_iter().chain(tiles) {
        k.params.fixed(name, value);
    }
    let extents = k.params.all("depth", &c.k);
    let ragged = !depth.is_multiple_of(TILE_K);
    let sides = [("a", "M", "row", tile_m), ("b", "N", "column", tile_n)].map(|(s, along, first, tile)| {
        let fetch = holes::side(&mut k, c, s, &extents, ragged);
        let (fetches, invocations) = (tile / 4 * TILE_K / fetch.step, x * y);
        // Where there are fewer fetches than invocations the others have none.
        let few = if fetches < invocations { format!("if lid < {fetches}u {{ ") } else { String::new() };
        let end = if few.is_empty() { "" } else { " }" };
        context! {
            s, S => s.to_uppercase(), M => along, first, few, end, along_k => fetch.along_k, step => fetch.step,
            jobs => fetches.div_ceil(invocations),
        }
    });
    let entry = match splits {
        1 => {
            holes::body(&mut k, c, 4);
            "contract_staged"
        }
        splits => {
            holes::partial(&mut k, c);
            k.scratch_len = splits * c.batch * c.m * c.n;
            "contract_staged_split"
        }
    };
    k.skeleton(skeleton::STAGED, context! { entry, x, y, blocks, tile_k => TILE_K, sides => sides.to_vec() });
    k.finish(entry, [(x * y) as u32, 1, 1], linear_grid(total, caps.max_grid))
}
