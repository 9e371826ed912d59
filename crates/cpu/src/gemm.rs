//! Raw memory and the matrix product: the only `unsafe` code of this crate.
//!
//! Launches write disjoint elements of shared buffers from several threads, and sometimes update a buffer in place. That
//! is not what `&mut` slices can say, so buffers are [`Memory`], read and written through [`View`]s, which check bounds.
//! What they cannot check is the schedule's promise, on which every access below relies: within one launch no element is
//! written by two threads, nor read by one thread while another writes it; launches run one after the other.

#![expect(unsafe_code, reason = "shared buffers and the gemm crate's interface are raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    marker::PhantomData,
    ptr::NonNull,
};

use bytemuck::Pod;
use gemm::Parallelism;

/// Alignment of every buffer: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// Words of a cache line.
pub const LINE: usize = ALIGN / size_of::<u32>();

/// A zero-initialised, 64-byte aligned block of memory.
pub struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: `Memory` owns its block, and hands out only `View`s, whose contract is the module's.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// A block of zeros, or `None` when the system has no memory for it.
    pub fn zeroed(bytes: usize) -> Option<Memory> {
        if bytes == 0 {
            return Some(Memory { start: NonNull::<u128>::dangling().cast(), bytes });
        }
        let layout = Layout::from_size_align(bytes, ALIGN).ok()?;
        // SAFETY: the layout has a size that is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Memory { start, bytes })
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of it.
    pub fn view(&self) -> View<'_> {
        View { start: self.start.as_ptr(), bytes: self.bytes, of: PhantomData }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: allocated in `zeroed` with this layout, which was valid then.
            unsafe { dealloc(self.start.as_ptr(), Layout::from_size_align_unchecked(self.bytes, ALIGN)) }
        }
    }
}

/// A range of a [`Memory`]. Indices are in elements of the type that is asked for.
#[derive(Clone, Copy)]
pub struct View<'a> {
    start: *mut u8,
    bytes: usize,
    of: PhantomData<&'a Memory>,
}

// SAFETY: see the module's contract on concurrent access.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl<'a> View<'a> {
    /// Bytes `start .. start + len` of it.
    pub fn bytes_at(self, start: usize, len: usize) -> View<'a> {
        assert!(start <= self.bytes && len <= self.bytes - start, "a region ends behind its buffer");
        // SAFETY: inside the block, as just checked.
        View { start: unsafe { self.start.add(start) }, bytes: len, of: PhantomData }
    }

    /// Whether they have bytes in common.
    pub fn overlaps(&self, other: &View<'_>) -> bool {
        let (a, b) = (self.start as usize, other.start as usize);
        a < b + other.bytes && b < a + self.bytes
    }

    /// The pointer to element `start`, of which `len` are in bounds.
    #[inline]
    fn at<T: Pod>(&self, start: usize, len: usize) -> *mut T {
        let count = self.bytes / size_of::<T>();
        assert!(start <= count && len <= count - start, "elements {start}..+{len} of a buffer of {count}");
        // SAFETY: inside the block, as just checked. Regions begin at whole elements of an aligned block.
        unsafe { self.start.cast::<T>().add(start) }
    }

    /// Elements `start .. start + len`, which nothing may write while the slice is used.
    #[inline]
    pub fn slice<T: Pod>(&self, start: usize, len: usize) -> &'a [T] {
        let at = self.at::<T>(start, len);
        // SAFETY: in bounds, initialised (blocks begin as zeros), any bit pattern is a `T`; not written meanwhile.
        unsafe { std::slice::from_raw_parts(at, len) }
    }

    /// Whether it is larger than what a core keeps near by itself.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.bytes > 1 << 20
    }

    /// Has the words from `start` on brought near, as many as there are of `len`, while others are computed with.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn fetch(&self, start: usize, len: usize) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let end = (start + len).min(self.bytes / size_of::<u32>());
        for word in (start..end).step_by(LINE) {
            // SAFETY: inside the block; a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.start.cast::<u32>().add(word).cast()) }
        }
    }

    /// Here the processor brings near by itself what is read in order.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub fn fetch(&self, _start: usize, _len: usize) {}

    /// Writes elements, which lie there already or elsewhere altogether.
    #[inline]
    pub fn put<T: Pod>(&self, start: usize, from: &[T]) {
        let to = self.at::<T>(start, from.len());
        if !std::ptr::eq(to, from.as_ptr()) {
            // SAFETY: in bounds; not shared meanwhile, so also not with `from`.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) }
        }
    }

    /// Elements `start .. start + len`, which nothing else may read or write while the slice is used.
    #[inline]
    pub fn slice_mut<T: Pod>(&self, start: usize, len: usize) -> &'a mut [T] {
        let at = self.at::<T>(start, len);
        // SAFETY: in bounds and initialised; not shared meanwhile.
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }
}

impl View<'_> {
    /// Writes rows of `len` elements: `start + row · next + t · step`. What lies between may belong to another thread, so
    /// there is no slice of it.
    #[inline]
    pub fn scatter_rows<T: Pod>(&self, start: usize, next: isize, step: isize, len: usize, from: &[T]) {
        if from.is_empty() {
            return;
        }
        let rows = from.len().div_ceil(len) as isize;
        let ends = [next * (rows - 1), step * (len as isize - 1)];
        let low: isize = ends.iter().map(|e| (*e).min(0)).sum();
        let high: isize = ends.iter().map(|e| (*e).max(0)).sum();
        assert!(start as isize + low >= 0, "elements in front of a buffer");
        let _: *mut T = self.at((start as isize + high) as usize, 1);
        let first: *mut T = self.at(start, 1);
        for (row, from) in from.chunks(len).enumerate() {
            for (t, x) in from.iter().enumerate() {
                // SAFETY: between the lowest and the highest element, which are in bounds; see the module's contract.
                unsafe { *first.offset(row as isize * next + t as isize * step) = *x }
            }
        }
    }
}

/// A strided matrix of f32 in a buffer: element `(i, j)` is `start + i · rows + j · cols` of it.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The buffer.
    pub view: View<'a>,
    /// Element `(0, 0)`.
    pub start: usize,
    /// Elements between rows.
    pub rows: isize,
    /// Elements between columns.
    pub cols: isize,
}

impl Matrix<'_> {
    /// The first element, when all of an `m × n` matrix is in bounds.
    fn pointer(&self, m: usize, n: usize) -> *mut f32 {
        let reach = |stride: isize, count: usize| stride * count.saturating_sub(1) as isize;
        let ends = [reach(self.rows, m), reach(self.cols, n)];
        let low: isize = ends.iter().map(|e| (*e).min(0)).sum();
        let high: isize = ends.iter().map(|e| (*e).max(0)).sum();
        let start = self.start as isize;
        let count = (self.view.bytes / size_of::<f32>()) as isize;
        assert!(start + low >= 0 && start + high < count, "a matrix reaches behind its buffer");
        self.view.at::<f32>(self.start, 1)
    }
}

/// `C = A · B`, or `C += A · B`, with `A: m × k`, `B: k × n`, accumulated in f32.
///
/// The bits do not depend on `parallel`: threads split rows and columns of `C`, never `k`.
pub fn matmul([m, n, k]: [usize; 3], c: Matrix<'_>, accumulate: bool, a: Matrix<'_>, b: Matrix<'_>, parallel: bool) {
    if m == 0 || n == 0 {
        return;
    }
    let (a_start, b_start) =
        if k == 0 { (std::ptr::null_mut(), std::ptr::null_mut()) } else { (a.pointer(m, k), b.pointer(k, n)) };
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: all three matrices are in bounds (checked above); nothing else writes C, A or B meanwhile, and C overlaps
    // neither, by the module's contract.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.pointer(m, n),
            c.cols,
            c.rows,
            accumulate,
            a_start,
            a.cols,
            a.rows,
            b_start,
            b.cols,
            b.rows,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Steps of k that are one chain of additions in [`matmul_long`].
const CHAIN: usize = 32;

/// Whether sums of `k` products for `m × n` results are worth [`matmul_long`]: chains so long that their rounding shows
/// (the error of a chain grows with its length), and results so few that adding parts of them costs little.
pub fn is_long([m, n, k]: [usize; 3]) -> bool {
    k >= 1024 && m * n <= 1 << 13
}

/// The same as [`matmul`] on one thread, in chains of [`CHAIN`] that are added one after the other. `part` holds `m × n`.
pub fn matmul_long(
    [m, n, k]: [usize; 3],
    c: Matrix<'_>,
    accumulate: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    part: View<'_>,
) {
    let at = |first: usize| {
        let a_start = a.start as isize + first as isize * a.cols;
        let b_start = b.start as isize + first as isize * b.rows;
        (Matrix { start: a_start as usize, ..a }, Matrix { start: b_start as usize, ..b })
    };
    let sums = Matrix { view: part, start: 0, rows: n as isize, cols: 1 };
    for first in (0..k).step_by(CHAIN) {
        let (a, b) = at(first);
        let len = CHAIN.min(k - first);
        if first == 0 && !accumulate {
            matmul([m, n, len], c, false, a, b, false);
            continue;
        }
        matmul([m, n, len], sums, false, a, b, false);
        add([m, n], c, part.slice(0, m * n));
    }
}

/// `C += x`, with `x` dense.
pub fn add([m, n]: [usize; 2], c: Matrix<'_>, x: &[f32]) {
    let to = c.pointer(m, n);
    for (i, row) in x.chunks_exact(n).take(m).enumerate() {
        for (j, x) in row.iter().enumerate() {
            // SAFETY: inside the matrix, whose corners `pointer` has checked; see the module's contract.
            unsafe { *to.offset(i as isize * c.rows + j as isize * c.cols) += x }
        }
    }
}
