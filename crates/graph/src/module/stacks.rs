//! Parameters of one shape side by side: what is done tensor by tensor is then done once for all of them.
//!
//! ```text
//! | w0 ... | w1 ... | w2 ... | b0 . | b1 . |      runs 0..3 and 3..5
//!   └──── [3, rows, cols] ───┘ └─ [2, n] ─┘      are views of the buffer
//! ```

use std::{ops::Range, panic::Location};

use smallvec::smallvec;
use thalweg_ir::{DType, Op, shape::count};

use super::{CHUNK, Layout};
use crate::tensor::Tensor;

impl Layout {
    /// In another order, in which parameters of one shape lie side by side; shapes are in the order in which they come first.
    pub fn order_by_shape<T>(params: Vec<T>, shape: impl Fn(&T) -> Vec<usize>) -> Vec<T> {
        let mut runs: Vec<(Vec<usize>, Vec<T>)> = Vec::new();
        for param in params {
            let shape = shape(&param);
            match runs.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, run)) => run.push(param),
                None => runs.push((shape, vec![param])),
            }
        }
        runs.into_iter().flat_map(|(_, run)| run).collect()
    }

    /// Neighbours of one shape, as ranges of parameters.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (i, segment) in self.segments().iter().enumerate() {
            match runs.last_mut().filter(|run| self.segments()[run.start].shape == segment.shape) {
                Some(run) => run.end = i + 1,
                None => runs.push(i..i + 1),
            }
        }
        runs
    }

    /// A run as one tensor, a view.
    ///
    /// # Shapes
    /// `[len]` → `[parameters of the run, shape..]`
    #[track_caller]
    pub fn stack(&self, flat: &Tensor, run: &Range<usize>) -> Tensor {
        let first = &self.segments()[run.start];
        let (n, len, offset) = (run.len(), count(&first.shape), first.offset);
        let room = len.next_multiple_of(CHUNK);
        let rows = flat.slice(0, offset as isize..(offset + n * room) as isize).reshape([n, room]);
        rows.slice(1, ..len as isize).reshape([&[n], &first.shape[..]].concat())
    }

    /// Stacks of all runs as one vector again; what lies between parameters is zero.
    ///
    /// # Shapes
    /// `[parameters of the run, shape..]` of each run → `[len]`
    #[track_caller]
    pub fn unstack(&self, runs: &[Range<usize>], stacks: Vec<Tensor>, dtype: DType) -> Tensor {
        let place = |(run, stack): (&Range<usize>, Tensor)| {
            let len = count(&self.segments()[run.start].shape);
            let between = len.next_multiple_of(CHUNK) - len;
            let rows = stack.cast(dtype).reshape([run.len(), len]);
            rows.pad(&[(0, 0), (0, between as isize)], 0.0).reshape([-1])
        };
        let parts: Vec<Tensor> = runs.iter().zip(stacks).map(place).collect();
        let device = parts[0].device().clone();
        let offsets = runs.iter().map(|run| self.segments()[run.start].offset).collect();
        Tensor::node(
            Op::Pack(offsets),
            parts.into_iter().collect(),
            smallvec![self.len()],
            dtype,
            &device,
            Location::caller(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_shape_are_a_run() {
        let shapes = [vec![2, 3], vec![4], vec![2, 3], vec![4], vec![1]];
        let ordered = Layout::order_by_shape(shapes.to_vec(), Vec::clone);
        assert_eq!(ordered, [vec![2, 3], vec![2, 3], vec![4], vec![4], vec![1]]);
        let layout = Layout::new(ordered.into_iter().map(|shape| (String::new(), shape)));
        assert_eq!(layout.runs(), [0..2, 2..4, 4..5]);
    }
}
