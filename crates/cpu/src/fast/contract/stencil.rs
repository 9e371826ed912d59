//! Depthwise convolutions: per plane a small sum of shifted copies, which no matrix product helps.
//!
//! The input plane is copied into a frame of zeros, so that the sum over the kernel needs no guards:
//! `y[i, j] = Σ_k w[k] · frame[i · pitch + j + shift[k]]`.

use pulp::{Arch, NullaryFnOnce};
use thalweg_ir::{
    DType,
    schedule::ir::{BufId, Contract, Linear, Read, Term},
};

use crate::{
    fast::kernel::access::{Coords, Sparse},
    gemm::View,
};

/// Columns that are summed together.
const LANES: usize = 32;

/// A product with one row per batch whose right side slides over planes, one step at a time.
#[derive(Debug)]
pub struct Stencil {
    pub x: BufId,
    w: BufId,
    /// Addresses of the weights' first element and of a plane's, over `batch ++ k` and `batch ++ n`.
    w_at: Sparse,
    x_at: Sparse,
    /// Elements of the weights from one kernel position to the next.
    w_steps: Vec<i64>,
    /// Extents of the output plane, of the input plane and of the frame; where the input lies in the frame.
    plane: [usize; 2],
    source: [i64; 2],
    strides: [i64; 2],
    frame: [usize; 2],
    low: [i64; 2],
    shifts: Vec<usize>,
    /// Planes of one batch: the leading coordinates of n.
    pub planes: Vec<usize>,
}

impl Stencil {
    /// The stencil of a contraction, if it is one: F32 without casts, `m = 1`, two guards that each slide by one.
    pub fn new(c: &Contract) -> Option<Stencil> {
        let f32 = |read: &Read<'_>| read.dtype == DType::F32 && read.casts.iter().all(|d| *d == DType::F32);
        let [w, x] = [c.a.read().filter(f32)?, c.b.read().filter(f32)?];
        let count = |x: &[usize]| x.iter().product::<usize>();
        if count(&c.m) != 1 || c.n.len() < 2 || count(&c.k) > 64 || !w.at.terms.is_empty() {
            return None;
        }
        let (b, k, n) = (c.batch.len(), c.k.len(), c.n.len());
        let [rows, cols] = &x.at.terms[..] else { return None };
        // Which of the two guards slides along the last coordinate does not matter.
        let last = b + k + n - 1;
        let (rows, cols) = if rows.at.coef[last] != 0 { (cols, rows) } else { (rows, cols) };
        let extent = |d: usize| if d < b + k { c.k[d - b] } else { c.n[d - b - k] };
        let slides = |t: &Term, d: usize| {
            let others =
                (b + k..=last).filter(|e| *e != d).chain(0..b).all(|e| t.at.ignores(e) || (e >= b && extent(e) == 1));
            t.div == 1 && t.at.coef[d] == 1 && others
        };
        let base_moves = (b..b + k).chain([last - 1, last]).any(|d| extent(d) > 1 && !x.at.base.ignores(d));
        if !slides(rows, last - 1) || !slides(cols, last) || base_moves {
            return None;
        }
        let positions: Vec<Vec<usize>> = (0..count(&c.k)).map(|i| unflatten(&c.k, i)).collect();
        let at_k = |form: &Linear, p: &[usize]| (0..k).map(|d| form.coef[b + d] * p[d] as i64).sum::<i64>();
        let offsets = |t: &Term| -> Vec<i64> { positions.iter().map(|p| t.at.offset + at_k(&t.at, p)).collect() };
        let (row_offsets, col_offsets) = (offsets(rows), offsets(cols));
        let low = [*row_offsets.iter().min()?, *col_offsets.iter().min()?];
        let high = [*row_offsets.iter().max()?, *col_offsets.iter().max()?];
        let plane = [c.n[n - 2], c.n[n - 1]];
        let frame = [0, 1].map(|i| plane[i] + (high[i] - low[i]) as usize);
        let shifts = row_offsets.iter().zip(&col_offsets);
        let m = c.m.len();
        let w_steps = positions.iter().map(|p| (0..k).map(|d| w.at.base.coef[b + m + d] * p[d] as i64).sum()).collect();
        let head = |form: &Linear, skip: usize| {
            // Over `batch ++ planes`; k and m are 0 there.
            let coef = form.coef[..b].iter().chain(&form.coef[b + skip..]).copied().collect();
            Sparse::new(&Linear { offset: form.offset, coef })
        };
        Some(Stencil {
            x: x.buf,
            w: w.buf,
            w_at: Sparse::new(&Linear::new(w.at.base.offset, &w.at.base.coef[..b])),
            x_at: head(&x.at.base, k),
            w_steps,
            plane,
            source: [rows.bound, cols.bound],
            strides: [rows.stride, cols.stride],
            frame,
            low,
            shifts: shifts.map(|(r, c)| (r - low[0]) as usize * frame[1] + (c - low[1]) as usize).collect(),
            planes: c.n[..n - 2].to_vec(),
        })
    }

    /// Elements of the frame, with room for lanes behind its end.
    pub fn frame_len(&self) -> usize {
        self.frame[0] * self.frame[1] + LANES
    }

    /// Output elements of a plane.
    pub fn plane_len(&self) -> usize {
        self.plane[0] * self.plane[1]
    }

    /// Positions of the kernel.
    pub fn taps(&self) -> usize {
        self.shifts.len()
    }

    /// Sums one plane: `coords` is its point of `batch ++ planes`. Writes `[rows, cols]` to `to`.
    pub fn run(&self, arch: Arch, views: &[View<'_>], coords: &Coords, frame: View<'_>, to: &mut [f32]) {
        let frame = frame.slice_mut::<f32>(0, self.frame_len());
        self.fill(views[self.x], self.x_at.at(coords), frame);
        let w_start = self.w_at.at(coords);
        let weights: Vec<f32> =
            self.w_steps.iter().map(|s| views[self.w].slice::<f32>((w_start + s) as usize, 1)[0]).collect();
        arch.dispatch(Sums {
            frame,
            pitch: self.frame[1],
            shifts: &self.shifts,
            weights: &weights,
            cols: self.plane[1],
            to,
        });
    }

    /// Copies the input plane into the frame.
    fn fill(&self, from: View<'_>, start: i64, frame: &mut [f32]) {
        frame.fill(0.0);
        let width = self.frame[1] as i64;
        // Frame column `j` is source column `j + low`.
        let first = (-self.low[1]).clamp(0, width);
        let count = (self.source[1] - (first + self.low[1])).clamp(0, width - first) as usize;
        if count == 0 {
            return;
        }
        for i in 0..self.frame[0] {
            let row = i as i64 + self.low[0];
            if row < 0 || row >= self.source[0] {
                continue;
            }
            let at = start + self.strides[0] * row + self.strides[1] * (first + self.low[1]);
            let to = &mut frame[i * self.frame[1] + first as usize..][..count];
            if self.strides[1] == 1 {
                to.copy_from_slice(from.slice(at as usize, count));
            } else {
                for (j, y) in to.iter_mut().enumerate() {
                    *y = from.slice::<f32>((at + self.strides[1] * j as i64) as usize, 1)[0];
                }
            }
        }
    }
}

/// The point at a row-major position.
fn unflatten(extents: &[usize], mut index: usize) -> Vec<usize> {
    let mut point = vec![0; extents.len()];
    for d in (0..extents.len()).rev() {
        point[d] = index % extents[d];
        index /= extents[d];
    }
    point
}

/// The sums of one plane.
struct Sums<'a> {
    frame: &'a [f32],
    pitch: usize,
    shifts: &'a [usize],
    weights: &'a [f32],
    cols: usize,
    to: &'a mut [f32],
}

impl NullaryFnOnce for Sums<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Sums { frame, pitch, shifts, weights, cols, to } = self;
        for (row, y) in to.chunks_exact_mut(cols).enumerate() {
            let frame = &frame[row * pitch..];
            if cols < LANES {
                // Lanes behind the row's end read what follows it, and are not used.
                y.copy_from_slice(&sum(frame, shifts, weights)[..cols]);
                continue;
            }
            for first in (0..cols).step_by(LANES) {
                // The last ones end with the row; what they have in common with those in front of them is the same.
                let first = first.min(cols - LANES);
                // Whole, so that they stay in registers: a part of them would be memory.
                y[first..][..LANES].copy_from_slice(&sum(&frame[first..], shifts, weights));
            }
        }
    }
}

/// The sums of the first columns.
#[inline(always)]
fn sum(frame: &[f32], shifts: &[usize], weights: &[f32]) -> [f32; LANES] {
    let mut sum = [0.0; LANES];
    for (shift, w) in shifts.iter().zip(weights) {
        let x = &frame[*shift..][..LANES];
        for j in 0..LANES {
            sum[j] += w * x[j];
        }
    }
    sum
}
