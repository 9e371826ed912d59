//! The definition of every op: plain loops over dense row-major `f64` values.
//!
//! Every other executor is held to these. One op family a file; nothing here knows about storage, rounding or devices.
//! Shapes are those that [`thalweg_ir::Op`] documents and the graph has checked.

pub mod binary;
pub mod cast;
pub mod concat;
pub mod conv;
pub mod index;
pub mod matmul;
pub mod movement;
pub mod random;
pub mod reduce;
pub mod scan;
pub mod unary;
pub mod windows;

use thalweg_ir::shape::count;

/// A dense row-major array.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    /// Its elements.
    pub data: &'a [f64],
    /// Its extents.
    pub shape: &'a [usize],
}

/// Calls `f` with every index of an array of this shape, in row-major order.
pub(crate) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..count(shape) {
        f(&index);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
}

/// The element number of an index: `Σ_d index[d] · strides[d]`.
pub(crate) fn offset(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_row_major_and_an_empty_shape_has_one() {
        let mut seen = Vec::new();
        for_each_index(&[2, 2], |i| seen.push(i.to_vec()));
        assert_eq!(seen, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        let mut calls = 0;
        for_each_index(&[], |_| calls += 1);
        for_each_index(&[3, 0], |_| calls += 10);
        assert_eq!(calls, 1);
    }
}
