//! Accumulators. Their shape and the order of their sums are fixed by the loop's shape, never by the number of threads.

use bytemuck::{cast_slice, cast_slice_mut};
use pulp::{Arch, NullaryFnOnce};
use thalweg_ir::{Class, ReduceOp};

use super::alu::{larger, smaller};

/// Lanes of an accumulator over a row: lane `j` takes the elements `j, j + WIDTH, …`.
pub const WIDTH: usize = 32;

/// A running combination, lane by lane.
#[derive(Clone, Debug, Default)]
pub struct Acc {
    /// The value of each lane, in the class of the operand.
    pub value: Vec<u32>,
    /// Where it was found, for [`ReduceOp::ArgMax`] and [`ReduceOp::ArgMin`].
    pub position: Vec<u32>,
}

fn finds(op: ReduceOp) -> bool {
    matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin)
}

/// The combination of nothing. With no element at all a position is 0; see [`Acc::finish`].
fn identity(op: ReduceOp, class: Class) -> u32 {
    use ReduceOp::*;
    match (op, class) {
        (Sum, Class::Float) => 0.0f32.to_bits(),
        (Prod, Class::Float) => 1.0f32.to_bits(),
        (Max | ArgMax, Class::Float) => f32::NEG_INFINITY.to_bits(),
        (Min | ArgMin, Class::Float) => f32::INFINITY.to_bits(),
        (Sum, _) => 0,
        (Prod, _) => 1,
        (Max | ArgMax, Class::Int) => i32::MIN as u32,
        (Min | ArgMin, Class::Int) => i32::MAX as u32,
        (Max | ArgMax, _) => 0,
        (Min | ArgMin, _) => u32::MAX,
    }
}

/// `acc[i] = acc[i] ∘ x[i]` on as many lanes as the operand has.
macro_rules! fold {
    ($arch:expr, $acc:expr, $x:expr, $t:ty, |$a:ident, $b:ident| $body:expr) => {{
        struct Kernel<'a> {
            acc: &'a mut [$t],
            x: &'a [$t],
        }
        impl NullaryFnOnce for Kernel<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let n = self.acc.len();
                if n == WIDTH {
                    // Kept in registers over the whole block.
                    let mut acc = [<$t>::default(); WIDTH];
                    acc.copy_from_slice(self.acc);
                    let parts = self.x.chunks_exact(WIDTH);
                    let rest = parts.remainder();
                    for part in parts {
                        for j in 0..WIDTH {
                            let ($a, $b) = (acc[j], part[j]);
                            acc[j] = $body;
                        }
                    }
                    self.acc.copy_from_slice(&acc);
                    // Not in `acc`: indexed by a number that varies it would be memory, and the loop above lane by lane.
                    for (y, &$b) in self.acc.iter_mut().zip(rest) {
                        let $a = *y;
                        *y = $body;
                    }
                } else {
                    for (y, &$b) in self.acc.iter_mut().zip(self.x) {
                        let $a = *y;
                        *y = $body;
                    }
                }
            }
        }
        $arch.dispatch(Kernel { acc: cast_slice_mut($acc), x: cast_slice($x) })
    }};
}

/// Replaces each lane's value and position where the new one is before it.
macro_rules! seek {
    ($arch:expr, $value:expr, $found:expr, $x:expr, $first:expr, $each:expr, $t:ty, |$a:ident, $b:ident| $before:expr) => {{
        struct Kernel<'a> {
            value: &'a mut [$t],
            found: &'a mut [u32],
            x: &'a [$t],
            first: u32,
            each: u32,
        }
        impl NullaryFnOnce for Kernel<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Kernel { value, found, x, first, each } = self;
                for (i, ((a, p), &$b)) in value.iter_mut().zip(found).zip(x).enumerate() {
                    let $a = *a;
                    let before = $before;
                    *a = if before { $b } else { $a };
                    *p = if before { first.wrapping_add(each.wrapping_mul(i as u32)) } else { *p };
                }
            }
        }
        let (value, x) = (cast_slice_mut($value), cast_slice($x));
        $arch.dispatch(Kernel { value, found: $found, x, first: $first, each: $each })
    }};
}

impl Acc {
    /// Starts over with `lanes` lanes.
    pub fn reset(&mut self, op: ReduceOp, class: Class, lanes: usize) {
        self.value.clear();
        self.value.resize(lanes, identity(op, class));
        self.position.clear();
        if finds(op) {
            self.position.resize(lanes, u32::MAX);
        }
    }

    /// Takes a block of a row, or of a step, whose first element is at `position`. In a row ([`WIDTH`] lanes) the block's
    /// element `i` goes to lane `i % WIDTH` and is `i` behind the first; otherwise every lane has its own.
    pub fn take(&mut self, arch: Arch, op: ReduceOp, class: Class, x: &[u32], position: usize, row: bool) {
        use ReduceOp::*;
        assert!(if row { self.value.len() == WIDTH } else { self.value.len() == x.len() }, "lanes of an accumulator");
        if finds(op) {
            return self.find(arch, op, class, x, position, row);
        }
        let acc = &mut self.value[..];
        match (op, class) {
            (Sum, Class::Float) => fold!(arch, acc, x, f32, |a, b| a + b),
            (Prod, Class::Float) => fold!(arch, acc, x, f32, |a, b| a * b),
            (Max, Class::Float) => fold!(arch, acc, x, f32, |a, b| larger(a, b)),
            (Min, Class::Float) => fold!(arch, acc, x, f32, |a, b| smaller(a, b)),
            (Sum, _) => fold!(arch, acc, x, u32, |a, b| a.wrapping_add(b)),
            (Prod, _) => fold!(arch, acc, x, u32, |a, b| a.wrapping_mul(b)),
            (Max, Class::Int) => fold!(arch, acc, x, i32, |a, b| a.max(b)),
            (Min, Class::Int) => fold!(arch, acc, x, i32, |a, b| a.min(b)),
            (Max, _) => fold!(arch, acc, x, u32, |a, b| a.max(b)),
            (Min, _) => fold!(arch, acc, x, u32, |a, b| a.min(b)),
            (ArgMax | ArgMin, _) => unreachable!("positions are found above"),
        }
    }

    /// Adds the products of two blocks, as [`Acc::take`] adds a block that holds them: they are rounded, then added.
    pub fn add_products(&mut self, arch: Arch, x: &[u32], y: &[u32]) {
        struct Kernel<'a> {
            acc: &'a mut [f32],
            x: &'a [f32],
            y: &'a [f32],
        }
        impl NullaryFnOnce for Kernel<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Kernel { acc: kept, x, y } = self;
                if kept.len() != WIDTH {
                    for ((acc, x), y) in kept.iter_mut().zip(x).zip(y) {
                        *acc += x * y;
                    }
                    return;
                }
                let mut acc = [0.0; WIDTH];
                acc.copy_from_slice(kept);
                let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<WIDTH>(), y.as_chunks::<WIDTH>());
                for (x, y) in xs.iter().zip(ys) {
                    for j in 0..WIDTH {
                        acc[j] += x[j] * y[j];
                    }
                }
                kept.copy_from_slice(&acc);
                // Not in `acc`: see `fold`.
                for ((acc, x), y) in kept.iter_mut().zip(x_rest).zip(y_rest) {
                    *acc += x * y;
                }
            }
        }
        arch.dispatch(Kernel { acc: cast_slice_mut(&mut self.value), x: cast_slice(x), y: cast_slice(y) });
    }

    /// Elements of one lane come in the order of their positions, so a later one wins only if it is strictly before.
    fn find(&mut self, arch: Arch, op: ReduceOp, class: Class, x: &[u32], position: usize, row: bool) {
        for (part, x) in x.chunks(if row { WIDTH } else { x.len().max(1) }).enumerate() {
            let (value, found) = (&mut self.value[..x.len()], &mut self.position[..x.len()]);
            let (first, each) = ((position + part * WIDTH) as u32, u32::from(row));
            match (op, class) {
                (ReduceOp::ArgMax, Class::Float) => {
                    seek!(arch, value, found, x, first, each, f32, |a, b| (b > a) | (b.is_nan() & !a.is_nan()));
                }
                (_, Class::Float) => {
                    seek!(arch, value, found, x, first, each, f32, |a, b| (b < a) | (b.is_nan() & !a.is_nan()));
                }
                (ReduceOp::ArgMax, Class::Int) => seek!(arch, value, found, x, first, each, i32, |a, b| b > a),
                (_, Class::Int) => seek!(arch, value, found, x, first, each, i32, |a, b| b < a),
                (ReduceOp::ArgMax, _) => seek!(arch, value, found, x, first, each, u32, |a, b| b > a),
                _ => seek!(arch, value, found, x, first, each, u32, |a, b| b < a),
            }
        }
    }

    /// Combines with a later accumulator, lane by lane.
    pub fn join(&mut self, arch: Arch, op: ReduceOp, class: Class, other: &Acc) {
        if !finds(op) {
            return self.take(arch, op, class, &other.value, 0, false);
        }
        for lane in 0..self.value.len() {
            let theirs = (other.value[lane], other.position[lane]);
            if before(op, class, theirs, (self.value[lane], self.position[lane])) {
                (self.value[lane], self.position[lane]) = theirs;
            }
        }
    }

    /// Combines the lanes of a row into the first: halves, then quarters, and so on.
    pub fn fold_lanes(&mut self, arch: Arch, op: ReduceOp, class: Class) {
        let mut lanes = WIDTH;
        while lanes > 1 {
            lanes /= 2;
            let part = |x: &[u32]| x.get(lanes..2 * lanes).map(<[u32]>::to_vec).unwrap_or_default();
            let upper = Acc { value: part(&self.value), position: part(&self.position) };
            self.value.truncate(lanes);
            self.position.truncate(lanes);
            self.join(arch, op, class, &upper);
        }
    }

    /// The results as words of the result's dtype.
    pub fn finish(&self, op: ReduceOp) -> &[u32] {
        if finds(op) { &self.position } else { &self.value }
    }
}

/// Whether candidate `x` at a position comes before candidate `y`: larger (or smaller, or the only NaN), and of equal ones
/// the first.
fn before(op: ReduceOp, class: Class, x: (u32, u32), y: (u32, u32)) -> bool {
    let order = match class {
        Class::Float => {
            let (a, b) = (f32::from_bits(x.0), f32::from_bits(y.0));
            let wins = if op == ReduceOp::ArgMax { a > b } else { a < b };
            match (a.is_nan(), b.is_nan()) {
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) => std::cmp::Ordering::Greater,
                (false, true) => std::cmp::Ordering::Less,
                _ if wins => std::cmp::Ordering::Greater,
                _ if a == b => std::cmp::Ordering::Equal,
                _ => std::cmp::Ordering::Less,
            }
        }
        Class::Int => {
            let order = (x.0 as i32).cmp(&(y.0 as i32));
            if op == ReduceOp::ArgMax { order } else { order.reverse() }
        }
        _ => {
            let order = x.0.cmp(&y.0);
            if op == ReduceOp::ArgMax { order } else { order.reverse() }
        }
    };
    order.is_gt() || order.is_eq() && x.1 < y.1
}
