//! Rows combined by segment.
//!
//! A task owns a range of segments: it starts them, then walks over all rows and adds those that belong to it.
//!
//! ```text
//! segment   7 3 7 1 9 3          task of 0..4:  y[3] ← x[1], x[5]   y[1] ← x[3]
//!                                task of 4..10: y[7] ← x[0], x[2]   y[9] ← x[4]
//! ```
//!
//! So each element has one writer and one order, whatever the threads do, and what is written is written while it is in the cache.
//! Looking at every number once for each task costs little beside the rows.

use bytemuck::Pod;
use half::{bf16, f16};
use rayon::prelude::*;
use thalweg_ir::{DType, ReduceOp, op::segments::Segments, schedule::ir::Whole};

use super::Bound;

/// Elements that a task writes: they stay in its core's cache.
const MOST: usize = 1 << 16;
/// Elements below which a task is not worth its start.
const LEAST: usize = 1 << 12;

/// Computes both results.
pub fn execute(of: &Segments, whole: &Whole, bound: Bound<'_>) {
    let run = Run { of, whole, bound };
    let least = of.op == ReduceOp::Min;
    // The larger, or smaller; what is not a number wins.
    macro_rules! extreme {
        ($wide:expr) => {
            |y, x| {
                let (a, b) = ($wide(y), $wide(x));
                let better = if least { b < a } else { b > a };
                // Only what is not a number differs from itself.
                if better || b != b { x } else { y }
            }
        };
    }
    let dtype = (bound.dtype)(whole.inputs[0].buf);
    let start = of.identity(dtype);
    match (of.op, dtype) {
        (ReduceOp::Sum, DType::F32 | DType::F64) => run.combine(0f32, |y, x: f32| y + x),
        (ReduceOp::Sum, DType::F16) => run.combine(0f32, |y, x: f16| y + x.to_f32()),
        (ReduceOp::Sum, DType::BF16) => run.combine(0f32, |y, x: bf16| y + x.to_f32()),
        (ReduceOp::Sum, DType::I32) => run.combine(0i32, |y, x: i32| y.wrapping_add(x)),
        (ReduceOp::Sum, DType::U32 | DType::Bool) => run.combine(0u32, |y, x: u32| y.wrapping_add(x)),
        (ReduceOp::Prod, DType::F32 | DType::F64) => run.combine(1f32, |y, x: f32| y * x),
        (ReduceOp::Prod, DType::F16) => run.combine(1f32, |y, x: f16| y * x.to_f32()),
        (ReduceOp::Prod, DType::BF16) => run.combine(1f32, |y, x: bf16| y * x.to_f32()),
        (ReduceOp::Prod, DType::I32) => run.combine(1i32, |y, x: i32| y.wrapping_mul(x)),
        (ReduceOp::Prod, DType::U32 | DType::Bool) => run.combine(1u32, |y, x: u32| y.wrapping_mul(x)),
        (_, DType::F32 | DType::F64) => run.combine(start as f32, extreme!(std::convert::identity)),
        (_, DType::F16) => run.combine(f16::from_f64(start), extreme!(f16::to_f32)),
        (_, DType::BF16) => run.combine(bf16::from_f64(start), extreme!(bf16::to_f32)),
        (_, DType::I32) => run.combine(start as i32, extreme!(std::convert::identity)),
        (_, DType::U32 | DType::Bool) => run.combine(start as u32, extreme!(std::convert::identity)),
    }
}

struct Run<'a> {
    of: &'a Segments,
    whole: &'a Whole,
    bound: Bound<'a>,
}

impl Run<'_> {
    /// Combines rows of `X` in `Y`, from `start`.
    fn combine<X: Pod + Sync, Y: Pod + Send + Sync>(&self, start: Y, f: impl Fn(Y, X) -> Y + Sync) {
        let [a, j, b] = [0, 1, 2].map(|d| self.whole.inputs[0].shape[d]);
        let x: &[X] = self.bound.read(&self.whole.inputs[0]);
        let segment: &[i32] = self.bound.read(&self.whole.inputs[1]);
        let each = (a * self.of.count * b.max(1) / (4 * rayon::current_num_threads())).clamp(LEAST, MOST);
        let range = (each / b.max(1)).clamp(1, self.of.count.max(1));
        let ranges = self.of.count.div_ceil(range);
        let task = |task: usize| {
            let (a, first) = (task / ranges, task % ranges * range);
            let here = first..(first + range).min(self.of.count);
            let from = a * self.of.count + here.start;
            let of = |k: usize| self.whole.outputs[k].as_ref().map(|array| self.bound.views[array.buf]);
            let mut y = of(0).map(|view| view.slice_mut::<Y>(from * b, here.len() * b));
            let mut count = of(1).map(|view| view.slice_mut::<i32>(from, here.len()));
            y.iter_mut().for_each(|y| y.fill(start));
            count.iter_mut().for_each(|count| count.fill(0));
            for (row, number) in segment[a * j..][..j].iter().enumerate() {
                let Some(to) = usize::try_from(*number).ok().filter(|to| here.contains(to)) else { continue };
                let to = to - here.start;
                if let Some(count) = &mut count {
                    count[to] += 1;
                }
                if let Some(y) = &mut y {
                    let x = &x[(a * j + row) * b..][..b];
                    y[to * b..][..b].iter_mut().zip(x).for_each(|(y, x)| *y = f(*y, *x));
                }
            }
        };
        if self.bound.shared {
            (0..a * ranges).into_par_iter().for_each(task);
        } else {
            (0..a * ranges).for_each(task);
        }
    }
}
