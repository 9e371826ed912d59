//! Sorting long rows: short blocks by counting, then pairs of sorted runs merged, level by level.
//!
//! Nothing is moved to where it belongs; each place of a merged run finds what belongs there. Of the first `k` elements that
//! two runs give together, `i` come from the first and `k - i` from the second; a binary search over `i` finds the only split
//! in which each side's last stands in front of the other's next. That is `log₂ L` steps of two gathers for each element, one
//! launch a level, `n log² n` in all.

use thalweg_ir::DType;

use crate::tensor::Tensor;

/// Elements that are compared with each other directly.
const BLOCK: usize = 64;

/// The places of elements in order, I32 `[R, min(cap, n)]`, of rows `[R, n]`. Equal elements keep their order.
///
/// # Source
/// Odeh et al. 2012, "Merge Path - Parallel Merging Made Simple".
pub(super) fn order(rows: &Tensor, descending: bool, cap: usize) -> Tensor {
    let rows = if rows.dtype() == DType::Bool { rows.cast(DType::I32) } else { rows.clone() };
    let (r, n) = (rows.shape()[0], rows.shape()[1]);
    let mut runs = Runs::blocks(&rows, descending, cap);
    loop {
        match runs.keys.shape() {
            // It carries an error.
            [] => return runs.keys,
            [_, 1, _] => break,
            _ => runs = runs.merged(n, descending, cap),
        }
    }
    runs.at.reshape([r, runs.at.shape()[2]]).strided(1, 0, 1, cap.min(n))
}

/// Sorted runs, each of the elements from one stretch of the row, of which it may keep only the first.
struct Runs {
    /// `[R, runs, L]`; beyond the end of a row anything.
    keys: Tensor,
    /// Where each key stood in its row: I32, the same shape.
    at: Tensor,
    /// The length of a stretch.
    span: usize,
}

impl Runs {
    /// Blocks sorted by counting, for each element, those in front of it.
    fn blocks(rows: &Tensor, descending: bool, cap: usize) -> Runs {
        let (r, n, device) = (rows.shape()[0], rows.shape()[1], rows.device());
        let m = n.div_ceil(BLOCK);
        let keys = rows.pad(&[(0, (m * BLOCK - n) as isize)], 0.0).reshape([r, m, BLOCK]);
        let (this, other) = (keys.unsqueeze(3), keys.unsqueeze(2));
        let within = |axis: usize| {
            let mut shape = [1, 1, 1, 1];
            shape[axis] = BLOCK;
            Tensor::iota(device, &shape, axis)
        };
        // What fills the last block stands behind all.
        let block = Tensor::iota(device, &[1, m, 1, 1], 1) * BLOCK as f64;
        let real = |axis: usize| (&block + within(axis)).lt(n as f64);
        let front = real(3).and(real(2).not().or(before(&other, &this, descending)));
        let behind = real(2).and(real(3).not().or(before(&this, &other, descending)));
        let earlier = within(3).lt(within(2));
        let place = front.or(front.or(behind).not().and(earlier)).cast(DType::I32).sum(3);
        let len = BLOCK.min(cap);
        let hit = place.unsqueeze(2).eq(Tensor::iota(device, &[1, 1, len, 1], 2));
        let order = hit.where_(within(3), 0.0).sum(3);
        let at = &order + Tensor::iota(device, &[1, m, 1], 1) * BLOCK as f64;
        Runs { keys: keys.gather(2, &order), at, span: BLOCK }
    }

    /// Each two neighbours as one run.
    fn merged(self, n: usize, descending: bool, cap: usize) -> Runs {
        let Runs { keys, at, span } = self;
        let &[r, m, len] = keys.shape() else { return Runs { keys, at, span } };
        let (pairs, device) = (m.div_ceil(2), keys.device().clone());
        // A run without a neighbour gets an empty one.
        let joined = |t: Tensor| t.pad(&[(0, (2 * pairs - m) as isize), (0, 0)], 0.0).reshape([r * pairs, 2 * len]);
        let (keys, at) = (joined(keys), joined(at));
        let out = (2 * span).min(cap).min(2 * len);
        let scalar = |x: usize| x as f64;

        // How much of the row each of the two has, less what was cut off.
        let first = (Tensor::iota(&device, &[r, pairs, 1], 1) * scalar(2 * span)).reshape([r * pairs, 1]);
        let rest = |from: Tensor| (from * -1.0 + scalar(n)).maximum(0.0).minimum(scalar(len));
        let (a_len, b_len) = (rest(first.clone()), rest(first + scalar(span)));

        let k = Tensor::iota(&device, &[r * pairs, out], 1);
        let a = |i: &Tensor| keys.gather(1, &i.minimum(scalar(len - 1)));
        let b = |j: &Tensor| keys.gather(1, &(j.maximum(0.0).minimum(scalar(len - 1)) + scalar(len)));
        // How many of the first k are from the first run: from `low` to `high`.
        let (mut low, mut high) = ((&k - &b_len).maximum(0.0), k.minimum(&a_len));
        for _ in 0..usize::BITS - len.leading_zeros() {
            let mid = (&low + &high).shr(1);
            let open = low.lt(&high);
            let more = before(&b(&(&k - &mid - 1)), &a(&mid), descending).not();
            let next = open.and(more);
            high = open.and(next.not()).where_(&mid, &high);
            low = next.where_(&mid + 1, &low);
        }
        let j = &k - &low;
        let from_a = low.lt(&a_len).and(j.ge(&b_len).or(before(&b(&j), &a(&low), descending).not()));
        let source = from_a.where_(low, (j + scalar(len)).minimum(scalar(2 * len - 1)));
        let split = |t: Tensor| t.gather(1, &source).reshape([r, pairs, out]);
        Runs { keys: split(keys.clone()), at: split(at), span: 2 * span }
    }
}

/// Whether x stands in front of y: what is not a number stands behind all numbers, in front of them when descending.
fn before(x: &Tensor, y: &Tensor, descending: bool) -> Tensor {
    let less = if descending { x.gt(y) } else { x.lt(y) };
    match (x.dtype().is_float(), descending) {
        (false, _) => less,
        (true, false) => less.or(y.is_nan().and(x.is_nan().not())),
        (true, true) => less.or(x.is_nan().and(y.is_nan().not())),
    }
}
