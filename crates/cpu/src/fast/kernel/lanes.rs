//! Where the lanes of a loop are, and which values change along them.

use std::ops::Range;

use thalweg_ir::schedule::ir::{Inst, Loop};

use super::code::Kind;

/// Lanes of a block, where rows are longer than [`ROW`].
pub const BLOCK: usize = 512;
/// Rows up to this length are one block, so that every value of a row is computed once and stays in cache.
pub const ROW: usize = 4096;

/// A set of coordinates.
pub fn bits(coords: Range<usize>) -> u32 {
    coords.fold(0, |set, d| set | 1 << d)
}

/// The coordinates each value changes along.
pub fn varies(l: &Loop) -> Vec<u32> {
    let all = l.outer.len() + l.inner.len();
    let inner = bits(l.outer.len()..all);
    let mut varies: Vec<u32> = Vec::with_capacity(l.body.insts.len());
    for inst in &l.body.insts {
        let own = match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => {
                (0..all).filter(|d| !at.ignores(*d)).fold(0, |s, d| s | 1 << d)
            }
            Inst::Index(at) | Inst::Random { at, .. } => {
                (0..all).filter(|d| !at.ignores(*d)).fold(0, |s, d| s | 1 << d)
            }
            _ => 0,
        };
        let set = inst.operands().iter().fold(own, |s, x| s | varies[*x]);
        varies.push(if matches!(inst, Inst::Reduce(..)) { set & !inner } else { set });
    }
    varies
}

/// The shortest tail of some coordinates with enough lanes for a block.
pub fn suffix(coords: Range<usize>, extents: &[usize]) -> Range<usize> {
    let mut lanes = 1;
    let mut start = coords.end;
    while start > coords.start && lanes < BLOCK / 4 {
        start -= 1;
        lanes *= extents[start];
    }
    start..coords.end
}

/// Lanes along `inner` or along `outer`: whichever makes long blocks of neighbouring elements.
pub fn kind(l: &Loop) -> Kind {
    let (rows, cols) = (l.rows(), l.cols());
    if l.inner.is_empty() || l.body.insts.iter().all(|i| !matches!(i, Inst::Reduce(..))) {
        return Kind::Columns;
    }
    if l.outer.is_empty() {
        return Kind::Rows;
    }
    let (last_outer, last_inner) = (l.outer.len() - 1, l.outer.len() + l.inner.len() - 1);
    let (mut along_outer, mut along_inner) = (0, 0);
    for inst in &l.body.insts {
        if let Inst::Load { at, .. } | Inst::Gather { at, .. } = inst {
            let stride = |d: usize| {
                at.base.coef[d].abs() + at.terms.iter().map(|t| (t.stride * t.at.coef[d] / t.div).abs()).sum::<i64>()
            };
            along_outer += usize::from(stride(last_outer) == 1);
            along_inner += usize::from(stride(last_inner) == 1);
        }
    }
    // Short rows are swept many at a time even if their elements then lie apart.
    if cols < 32 && rows >= 32 {
        return Kind::Columns;
    }
    if along_outer > along_inner && l.outer[last_outer] >= 8 { Kind::Columns } else { Kind::Rows }
}
