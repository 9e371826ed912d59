//! A [`Loop`](thalweg_ir::schedule::ir::Loop) as code on blocks of lanes.
//!
//! Lanes are the last coordinates of `inner` (rows: each row is swept in blocks) or of `outer` (columns: a block of rows
//! at once, one step of `inner` after the other; loops without `inner` are of this kind). A value that does not change
//! along the lanes is *uniform*: one word that stands for all.

use std::ops::Range;

use thalweg_ir::{
    Class, DType, ReduceOp,
    op::{binary::BinaryOp, unary::UnaryOp},
    schedule::ir::BufId,
};

use super::{
    access::{Reach, Sparse},
    pair::Pair,
};

/// A register, and whether it holds one lane for all.
#[derive(Clone, Copy, Debug)]
pub struct Src {
    pub reg: usize,
    pub uniform: bool,
}

/// What an instruction does; registers instead of values.
#[derive(Clone, Debug)]
pub enum What {
    Load {
        buf: BufId,
        dtype: DType,
        at: Reach,
        fill: u32,
        /// What is written before its words are read for the last time: where its buffer is of these, they are copied.
        written: Vec<BufId>,
    },
    Gather {
        buf: BufId,
        dtype: DType,
        at: Reach,
        fill: u32,
        index: Src,
        along: bool,
        stride: i64,
        bound: i64,
        check: usize,
    },
    Within {
        index: Src,
        bound: i64,
        check: usize,
    },
    InBounds(Reach),
    Word(u32),
    Scalar(usize),
    Index {
        at: Sparse,
        step: i64,
        class: Class,
    },
    Random {
        at: Sparse,
        step: i64,
        stream: [Src; 4],
    },
    Unary(UnaryOp, Class, Src),
    Binary(BinaryOp, Class, Src, Src),
    Pair(Pair, [Src; 3]),
    Select(Src, Src, Src),
    Cast(Class, DType, Src),
    Splat(Src),
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Instr {
    pub what: What,
    pub dst: Src,
}

/// A value combined over a sweep.
#[derive(Clone, Debug)]
pub struct Reduction {
    pub op: ReduceOp,
    pub class: Class,
    pub src: Src,
    /// What `src` is multiplied by on the way into a sum of floats.
    pub times: Option<Src>,
    pub dst: Src,
}

/// A value written to a buffer.
#[derive(Clone, Debug)]
pub struct Put {
    pub buf: BufId,
    pub dtype: DType,
    pub at: Sparse,
    pub step: i64,
    /// The same address, to be walked.
    pub reach: Reach,
    pub src: Src,
    /// Coordinates that the address ignores: the element is written where they are all 0.
    pub ignored: Vec<usize>,
}

/// Code that is run at every block, or step, of a sweep, and the code before it, once per row.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    pub before: Vec<Instr>,
    pub code: Vec<Instr>,
    pub reductions: Vec<Reduction>,
    pub puts: Vec<Put>,
}

/// Where the lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Along `inner`.
    Rows,
    /// Along `outer`.
    Columns,
}

/// A compiled loop.
#[derive(Clone, Debug)]
pub struct LoopCode {
    pub kind: Kind,
    pub extents: Vec<usize>,
    /// How many of the coordinates are outer.
    pub outer: usize,
    /// The coordinates of lanes.
    pub lanes: Range<usize>,
    /// Most lanes of a block.
    pub block: usize,
    /// Whether blocks go down the rows first: a load steps by one element from row to row, and far along the lanes.
    pub down: bool,
    pub prologue: Vec<Instr>,
    pub sweeps: Vec<Sweep>,
    /// Per-row results.
    pub puts: Vec<Put>,
    pub registers: usize,
    /// Cache lines of the next block to be asked for behind each instruction, so that all are when it is over.
    pub lines: usize,
    /// Instructions per lane and step of a sweep, weighted.
    pub weight: usize,
    /// Extents of each group of outer coordinates, merged.
    pub groups: Vec<Vec<usize>>,
}

impl LoopCode {
    /// Makes the address of every load from a buffer depend on a coordinate that no loop counts: the caller of
    /// [`LoopCode::execute`] sets it in the region.
    pub fn shift_loads(&mut self, from: BufId, coordinate: usize, factor: i64) {
        let sweeps = self.sweeps.iter_mut().flat_map(|s| s.before.iter_mut().chain(&mut s.code));
        for instr in self.prologue.iter_mut().chain(sweeps) {
            if let What::Load { buf, at, .. } = &mut instr.what
                && *buf == from
            {
                at.shift(coordinate, factor);
            }
        }
    }
}
