//! A contraction as matrix products, whole or tile by tile.

use rayon::prelude::*;
use thalweg_ir::schedule::ir::{BufId, BufferSpec, Contract, Operand};

use super::{
    super::{
        kernel::{access::Region, machine::Bind},
        pool::{Pool, exhausted},
    },
    scratch::{give_back, scratch},
    side::{Shape, Side, Source},
    sums::{Direct, EXTRA, Epilogue},
    tile::Tiling,
};
use crate::gemm::{Matrix, Memory, View, add, is_long, matmul, matmul_long};

/// Bytes of a packed tile: half of a common second-level cache.
const TILE_BYTES: usize = 256 << 10;
/// Columns of a tile at most.
const TILE_COLUMNS: usize = 512;
/// Products (m · n · k) from which one batch is worth several threads.
const LARGE: usize = 1 << 24;

/// The product of each batch, and what becomes of its sums.
#[derive(Debug)]
pub struct Product {
    batches: usize,
    m: usize,
    n: Tiling,
    k: Tiling,
    a: Side,
    b: Side,
    /// Whether a batch is one product on several threads; else tiles are spread over threads.
    whole: bool,
    /// Whether the chains of additions along k are cut.
    long: bool,
    /// Where the sums go when nothing else is done with them.
    direct: Option<Direct>,
    epilogue: Epilogue,
    /// Numbers of the buffers that exist only during the launch: sums, and copies of both sides.
    sums: BufId,
}

impl Product {
    /// Chooses whether sides are packed or copied, and how they are cut.
    pub fn new(c: &Contract, buffers: &[BufferSpec]) -> Result<Product, String> {
        let count = |x: &[usize]| x.iter().product::<usize>();
        let (m, n, k) = (count(&c.m), count(&c.n), count(&c.k));
        let sums = buffers.len();
        let plain = |o: &Operand| o.read().is_some_and(|read| read.at.terms.is_empty());
        let batches = count(&c.batch);
        // Whole products where both sides are matrices; tiles where windows have to be packed.
        let whole_tiles = (Tiling::whole(&c.n), Tiling::whole(&c.k));
        let (mut n_tiles, mut k_tiles) = whole_tiles;
        let sides = |n: &Tiling, k: &Tiling| -> Result<(Side, Side), String> {
            let a = Shape { batch: &c.batch, own: &c.m, k: &c.k, own_cut: 0, k_cut: k.cut, k_first: false };
            let b = Shape { batch: &c.batch, own: &c.n, k: &c.k, own_cut: n.cut, k_cut: k.cut, k_first: true };
            Ok((Side::new(&c.a, &a, buffers, sums + 1)?, Side::new(&c.b, &b, buffers, sums + 2)?))
        };
        let (mut a, mut b) = sides(&n_tiles, &k_tiles)?;
        let packed = |s: &Side| matches!(s.source, Source::Packed(_));
        let copied = |s: &Side| matches!(s.source, Source::Copied(_));
        let retile = packed(&a) || packed(&b) || (copied(&b) && plain(&c.b)) || (copied(&a) && plain(&c.a));
        if retile {
            // Enough columns for the product to be efficient, enough tiles for the threads, and a tile that fits; else panels of the
            // last coordinate, where each of them lies by itself.
            let columns = n.div_ceil(4).clamp(64, TILE_COLUMNS);
            for columns in [Some(columns), c.n.last().copied()].into_iter().flatten() {
                let tn = Tiling::new(&c.n, columns);
                let room = TILE_BYTES / size_of::<f32>() / tn.len.max(1);
                let tk = Tiling::new(&c.k, if packed(&a) { 512 } else { room.max(256) });
                let (ta, tb) = sides(&tn, &tk)?;
                // Cutting pays when it avoids packing or copying, or when there is no way around it.
                let better = packed(&a) || packed(&b) || (copied(&a) && !copied(&ta)) || (copied(&b) && !copied(&tb));
                if better {
                    (n_tiles, k_tiles, a, b) = (tn, tk, ta, tb);
                    break;
                }
            }
        }
        let one_tile = n_tiles.tiles() <= 1 && k_tiles.tiles() <= 1;
        let whole = one_tile && !packed(&a) && !packed(&b) && (batches < 4 || m * n * k >= LARGE);
        // Of matrices all columns count, whichever way they are cut.
        let columns = if packed(&a) || packed(&b) { n_tiles.len } else { n };
        let long = is_long([m, columns, k]);
        let epilogue = Epilogue::new(c, buffers, sums, m, n, &n_tiles, whole)?;
        let direct = Direct::new(c, buffers, &n_tiles);
        Ok(Product { batches, m, n: n_tiles, k: k_tiles, a, b, whole, long, direct, epilogue, sums })
    }

    /// What it comes to, as [`LoopCode::work`](super::super::kernel::code::LoopCode::work) counts.
    pub fn work(&self) -> usize {
        // Eight multiply-adds take no longer than an operation on a lane.
        let sums = self.batches.saturating_mul(self.m).saturating_mul(self.n.count);
        sums.saturating_mul(self.k.count / 8 + 1)
    }

    /// Runs it.
    pub fn execute(&self, bind: Bind<'_>, pool: &Pool) -> Result<(), thalweg_ir::Error> {
        if self.batches == 0 {
            return Ok(());
        }
        let copy_a = pool.scratch(self.a.copy_len() * size_of::<f32>())?;
        let copy_b = pool.scratch(self.b.copy_len() * size_of::<f32>())?;
        let mut views = bind.views.to_vec();
        views.resize(self.sums + EXTRA, pool.empty());
        views[self.sums + 1] = copy_a.view();
        views[self.sums + 2] = copy_b.view();
        for side in [&self.a, &self.b] {
            if let Source::Copied(code) = &side.source {
                code.execute(Bind { views: &views, ..bind }, &Region::whole(&code.extents));
            }
        }
        let direct = self.direct.as_ref().filter(|d| {
            // Sums must not be written over what is still to be read.
            let to = views[d.buf];
            !self.a.overlaps(to, &views) && !self.b.overlaps(to, &views)
        });
        if self.whole {
            return self.execute_whole(bind, &mut views, direct, pool);
        }
        let tiles = self.n.tiles();
        let count = self.batches * tiles;
        let work = self.m * self.n.len * self.k.count;
        // Small products go several to a task.
        let chunk = ((1 << 18) / work.max(1)).clamp(1, count.div_ceil(16).max(1));
        let task = |t: usize| -> Option<()> {
            let mut views = views.clone();
            let packed = |s: &Side, own: usize| match &s.source {
                Source::Packed(_) => scratch(own * self.k.len).map(Some),
                _ => Some(None),
            };
            let tile_a = packed(&self.a, self.m)?;
            let tile_b = packed(&self.b, self.n.len)?;
            let sums = if direct.is_none() { Some(scratch(self.m * self.n.len)?) } else { None };
            let part = if self.long { Some(scratch(self.m * self.n.len)?) } else { None };
            for index in t * chunk..((t + 1) * chunk).min(count) {
                let (batch, n) = (index / tiles, self.n.tile(index % tiles));
                let c = match (direct, &sums) {
                    (Some(direct), _) => direct.matrix(views[direct.buf], batch, n),
                    (None, sums) => {
                        Matrix { view: sums.as_ref().map(Memory::view)?, start: 0, rows: self.n.len as isize, cols: 1 }
                    }
                };
                for step in 0..self.k.tiles() {
                    let k = self.k.tile(step);
                    let a = self.a.tile(&views, tile_a.as_ref().map(Memory::view), batch, (0, self.m), k);
                    let b = self.b.tile(&views, tile_b.as_ref().map(Memory::view), batch, n, k);
                    let b = Matrix { rows: b.cols, cols: b.rows, ..b };
                    match &part {
                        Some(part) => matmul_long([self.m, n.1, k.1], c, step > 0, a, b, part.view()),
                        None => matmul([self.m, n.1, k.1], c, step > 0, a, b, false),
                    }
                }
                if let (None, Some(sums)) = (direct, &sums) {
                    views[self.sums] = sums.view();
                    self.epilogue.apply(Bind { views: &views, shared: false, ..bind }, (batch, 1), self.m, n);
                }
            }
            [tile_a, tile_b, sums, part].into_iter().flatten().for_each(give_back);
            Some(())
        };
        let tasks = count.div_ceil(chunk);
        let done = if bind.shared && tasks > 1 && work.saturating_mul(count) > 1 << 16 {
            (0..tasks).into_par_iter().with_max_len(1).map(task).all(|done| done.is_some())
        } else {
            (0..tasks).all(|t| task(t).is_some())
        };
        if done { Ok(()) } else { Err(exhausted(self.m * self.n.len * size_of::<f32>())) }
    }

    fn execute_whole<'a>(
        &self,
        bind: Bind<'_>,
        views: &mut [View<'a>],
        direct: Option<&Direct>,
        pool: &'a Pool,
    ) -> Result<(), thalweg_ir::Error> {
        let n = (0, self.n.count);
        let (all_k, all_m) = ((0, self.k.count), (0, self.m));
        let sums = pool.scratch(if direct.is_some() { 0 } else { self.batches * self.m * n.1 * size_of::<f32>() })?;
        for batch in 0..self.batches {
            let c = match direct {
                Some(direct) => direct.matrix(views[direct.buf], batch, n),
                None => Matrix { view: sums.view(), start: batch * self.m * n.1, rows: n.1 as isize, cols: 1 },
            };
            let a = self.a.tile(views, None, batch, all_m, all_k);
            let b = self.b.tile(views, None, batch, n, all_k);
            let b = Matrix { rows: b.cols, cols: b.rows, ..b };
            let dims = [self.m, n.1, self.k.count];
            if self.long {
                whole_long(dims, c, a, b, bind.shared, pool)?
            } else {
                matmul(dims, c, false, a, b, bind.shared)
            }
        }
        if direct.is_none() {
            let mut views = views.to_vec();
            views[self.sums] = sums.view();
            self.epilogue.apply(Bind { views: &views, ..bind }, (0, self.batches), self.m, n);
        }
        Ok(())
    }
}

/// Most parts of k that [`whole_long`] hands out.
const PARTS: usize = 8;

/// `C = A · B` with few results and a long k: threads take parts of k, whose number and order depend on the shape alone.
fn whole_long(
    [m, n, k]: [usize; 3],
    c: Matrix<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    shared: bool,
    pool: &Pool,
) -> Result<(), thalweg_ir::Error> {
    let parts = (k / 512).clamp(1, PARTS);
    let chunk = k.div_ceil(parts);
    let bytes = m * n * size_of::<f32>();
    let sums = pool.scratch(2 * parts * bytes)?;
    let task = |p: usize| {
        let (first, len) = (p * chunk, chunk.min(k - p * chunk));
        let own = sums.view().bytes_at(2 * p * bytes, 2 * bytes);
        let to = Matrix { view: own, start: 0, rows: n as isize, cols: 1 };
        let a = Matrix { start: (a.start as isize + first as isize * a.cols) as usize, ..a };
        let b = Matrix { start: (b.start as isize + first as isize * b.rows) as usize, ..b };
        matmul_long([m, n, len], to, false, a, b, own.bytes_at(bytes, bytes));
    };
    if shared {
        (0..parts).into_par_iter().with_max_len(1).for_each(task);
    } else {
        (0..parts).for_each(task);
    }
    matmul([m, n, 0], c, false, a, b, false);
    for p in 0..parts {
        add([m, n], c, sums.view().slice(2 * p * m * n, m * n));
    }
    Ok(())
}
