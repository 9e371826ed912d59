//! What becomes of the sums: they are stored as they are, or the body is applied while they are in cache.

use thalweg_ir::{
    DType,
    schedule::ir::{Access, Body, BufId, BufferSpec, Contract, Inst, Linear, Loop},
};

use super::{
    super::kernel::{
        access::{MAX_COORDS, Region, Sparse},
        code::LoopCode,
        lower::Options,
        machine::Bind,
    },
    tile::{Tiling, set_box, stride},
};
use crate::gemm::{Matrix, View};

/// How many buffers a launch adds to those of the schedule: sums, and copies of both sides.
pub const EXTRA: usize = 3;

/// A store of the bare sums: a strided matrix per batch.
#[derive(Debug)]
pub struct Direct {
    pub buf: BufId,
    at: Sparse,
    batch: Vec<usize>,
    n: Vec<usize>,
    n_start: usize,
    rows: i64,
    pub cols: i64,
}

/// The body, as a loop over `batch ++ m ++ n` that loads the sums.
#[derive(Debug)]
pub struct Epilogue {
    code: LoopCode,
    /// Collapsed extents of the three groups.
    groups: [Vec<usize>; 3],
}

impl Epilogue {
    /// Compiles the body; `tiles` are those of the columns, or the product is `whole`.
    pub fn new(
        c: &Contract,
        buffers: &[BufferSpec],
        sums: BufId,
        m: usize,
        n: usize,
        tiles: &Tiling,
        whole: bool,
    ) -> Result<Epilogue, String> {
        let outer = [&c.batch[..], &c.m, &c.n].concat();
        // Whole products keep the sums of every batch, tiles those of one.
        let row = if whole { n } else { tiles.len };
        let along = |extents: &[usize], step: usize| {
            thalweg_ir::shape::strides(extents).into_iter().map(move |s| (s * step) as i64).collect::<Vec<_>>()
        };
        let batch = if whole { along(&c.batch, m * n) } else { vec![0; c.batch.len()] };
        let coef = [batch, along(&c.m, row), along(&c.n, 1)].concat();
        let at = Access { base: Linear::new(0, &coef), terms: Vec::new(), fill: 0.0 };
        let mut body = Body { insts: vec![Inst::Load { buf: sums, at }], dtypes: vec![DType::F32], ..Body::default() };
        body.append(&c.body, Some(0));
        let l = Loop { outer, inner: Vec::new(), body };
        let dtype_of = |buf: BufId| if buf == sums { DType::F32 } else { buffers[buf].dtype };
        let options = Options { groups: vec![c.batch.len(), c.m.len()] };
        let mut code = LoopCode::new(&l, &options, &dtype_of)?;
        let groups = [0, 1, 2].map(|g| code.groups.get(g).cloned().unwrap_or_default());
        // A tile's sums begin at its own first column.
        code.shift_loads(sums, MAX_COORDS - 1, -1);
        Ok(Epilogue { code, groups })
    }

    /// Applies the body to a tile of one batch, or to everything.
    pub fn apply(&self, bind: Bind<'_>, batch: (usize, usize), m: usize, (n, n_len): (usize, usize)) {
        let [b, mm, nn] = &self.groups;
        let (mut lo, mut hi) = ([0; MAX_COORDS], [1; MAX_COORDS]);
        set_box(b, 0, batch.0, batch.1, &mut lo, &mut hi);
        set_box(mm, b.len(), 0, m, &mut lo, &mut hi);
        set_box(nn, b.len() + mm.len(), n, n_len, &mut lo, &mut hi);
        lo[MAX_COORDS - 1] = n;
        hi[MAX_COORDS - 1] = n + 1;
        self.code.execute(bind, &Region { lo, hi });
    }
}

impl Direct {
    /// If the body does nothing but store the sums.
    pub fn new(c: &Contract, buffers: &[BufferSpec], tiles: &Tiling) -> Option<Direct> {
        let [store] = &c.body.stores[..] else { return None };
        let mut value = store.value;
        while let Inst::Cast(x) = c.body.insts[value] {
            if c.body.dtypes[value] != DType::F32 {
                return None;
            }
            value = x;
        }
        if c.body.insts[value] != Inst::Acc || buffers[store.buf].dtype != DType::F32 {
            return None;
        }
        let (b, m) = (c.batch.len(), c.m.len());
        Some(Direct {
            buf: store.buf,
            at: Sparse::new(&store.at),
            batch: c.batch.clone(),
            n: c.n.clone(),
            n_start: b + m,
            rows: stride(&c.m, &store.at.coef[b..b + m])?,
            cols: stride(&c.n[tiles.cut..], &store.at.coef[b + m + tiles.cut..])?,
        })
    }

    /// Where the sums of a tile go.
    pub fn matrix<'a>(&self, view: View<'a>, batch: usize, (n, n_len): (usize, usize)) -> Matrix<'a> {
        let (mut coords, mut unused) = ([0; MAX_COORDS], [0; MAX_COORDS]);
        set_box(&self.batch, 0, batch, 1, &mut coords, &mut unused);
        set_box(&self.n, self.n_start, n, n_len, &mut coords, &mut unused);
        Matrix { view, start: self.at.at(&coords) as usize, rows: self.rows as isize, cols: self.cols as isize }
    }
}
