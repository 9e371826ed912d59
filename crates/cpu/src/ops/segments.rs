//! Rows combined by segment.

use thalweg_ir::{ReduceOp, op::segments::Segments};

use super::Array;

/// `y[a, s]`: the rows `x[a, j]` with `segment[a, j] = s`, combined in ascending `j`; and how many they are.
pub fn segments(of: &Segments, identity: f64, x: Array, segment: Array) -> [Vec<f64>; 2] {
    let [a, j, b] = [x.shape[0], x.shape[1], x.shape[2]];
    let (mut y, mut count) = (vec![identity; a * of.count * b], vec![0.0; a * of.count]);
    for (row, segment) in segment.data.iter().enumerate() {
        if *segment < 0.0 || *segment >= of.count as f64 {
            continue;
        }
        let to = row / j * of.count + *segment as usize;
        count[to] += 1.0;
        for (y, x) in y[to * b..][..b].iter_mut().zip(&x.data[row * b..][..b]) {
            *y = match of.op {
                ReduceOp::Max if x.is_nan() || *x > *y => *x,
                ReduceOp::Min if x.is_nan() || *x < *y => *x,
                ReduceOp::Max | ReduceOp::Min => *y,
                ReduceOp::Prod => *y * x,
                _ => *y + x,
            };
        }
    }
    [y, count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_no_segment_are_left_out() {
        let x = Array { data: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], shape: &[1, 4, 2] };
        let segment = Array { data: &[2.0, 0.0, 2.0, -1.0], shape: &[1, 4] };
        let sum = Segments { op: ReduceOp::Sum, count: 3 };
        assert_eq!(segments(&sum, 0.0, x, segment), [vec![3.0, 4.0, 0.0, 0.0, 6.0, 8.0], vec![1.0, 0.0, 2.0]]);
        let max = Segments { op: ReduceOp::Max, count: 3 };
        let none = f64::NEG_INFINITY;
        assert_eq!(segments(&max, none, x, segment)[0], [3.0, 4.0, none, none, 5.0, 6.0]);
    }
}
