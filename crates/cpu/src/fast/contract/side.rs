//! One side of a contraction as f32 matrices that the product can read.

use thalweg_ir::{
    DType,
    schedule::{
        ir::{Access, Body, BufId, BufIds, BufferSpec, Linear, Loop, Operand, Read, Store},
        transform::{Ones, merge},
    },
};

use super::tile::{set_box, stride};
use crate::{
    fast::kernel::{
        access::{Coords, MAX_COORDS, Reach, Region, Sparse},
        alu,
        code::LoopCode,
        lower::Options,
        machine::fill_lanes,
    },
    gemm::{Matrix, View},
};

/// Where the product finds a side.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the buffer itself: each tile is a strided matrix.
    Direct { buf: BufId, at: Sparse, own: i64, k: i64 },
    /// In a copy in f32, `[batch, own, k]`, made before the product.
    Copied(Box<LoopCode>),
    /// In a scratch tile, filled element by element through guards and windows.
    Packed(Box<Pack>),
}

/// How a tile is filled.
#[derive(Clone, Debug)]
pub struct Pack {
    buf: BufId,
    dtype: DType,
    casts: Vec<DType>,
    reach: Reach,
    /// Collapsed extents of batch, own and k.
    batch: Vec<usize>,
    own: Vec<usize>,
    k: Vec<usize>,
    /// Whether lanes go along the side's own coordinates; else along k.
    pub along_own: bool,
}

/// A side: `own` stands for m or n.
#[derive(Clone, Debug)]
pub struct Side {
    /// The buffers that it reads.
    reads: BufIds,
    pub source: Source,
    /// Number of the buffer that has its copy.
    scratch: BufId,
    batch: Vec<usize>,
    own_count: usize,
    k_count: usize,
    own: Vec<usize>,
    k: Vec<usize>,
}

/// Extents of a side's coordinates, and from where on they vary within one tile.
pub struct Shape<'a> {
    pub batch: &'a [usize],
    pub own: &'a [usize],
    pub k: &'a [usize],
    pub own_cut: usize,
    pub k_cut: usize,
    /// Whether k stands in front of the side's own coordinates in its access: the right side.
    pub k_first: bool,
}

impl Side {
    /// Chooses the source. `scratch` is the buffer number of a copy.
    pub fn new(operand: &Operand, shape: &Shape<'_>, buffers: &[BufferSpec], scratch: BufId) -> Result<Side, String> {
        let (b, o) = (shape.batch.len(), shape.own.len());
        let elements = |extents: &[usize]| extents.iter().product::<usize>();
        let volume = elements(shape.batch) * elements(shape.own) * elements(shape.k);
        let strides = |at: &Access| {
            let own = stride(&shape.own[shape.own_cut..], &at.base.coef[b + shape.own_cut..b + o])?;
            let k = stride(&shape.k[shape.k_cut..], &at.base.coef[b + o + shape.k_cut..])?;
            Some((own, k))
        };
        let body = own_first(&operand.body, shape);
        let operand = Operand { body };
        let read = operand.read();
        let found = read.and_then(|Read { buf, dtype, at, casts }| {
            let casts: Vec<DType> = casts.iter().copied().filter(|d| *d != DType::F32).collect();
            match strides(at) {
                Some((own, k)) if at.terms.is_empty() && dtype == DType::F32 && casts.is_empty() => {
                    Some(Ok(Source::Direct { buf, at: Sparse::new(&at.base), own, k }))
                }
                // A copy must not be much larger than the buffer: windows repeat elements.
                _ if volume <= 2 * buffers[buf].len => None,
                _ => Some(Pack::new((buf, dtype, casts), at, shape).map(|pack| Source::Packed(Box::new(pack)))),
            }
        });
        let reads = operand.body.reads();
        let source = match found {
            Some(source) => source?,
            None => {
                let dtype_of = |buf: BufId| if buf == scratch { DType::F32 } else { buffers[buf].dtype };
                let copy = copy(operand.body, shape, scratch);
                Source::Copied(Box::new(LoopCode::new(&copy, &Options::default(), &dtype_of)?))
            }
        };
        Ok(Side {
            reads,
            source,
            scratch,
            batch: shape.batch.to_vec(),
            own_count: elements(shape.own),
            k_count: elements(shape.k),
            own: shape.own.to_vec(),
            k: shape.k.to_vec(),
        })
    }

    /// Whether it reads what overlaps a view.
    pub fn overlaps(&self, to: View<'_>, views: &[View<'_>]) -> bool {
        self.reads.iter().any(|buf| to.overlaps(&views[*buf]))
    }

    /// Elements of its copy, if it needs one.
    pub fn copy_len(&self) -> usize {
        match self.source {
            Source::Copied(_) => self.batch.iter().product::<usize>() * self.own_count * self.k_count,
            _ => 0,
        }
    }

    /// The matrix `own × k` of a tile, with `scratch` as room for it.
    pub fn tile<'a>(
        &self,
        views: &[View<'a>],
        scratch: Option<View<'a>>,
        batch: usize,
        (own, own_len): (usize, usize),
        (k, k_len): (usize, usize),
    ) -> Matrix<'a> {
        let (b, o) = (self.batch.len(), self.own.len());
        match (&self.source, scratch) {
            (Source::Direct { buf, at, own: rows, k: cols }, _) => {
                let mut coords = [0; MAX_COORDS];
                let mut unused = [0; MAX_COORDS];
                set_box(&self.batch, 0, batch, 1, &mut coords, &mut unused);
                set_box(&self.own, b, own, own_len, &mut coords, &mut unused);
                set_box(&self.k, b + o, k, k_len, &mut coords, &mut unused);
                Matrix { view: views[*buf], start: at.at(&coords) as usize, rows: *rows as isize, cols: *cols as isize }
            }
            (Source::Copied(_), _) => Matrix {
                view: views[self.scratch],
                start: (batch * self.own_count + own) * self.k_count + k,
                rows: self.k_count as isize,
                cols: 1,
            },
            (Source::Packed(pack), Some(view)) => {
                pack.fill(views[pack.buf], view, batch, (own, own_len), (k, k_len));
                if pack.along_own {
                    Matrix { view, start: 0, rows: 1, cols: own_len as isize }
                } else {
                    Matrix { view, start: 0, rows: k_len as isize, cols: 1 }
                }
            }
            _ => unreachable!("tiles have room made for them"),
        }
    }
}

/// The code with coordinates `batch ++ own ++ k`.
fn own_first(body: &Body, shape: &Shape<'_>) -> Body {
    let mut body = body.clone();
    if shape.k_first {
        let (b, k) = (shape.batch.len(), shape.k.len());
        body.forms_mut().for_each(|form| form.coef[b..].rotate_left(k));
    }
    body
}

/// The loop that makes a side as `[batch, own, k]` in f32.
fn copy(mut body: Body, shape: &Shape<'_>, scratch: BufId) -> Loop {
    let outer = [shape.batch, shape.own, shape.k].concat();
    let coef = thalweg_ir::shape::strides(&outer).into_iter().map(|s| s as i64).collect();
    body.stores.push(Store { buf: scratch, at: Linear { offset: 0, coef }, value: body.insts.len() - 1 });
    Loop { outer, inner: Vec::new(), body }
}

impl Pack {
    fn new((buf, dtype, casts): (BufId, DType, Vec<DType>), at: &Access, shape: &Shape<'_>) -> Result<Pack, String> {
        let mut at = at.clone();
        let (mut batch, mut own, mut k) = (shape.batch.to_vec(), shape.own.to_vec(), shape.k.to_vec());
        merge(&mut [&mut batch, &mut own, &mut k], at.forms_mut(), Ones::Dropped);
        let coords = batch.len() + own.len() + k.len();
        if coords > MAX_COORDS {
            return Err(format!("a contraction of {coords} coordinates"));
        }
        let step = |d: Option<usize>| {
            d.map_or(0, |d| at.base.coef[d] + at.terms.iter().map(|t| t.stride * t.at.coef[d]).sum::<i64>())
        };
        let own_last = (!own.is_empty()).then(|| batch.len() + own.len() - 1);
        let k_last = (!k.is_empty()).then(|| coords - 1);
        // Of two that step by one element (a kernel row and an output row) the longer makes the longer runs.
        let extent = |group: &[usize]| group.last().copied().unwrap_or(1);
        let along_own = match (step(own_last).abs() == 1, step(k_last).abs() == 1) {
            (true, true) => extent(&own) >= extent(&k),
            (false, true) => false,
            _ => own_last.is_some(),
        };
        let last = if along_own { own_last } else { k_last };
        Ok(Pack { buf, dtype, casts, reach: Reach::new(&at, last), batch, own, k, along_own })
    }

    /// Fills `[k, own]` or, along k, `[own, k]`.
    fn fill(
        &self,
        from: View<'_>,
        to: View<'_>,
        batch: usize,
        (own, own_len): (usize, usize),
        (k, k_len): (usize, usize),
    ) {
        let (b, o) = (self.batch.len(), self.own.len());
        let (mut lo, mut hi): (Coords, Coords) = ([0; MAX_COORDS], [1; MAX_COORDS]);
        set_box(&self.batch, 0, batch, 1, &mut lo, &mut hi);
        set_box(&self.own, b, own, own_len, &mut lo, &mut hi);
        set_box(&self.k, b + o, k, k_len, &mut lo, &mut hi);
        let region = Region { lo, hi };
        let (own, k) = (b..b + o, b + o..b + o + self.k.len());
        let (rows, lanes, row_count, len) =
            if self.along_own { (k, own, k_len, own_len) } else { (own, k, own_len, k_len) };
        let tile = to.slice_mut::<u32>(0, row_count * len);
        let mut coords = lo;
        for row in tile.chunks_exact_mut(len) {
            fill_lanes(&self.reach, &from, self.dtype, (&region, &lanes, &coords), 0, row);
            for d in rows.clone().rev() {
                coords[d] += 1;
                if coords[d] < hi[d] {
                    break;
                }
                coords[d] = lo[d];
            }
        }
        for cast in &self.casts {
            alu::round_to(*cast, bytemuck::cast_slice_mut(tile));
        }
    }
}
