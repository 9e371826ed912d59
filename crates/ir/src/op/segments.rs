//! Rows combined by the segment that each belongs to: the gradient of an embedding, and every scatter.

use super::{
    binary::BinaryOp,
    compose::{Compose, Value},
    compound::{Compound, Operand},
    reduce::ReduceOp,
};
use crate::{dtype::DType, shape::Type};

/// `(x [A, J, B], segment [A, J] I32) → y [A, S, B], count [A, S] I32`: `y[a, s]` is the combination of the rows `x[a, j]` whose
/// `segment[a, j]` is `s`, in ascending `j`, and `count[a, s]` how many they are. Rows of a segment outside `0..S` belong to none; a
/// segment without rows is the identity: 0, 1, or the least or greatest number.
///
/// Sums and products of 16-bit floats are F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segments {
    /// `Sum`, `Prod`, `Max` or `Min`.
    pub op: ReduceOp,
    /// How many segments there are: `S`.
    pub count: usize,
}

/// Steps of the composed form, which compares every row with every segment, from which on a kernel is faster.
const WORTH_A_LAUNCH: usize = 1 << 15;
/// Elements of the result from which on there are enough to keep a device busy that walks through a segment's rows one by one.
const ENOUGH: usize = 1 << 10;

impl Segments {
    /// What a segment without rows comes to.
    pub fn identity(&self, dtype: DType) -> f64 {
        match self.op {
            ReduceOp::Max | ReduceOp::Min => dtype.lowest(self.op == ReduceOp::Min),
            ReduceOp::Prod => 1.0,
            _ => 0.0,
        }
    }

    /// The dtype of the combined rows.
    pub fn dtype(&self, of: DType) -> DType {
        if matches!(self.op, ReduceOp::Sum | ReduceOp::Prod) { of.wide() } else { of }
    }
}

impl Compound for Segments {
    fn name(&self) -> &'static str {
        match self.op {
            ReduceOp::Max => "segment_max",
            ReduceOp::Min => "segment_min",
            ReduceOp::Prod => "segment_prod",
            _ => "segment_sum",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Vec<Type> {
        let [a, _, b] = [0, 1, 2].map(|d| inputs[0].shape[d]);
        let combined = Type { shape: vec![a, self.count, b], dtype: self.dtype(inputs[0].dtype) };
        vec![combined, Type { shape: vec![a, self.count], dtype: DType::I32 }]
    }

    /// `y[a, s, b] = Σ_j where(segment[a, j] = s, x[a, j, b], 0)`.
    fn compose(&self, c: &mut dyn Compose, inputs: &[Value]) -> Option<Vec<Value>> {
        let Type { shape, dtype } = c.type_of(inputs[0]);
        let (a, j, b, s) = (shape[0], shape[1], shape[2], self.count);
        let mut hits = |wide: &[usize]| {
            let thin: Vec<usize> = [a, 1, j].into_iter().chain(wide[3..].iter().map(|_| 1)).collect();
            let segment = c.reshape(inputs[1], &thin);
            let segment = c.expand(segment, wide);
            let number = c.iota(1, wide);
            c.binary(BinaryOp::Eq, segment, number)
        };
        let (hit, member) = (hits(&[a, s, j, b]), hits(&[a, s, j]));
        let x = c.reshape(inputs[0], &[a, 1, j, b]);
        let x = c.expand(x, &[a, s, j, b]);
        let identity = c.number(self.identity(dtype), &[a, s, j, b], dtype);
        let part = c.select(hit, x, identity);
        let member = c.cast(member, DType::I32);
        Some(vec![c.reduce(self.op, part, 2, self.dtype(dtype)), c.reduce(ReduceOp::Sum, member, 2, DType::I32)])
    }

    fn reference(&self, inputs: &[Operand<'_>], types: &[Type]) -> Option<Vec<Vec<f64>>> {
        let [Operand { data: x, shape }, Operand { data: segments, .. }] = inputs else { return None };
        let [a, j, b] = [shape[0], shape[1], shape[2]];
        let (mut y, mut count) = (vec![self.identity(types[0].dtype); a * self.count * b], vec![0.0; a * self.count]);
        for (row, segment) in segments.iter().enumerate() {
            if *segment < 0.0 || *segment >= self.count as f64 {
                continue;
            }
            let to = row / j * self.count + *segment as usize;
            count[to] += 1.0;
            for (y, x) in y[to * b..][..b].iter_mut().zip(&x[row * b..][..b]) {
                *y = match self.op {
                    ReduceOp::Max if x.is_nan() || *x > *y => *x,
                    ReduceOp::Min if x.is_nan() || *x < *y => *x,
                    ReduceOp::Max | ReduceOp::Min => *y,
                    ReduceOp::Prod => *y * x,
                    _ => *y + x,
                };
            }
        }
        Some(vec![y, count])
    }

    fn pays(&self, inputs: &[Type]) -> bool {
        let (rows, results) = (inputs[0].shape[1], self.outputs(inputs)[0].count());
        results >= ENOUGH && results.saturating_mul(rows) >= WORTH_A_LAUNCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_no_segment_are_left_out() {
        let x = Operand { data: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], shape: &[1, 4, 2] };
        let segment = Operand { data: &[2.0, 0.0, 2.0, -1.0], shape: &[1, 4] };
        let types = [(vec![1, 4, 2], DType::F32), (vec![1, 4], DType::I32)].map(|(shape, dtype)| Type { shape, dtype });
        let of = |op| Segments { op, count: 3 }.reference(&[x, segment], &types);
        let sums = vec![vec![3.0, 4.0, 0.0, 0.0, 6.0, 8.0], vec![1.0, 0.0, 2.0]];
        assert_eq!(of(ReduceOp::Sum), Some(sums));
        let none = f64::NEG_INFINITY;
        let greatest = vec![vec![3.0, 4.0, none, none, 5.0, 6.0], vec![1.0, 0.0, 2.0]];
        assert_eq!(of(ReduceOp::Max), Some(greatest));
    }
}
