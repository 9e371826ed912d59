//! The contraction template: `acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]`, then the body on each sum.
//!
//! Matrix products and convolutions alike: operands are read through affine, guarded accesses, so a convolution is a
//! product whose right side is a window of the image (an implicit matrix; nothing is unfolded in memory). Sums are f32
//! whatever the operands are stored as. Where there are few sums and each is long, k is split: partial sums go to scratch
//! memory, and a second kernel adds them in a fixed order. No atomics: equal inputs give equal bits.

mod address;
mod epilogue;
mod holes;
mod normal;
mod operand;
mod registers;
mod staged;
mod stored;
mod sum;

use thalweg_ir::schedule::ir::{BufferSpec, Contract, ContractKind};

use self::{
    normal::Normal,
    operand::Reads,
    registers::Tile,
    staged::{Stage, TILE_K},
};
use super::{Caps, kernel::Kernel, shape::MAX_ITERATIONS};

/// Bytes of scratch above which k is not split just to occupy the device.
const MAX_SCRATCH: usize = 64 << 20;

/// Steps of k above which it is split for accuracy, and into parts of how many.
const LONG_K: usize = 1 << 16;
const PART_OF_LONG_K: usize = 1 << 13;

/// Workgroups that keep a large device busy.
const MANY_TILES: usize = 192;

/// Multiply-adds of a matrix product below which software devices use one text for all shapes; beyond, reading four elements
/// at once is worth a text of its own. Convolutions rarely can.
const SHARED_BELOW: usize = 1 << 25;

/// Multiply-adds from which a convolution with many channels is worth a tall tile, which loads less and takes longer to
/// compile.
const TALL_FROM: usize = 1 << 28;

/// The kernels of a contraction, in order; `None` where it must be a plain loop nest: operands that are not floats, or a
/// k that cannot be split into parts that one invocation may sum.
pub fn kernels(c: &Contract, buffers: &[BufferSpec], caps: &Caps) -> Option<Vec<Kernel>> {
    let floats = c.a.dtype().is_float() && c.b.dtype().is_float();
    let empty = c.batch.iter().chain(&c.m).chain(&c.n).chain(&c.k).any(|e| *e == 0);
    if !floats || empty {
        return None;
    }
    if let Some((normal, stage)) = choose_stage(c, caps) {
        return Some(with_sum(&normal, buffers, caps, stage.splits, staged::kernel(&normal, buffers, caps, stage)));
    }
    let (normal, tile) = choose(c, caps)?;
    Some(with_sum(&normal, buffers, caps, tile.splits, registers::kernel(&normal, buffers, caps, tile)))
}

fn with_sum(c: &Normal, buffers: &[BufferSpec], caps: &Caps, splits: usize, main: Kernel) -> Vec<Kernel> {
    match splits {
        1 => vec![main],
        splits => vec![main, sum::kernel(c, buffers, caps, splits)],
    }
}

/// The staged form, for hardware and for products that are large enough along every side.
fn choose_stage(c: &Contract, caps: &Caps) -> Option<(Normal, Stage)> {
    let plain = Normal::new(c, false, false);
    // Results should be neighbours along the columns.
    let normal = if epilogue::dense(&plain) { plain } else { Normal::new(c, true, false) };
    let depth: usize = normal.k.iter().product();
    if caps.software || normal.m < 16 || normal.n < 16 || depth < TILE_K {
        return None;
    }
    // The largest tile that still gives every core of a large device something to do.
    let fits = |(x, y, blocks): &(usize, usize, usize)| {
        let bytes = Stage { x: *x, y: *y, blocks: *blocks, splits: 1, chunk: 0 }.bytes();
        x * y <= caps.max_workgroup as usize && bytes <= caps.workgroup_bytes as usize
    };
    let mut forms = [(16, 16, 2), (8, 8, 2), (8, 8, 1)].into_iter().filter(fits);
    let tiles = |(x, y, blocks): (usize, usize, usize)| {
        normal.batch * normal.m.div_ceil(4 * y * blocks) * normal.n.div_ceil(4 * x * blocks)
    };
    let form = forms.clone().find(|form| tiles(*form) >= MANY_TILES).or_else(|| forms.next_back())?;
    // Each step of k is an iteration, and each tile one more.
    let longest = MAX_ITERATIONS / (TILE_K + 1) * TILE_K;
    let fits = (MAX_SCRATCH / 4 / (normal.batch * normal.m * normal.n)).max(1);
    let wanted = (MANY_TILES / tiles(form)).min(depth / 256).min(fits).clamp(1, 64);
    let splits = wanted.max(depth.div_ceil(longest - TILE_K));
    let chunk = depth.div_ceil(splits).next_multiple_of(TILE_K);
    let (x, y, blocks) = form;
    Some((normal, Stage { x, y, blocks, splits: depth.div_ceil(chunk), chunk }))
}

/// The orientation and tile that cost least.
fn choose(c: &Contract, caps: &Caps) -> Option<(Normal, Tile)> {
    let lanes = if caps.software && caps.subgroups { caps.subgroup_size.max(1) as usize } else { 1 };
    let groups = if lanes > 1 { (16 / lanes).max(1) } else { 64 };
    if caps.shared_texts
        && lanes > 1
        && let Some(chosen) = choose_shared(c, caps, lanes, groups)
    {
        return Some(chosen);
    }
    let mut best: Option<(f64, Normal, Tile)> = None;
    for swap in [false, true] {
        let normal = Normal::new(c, swap, false);
        for per_m in [1, 4, 8, 16, 32] {
            // Without sharing, a tall tile costs registers and saves little. Where columns are stored one by one the
            // body is written four times for each row, and a tall tile takes long to compile.
            let tallest = if lanes == 1 || !epilogue::quads(&normal) { 8 } else { 32 };
            if per_m > tallest || (per_m > 1 && per_m / 2 >= normal.m) {
                continue;
            }
            let tiles = normal.batch * normal.m.div_ceil(per_m) * normal.n.div_ceil(4 * lanes);
            let Some((splits, chunk)) = split(&normal, caps, tiles) else { continue };
            let cost = cost(&normal, per_m, lanes, tiles);
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, normal.clone(), Tile { per_m, lanes, groups, splits, chunk, shared: false }));
            }
        }
    }
    best.map(|(_, normal, tile)| (normal, tile))
}

/// Multiply-adds of a contraction.
fn products(c: &Contract) -> usize {
    [&c.batch, &c.m, &c.n, &c.k].into_iter().flatten().product()
}

/// One tile for all shapes, in the orientation in which less of it lies outside; nothing where most of it would, or where
/// the product is large. For software, where a kernel takes longer to compile than a small product to compute.
fn choose_shared(c: &Contract, caps: &Caps, lanes: usize, groups: usize) -> Option<(Normal, Tile)> {
    let (straight, swapped) = (Normal::new(c, false, true), Normal::new(c, true, true));
    let work = products(c);
    let per_m = match c.kind {
        ContractKind::Matmul if work >= SHARED_BELOW => return None,
        ContractKind::Matmul => 16,
        _ if work >= TALL_FROM && straight.m > 32 => 64,
        _ => 32,
    };
    let tiles = |n: &Normal| n.batch * n.m.div_ceil(per_m) * n.n.div_ceil(4 * lanes);
    let normal = if tiles(&swapped) < tiles(&straight) { swapped } else { straight };
    if 8 * normal.batch * normal.m * normal.n < tiles(&normal) * per_m * 4 * lanes {
        return None;
    }
    let depth: usize = normal.k.iter().product();
    let outputs = normal.batch * normal.m * normal.n;
    let splits = parts(depth, tiles(&normal), outputs, caps).max(depth.div_ceil(MAX_ITERATIONS - per_m - 1));
    let chunk = depth.div_ceil(splits).max(1);
    let splits = depth.div_ceil(chunk).max(1);
    Some((normal, Tile { per_m, lanes, groups, splits, chunk, shared: true }))
}

/// Cost in cycles or so of a CPU that runs shaders: a load of each lane's own element is many times a multiply-add.
fn cost(c: &Normal, per_m: usize, lanes: usize, tiles: usize) -> f64 {
    let (one, four) = (45.0, 100.0);
    let k: f64 = c.k.iter().map(|e| *e as f64).product();
    let side = |reads: Reads, rows: usize, shared: usize| match reads {
        Reads::AlongK => rows.div_ceil(shared) as f64 * four / 4.0,
        Reads::AlongRows => rows.div_ceil(4 * shared) as f64 * four,
        Reads::Single => rows.div_ceil(shared) as f64 * one,
    };
    let a = side(Reads::of(&c.a, &c.k, c.m), per_m, lanes);
    let b = side(Reads::of(&c.b, &c.k, c.n), 4, 1);
    let store = if epilogue::quads(c) { four } else { 8.0 * one };
    tiles as f64 * (k * (a + b + 3.0 * per_m as f64) + per_m as f64 * store)
}

/// Into how many parts k is split, and how long each is along the first coordinate: so that the device is occupied, and no
/// invocation loops too often.
fn split(c: &Normal, caps: &Caps, tiles: usize) -> Option<(usize, usize)> {
    let along_k = [(&c.a, c.m), (&c.b, c.n)].iter().any(|(s, t)| Reads::of(s, &c.k, *t) == Reads::AlongK);
    let step = if along_k { 4 } else { 1 };
    let Some(first) = c.k.first().copied() else { return Some((1, 1)) };
    let unit = if c.k.len() == 1 { step } else { 1 };
    let iterations = |chunk: usize| {
        let (mut product, mut sum) = (1, 0);
        for (d, extent) in c.k.iter().enumerate() {
            let extent = if d == 0 { chunk } else { *extent };
            product *= if d + 1 == c.k.len() { extent.div_ceil(step) } else { extent };
            sum += product;
        }
        sum
    };
    let splits = parts(iterations(first), tiles, c.batch * c.m * c.n, caps);
    let mut chunk = first.div_ceil(splits).next_multiple_of(unit);
    while iterations(chunk) >= MAX_ITERATIONS {
        if chunk <= unit {
            return None;
        }
        chunk = (chunk / 2).next_multiple_of(unit);
    }
    Some((first.div_ceil(chunk), chunk))
}

/// Parts of k that occupy the device, if each is to be worth while and partial sums are to fit.
fn parts(iterations: usize, tiles: usize, outputs: usize, caps: &Caps) -> usize {
    let wanted: usize = if caps.software { 16 } else { 16_384 };
    let useful = iterations / 64;
    let fits = MAX_SCRATCH / 4 / outputs.max(1);
    // One sum of very many terms loses digits.
    let exact = if iterations > LONG_K { iterations.div_ceil(PART_OF_LONG_K) } else { 1 };
    wanted.div_ceil(tiles).min(useful).clamp(1, 256).max(exact).min(fits).max(1)
}
