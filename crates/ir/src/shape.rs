//! Shapes.

use smallvec::SmallVec;

use crate::dtype::DType;

/// The extents of a node's axes; those of four lie in place.
pub type Extents = SmallVec<[usize; 4]>;

/// What is known of a tensor before it is computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Its extents.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: DType,
}

impl Type {
    /// Its elements.
    pub fn count(&self) -> usize {
        count(&self.shape)
    }
}

/// The most axes a tensor can have.
pub const MAX_RANK: usize = 8;

/// The most elements a tensor can have: their bytes, and distances between any two of them, fit an `isize`.
pub const MAX_ELEMENTS: usize = isize::MAX as usize / 16;

/// Elements of a shape; of one that no tensor can have, what fits a `usize`.
pub fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, d| n.saturating_mul(*d))
}

/// Why no tensor has this shape, if so.
pub fn excess(shape: &[usize]) -> Option<String> {
    if shape.len() > MAX_RANK {
        return Some(format!("has more than {MAX_RANK} axes"));
    }
    // An axis of extent 0 excuses no other: strides and the sizes of parts are computed all the same.
    let elements = shape.iter().fold(1usize, |n, d| n.saturating_mul((*d).max(1)));
    (elements > MAX_ELEMENTS).then(|| "is too large: it has more elements than fit an address".into())
}

/// Row-major strides, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d].saturating_mul(shape[d]);
    }
    strides
}

/// The shape that both broadcast to: aligned at the last axis, extents equal or 1.
pub fn broadcast(lhs: &[usize], rhs: &[usize]) -> Option<Extents> {
    let rank = lhs.len().max(rhs.len());
    let extent = |shape: &[usize], d: usize| (d + shape.len()).checked_sub(rank).map_or(1, |d| shape[d]);
    (0..rank)
        .map(|d| match (extent(lhs, d), extent(rhs, d)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}
