//! Which elements a block of lanes reads or writes: [`Access`] compiled to short runs.

use std::ops::Range;

use thalweg_ir::schedule::ir::{Access, Linear};

/// The most loop coordinates a kernel has after neighbours have been merged.
pub const MAX_COORDS: usize = 24;

/// A point of the loop nest.
pub type Coords = [usize; MAX_COORDS];

/// The part of the loop nest a kernel is run on: coordinate `d` goes over `lo[d] .. hi[d]`.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// First value of each coordinate.
    pub lo: Coords,
    /// One past the last.
    pub hi: Coords,
}

impl Region {
    /// All of a nest.
    pub fn whole(extents: &[usize]) -> Region {
        let mut region = Region { lo: [0; MAX_COORDS], hi: [1; MAX_COORDS] };
        region.hi[..extents.len()].copy_from_slice(extents);
        region
    }

    /// Points in the box of some coordinates.
    pub fn count(&self, coords: Range<usize>) -> usize {
        coords.map(|d| self.hi[d] - self.lo[d]).product()
    }

    /// Sets `coords` to point `index` (row-major) of the box of some coordinates.
    pub fn decode(&self, coords: Range<usize>, mut index: usize, at: &mut Coords) {
        for d in coords.rev() {
            // An empty sweep begins somewhere too.
            let extent = (self.hi[d] - self.lo[d]).max(1);
            at[d] = self.lo[d] + index % extent;
            index /= extent;
        }
    }
}

/// A [`Linear`] without its zeros.
#[derive(Clone, Debug)]
pub struct Sparse {
    offset: i64,
    factors: Vec<(usize, i64)>,
}

impl Sparse {
    /// Keeps the factors that matter.
    pub fn new(linear: &Linear) -> Sparse {
        let factors = linear.coef.iter().enumerate().filter(|(_, c)| **c != 0).map(|(d, c)| (d, *c)).collect();
        Sparse { offset: linear.offset, factors }
    }

    /// The value at a point.
    #[inline]
    pub fn at(&self, coords: &Coords) -> i64 {
        self.factors.iter().fold(self.offset, |sum, (d, c)| sum + c * coords[*d] as i64)
    }

    /// The factor of coordinate `d`.
    pub fn factor(&self, d: usize) -> i64 {
        self.factors.iter().find(|(at, _)| *at == d).map_or(0, |(_, c)| *c)
    }
}

/// A guarded axis; see [`thalweg_ir::schedule::ir::Term`].
#[derive(Clone, Debug)]
struct Guard {
    at: Sparse,
    step: i64,
    /// The factor of the lane coordinate in front of the last.
    next: i64,
    div: i64,
    bound: i64,
    stride: i64,
}

/// The lanes of a run whose guards hold: lane `first + t · every` is element `address + t · step`, for `t < count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Valid {
    /// First such lane of the run.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Lanes from one to the next.
    pub every: usize,
    /// Element of the first.
    pub address: i64,
    /// Elements from one to the next.
    pub step: i64,
}

/// The most guards that are followed from run to run.
const GUARDS: usize = 4;

/// Where a run begins: the unguarded address, and the position of each guard.
#[derive(Clone, Copy)]
struct Cursor {
    address: i64,
    at: [i64; GUARDS],
}

/// An [`Access`] along lanes.
#[derive(Clone, Debug)]
pub struct Reach {
    base: Sparse,
    step: i64,
    /// The factor of the lane coordinate in front of the last.
    next: i64,
    /// Guards, those first that are constant along a run.
    guards: Vec<Guard>,
    /// How many those are.
    constant: usize,
    /// Whether all others are the same for each run, and at most one of the constant ones skips runs.
    alike: bool,
    /// Guards that one arithmetic progression cannot express; then lanes are looked at one by one.
    irregular: bool,
}

impl Reach {
    /// Compiles an access for runs along coordinate `last` (any coordinate the access ignores when there are no lanes).
    pub fn new(access: &Access, last: Option<usize>) -> Reach {
        let step_of = |s: &Sparse| last.map_or(0, |d| s.factor(d));
        let next_of = |s: &Sparse| last.and_then(|d| d.checked_sub(1)).map_or(0, |d| s.factor(d));
        let base = Sparse::new(&access.base);
        let mut guards: Vec<Guard> = access
            .terms
            .iter()
            .map(|t| {
                let at = Sparse::new(&t.at);
                Guard { step: step_of(&at), next: next_of(&at), at, div: t.div, bound: t.bound, stride: t.stride }
            })
            .collect();
        guards.sort_by_key(|g| g.step != 0);
        let constant = guards.iter().take_while(|g| g.step == 0).count();
        let skips = |g: &&Guard| g.div > 1 && g.next != 0;
        let alike = guards[constant..].iter().all(|g| g.next == 0)
            && guards[..constant].iter().filter(skips).all(|g| g.next.abs() == 1)
            && guards[..constant].iter().filter(skips).count() <= 1;
        let divided = |g: &&Guard| g.step != 0 && g.div > 1;
        let irregular = guards.len() > GUARDS
            || guards.iter().filter(divided).count() > 1
            || guards.iter().filter(divided).any(|g| g.step.abs() != 1 && g.step % g.div != 0);
        Reach { step: step_of(&base), next: next_of(&base), base, guards, constant, alike, irregular }
    }

    /// Adds `factor` times a coordinate to the address.
    pub fn shift(&mut self, coordinate: usize, factor: i64) {
        self.base.factors.push((coordinate, factor));
    }

    /// The stride along lanes, when no guard can fail.
    pub fn unguarded_step(&self) -> Option<i64> {
        self.guards.is_empty().then_some(self.step)
    }

    /// Whether every lane has to be looked at by itself.
    pub fn irregular(&self) -> bool {
        self.irregular
    }

    fn cursor(&self, coords: &Coords) -> Cursor {
        let mut at = [0; GUARDS];
        for (at, guard) in at.iter_mut().zip(&self.guards) {
            *at = guard.at.at(coords);
        }
        Cursor { address: self.base.at(coords), at }
    }

    /// Calls `visit(lane, len, valid)` for each run of `n` lanes from `coords`, when not [`Reach::irregular`].
    #[inline]
    pub fn walk(
        &self,
        region: &Region,
        lanes: &Range<usize>,
        coords: &Coords,
        n: usize,
        mut visit: impl FnMut(usize, usize, Valid),
    ) {
        self.walk_rows(region, lanes, coords, n, |lane, len, rows, valid, next| {
            for row in 0..rows {
                let address = valid.address + next * row as i64;
                visit(lane + row * len, len, Valid { address, ..valid });
            }
        });
    }

    /// Calls `visit(lane, len, rows, valid, next)` for stretches of `rows` runs of `len` lanes each: `valid` is the first
    /// run, and the others are `next` elements apart. Where stretches overlap, the later one holds.
    #[inline]
    pub fn walk_rows(
        &self,
        region: &Region,
        lanes: &Range<usize>,
        coords: &Coords,
        n: usize,
        mut visit: impl FnMut(usize, usize, usize, Valid, i64),
    ) {
        let Some(last) = lanes.clone().last() else {
            return visit(0, n, 1, self.valid(&self.cursor(coords), n), 0);
        };
        let whole = region.hi[last] - region.lo[last];
        let mut at = *coords;
        let mut lane = 0;
        loop {
            let cursor = self.cursor(&at);
            // The result of an empty row is one lane of no extent.
            let len = (region.hi[last] - at[last]).max(1).min(n - lane);
            if len < whole || last == lanes.start || !self.alike {
                visit(lane, len, 1, self.valid(&cursor, len), 0);
                lane += len;
            } else {
                let rows = (region.hi[last - 1] - at[last - 1]).min((n - lane) / whole);
                let mut valid = self.along(&cursor, whole);
                let mut next = self.next;
                let (mut from, mut to) = (0, rows as i64);
                let mut skipping: Option<(&Guard, i64)> = None;
                for (guard, at) in self.guards[..self.constant].iter().zip(&cursor.at) {
                    if guard.div > 1 {
                        if guard.next != 0 {
                            let inside = interval(*at, guard.next, (guard.bound - 1) * guard.div + 1);
                            (from, to) = (from.max(inside.0), to.min(inside.1));
                            skipping = Some((guard, *at));
                        } else if *at < 0 || *at % guard.div != 0 || *at / guard.div >= guard.bound {
                            to = 0;
                        } else {
                            valid.address += guard.stride * (at / guard.div);
                        }
                        continue;
                    }
                    if guard.next != 0 {
                        let inside = interval(*at, guard.next, guard.bound);
                        (from, to) = (from.max(inside.0), to.min(inside.1));
                    } else if *at < 0 || *at >= guard.bound {
                        to = 0;
                    }
                    valid.address += guard.stride * at;
                    next += guard.stride * guard.next;
                }
                let from = from.clamp(0, rows as i64) as usize;
                let to = to.clamp(from as i64, rows as i64) as usize;
                let none = Valid { count: 0, ..valid };
                if let Some((guard, at)) = skipping {
                    // Runs that are there are `div` apart, since `next` is 1 or -1; those between are not.
                    visit(lane, whole, rows, none, 0);
                    let phase = (-(at + guard.next * from as i64) * guard.next).rem_euclid(guard.div) as usize;
                    for row in (from + phase..to).step_by(guard.div as usize) {
                        let quotient = (at + guard.next * row as i64) / guard.div;
                        let address = valid.address + next * row as i64 + guard.stride * quotient;
                        visit(lane + row * whole, whole, 1, Valid { address, ..valid }, 0);
                    }
                } else {
                    valid.address += next * from as i64;
                    for (first, end, valid) in [(0, from, none), (from, to, valid), (to, rows, none)] {
                        if first < end {
                            visit(lane + first * whole, whole, end - first, valid, next);
                        }
                    }
                }
                lane += rows * whole;
                at[last - 1] += rows - 1;
            }
            if lane >= n {
                return;
            }
            at[last] = region.lo[last];
            for d in (lanes.start..last).rev() {
                at[d] += 1;
                if at[d] < region.hi[d] {
                    break;
                }
                at[d] = region.lo[d];
            }
        }
    }

    /// The lanes of a run of `len` that are inside.
    #[inline]
    fn valid(&self, cursor: &Cursor, len: usize) -> Valid {
        self.across(cursor, self.along(cursor, len))
    }

    /// Applies the guards that are constant along a run.
    #[inline]
    fn across(&self, cursor: &Cursor, mut valid: Valid) -> Valid {
        for (guard, at) in self.guards[..self.constant].iter().zip(&cursor.at) {
            let quotient = if guard.div == 1 { *at } else { at.div_euclid(guard.div) };
            if quotient < 0 || quotient >= guard.bound || quotient * guard.div != *at {
                valid.count = 0;
            }
            valid.address += guard.stride * quotient;
        }
        valid
    }

    /// Applies the other guards.
    #[inline]
    fn along(&self, cursor: &Cursor, len: usize) -> Valid {
        let mut address = cursor.address;
        let mut step = self.step;
        if self.guards.len() == self.constant {
            return Valid { first: 0, count: len, every: 1, address, step };
        }
        let (mut low, mut high) = (0i64, len as i64);
        let mut divided: Option<(&Guard, i64)> = None;
        const NONE: Valid = Valid { first: 0, count: 0, every: 1, address: 0, step: 0 };
        for (guard, at) in self.guards[self.constant..].iter().zip(&cursor.at[self.constant..]) {
            let mut at = *at;
            let mut along = guard.step;
            if guard.div > 1 {
                if along % guard.div == 0 {
                    if at.rem_euclid(guard.div) != 0 {
                        return NONE;
                    }
                    at = at.div_euclid(guard.div);
                    along /= guard.div;
                } else {
                    divided = Some((guard, at));
                    let (from, to) = interval(at, along, (guard.bound - 1) * guard.div + 1);
                    low = low.max(from);
                    high = high.min(to);
                    continue;
                }
            }
            if along == 0 {
                if at < 0 || at >= guard.bound {
                    return NONE;
                }
            } else {
                let (from, to) = interval(at, along, guard.bound);
                low = low.max(from);
                high = high.min(to);
            }
            address += guard.stride * at;
            step += guard.stride * along;
        }
        let mut every = 1;
        if let Some((guard, at)) = divided {
            // Here `step` is 1 or -1, so multiples of `div` are `div` lanes apart.
            every = guard.div;
            low += (-(at + guard.step * low) * guard.step).rem_euclid(guard.div);
            address += step * low + guard.stride * ((at + guard.step * low).div_euclid(guard.div));
            step = step * every + guard.stride * guard.step;
        } else {
            address += step * low;
        }
        if low >= high {
            return NONE;
        }
        let count = ((high - low - 1) / every + 1) as usize;
        Valid { first: low as usize, count, every: every as usize, address, step }
    }

    /// The element at one point, or `None` where a guard fails.
    pub fn point(&self, coords: &Coords) -> Option<i64> {
        let mut address = self.base.at(coords);
        for guard in &self.guards {
            let at = guard.at.at(coords);
            if at < 0 || at % guard.div != 0 || at / guard.div >= guard.bound {
                return None;
            }
            address += guard.stride * (at / guard.div);
        }
        Some(address)
    }
}

/// The `j` with `0 <= at + along · j < bound`, as `from .. to`; `along` is not 0.
#[inline]
fn interval(at: i64, along: i64, bound: i64) -> (i64, i64) {
    match along {
        1 => (-at, bound - at),
        -1 => (at - bound + 1, at + 1),
        _ if along > 0 => (div_ceil(-at, along), div_ceil(bound - at, along)),
        _ => (div_ceil(at - bound + 1, -along), div_ceil(at + 1, -along)),
    }
}

/// `⌈a / b⌉` for positive `b`.
fn div_ceil(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

/// Calls `visit(coords, lane, len)` for each run along the last lane coordinate of `n` lanes that start at `coords`.
#[inline]
pub fn runs(
    region: &Region,
    lanes: &Range<usize>,
    coords: &Coords,
    n: usize,
    mut visit: impl FnMut(&Coords, usize, usize),
) {
    let Some(last) = lanes.clone().last() else {
        return visit(coords, 0, n);
    };
    let mut at = *coords;
    let mut lane = 0;
    loop {
        // The result of an empty row is one lane of no extent.
        let len = (region.hi[last] - at[last]).max(1).min(n - lane);
        visit(&at, lane, len);
        lane += len;
        if lane >= n {
            return;
        }
        at[last] = region.lo[last];
        for d in lanes.clone().rev().skip(1) {
            at[d] += 1;
            if at[d] < region.hi[d] {
                break;
            }
            at[d] = region.lo[d];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_ir::schedule::ir::Term;

    /// Whatever the box and the start, walking gives the runs that each point by itself gives.
    #[test]
    fn walks_agree_with_the_definition() {
        let form = |offset, coef: [i64; 3]| Linear::new(offset, &coef);
        let term = |at, div, bound, stride| Term { at, div, bound, stride };
        let cases = [
            vec![term(form(-1, [0, 1, 0]), 1, 3, 7), term(form(-2, [1, 0, 2]), 1, 9, 1)],
            vec![term(form(-1, [0, 1, 0]), 2, 2, 7), term(form(1, [0, 0, 1]), 2, 3, 1)],
            vec![term(form(4, [0, -1, 0]), 2, 3, 7), term(form(5, [0, 0, -1]), 1, 4, 1)],
            vec![term(form(1, [1, 0, 0]), 2, 2, 7), term(form(0, [0, 2, 0]), 1, 5, 3)],
            vec![term(form(0, [0, 3, 0]), 2, 5, 7), term(form(0, [0, 0, 3]), 1, 9, 1)],
            vec![],
        ];
        for terms in cases {
            walk_case(&Access { base: form(50, [100, 3, 0]), terms, fill: 0.0 });
        }
    }

    fn walk_case(access: &Access) {
        let reach = Reach::new(access, Some(2));
        assert!(!reach.irregular());
        let mut region = Region::whole(&[3, 4, 5]);
        region.lo[1] = 1;
        for start in 0..15 {
            for n in 1..=(3 * 3 * 5 - start) {
                let mut coords = region.lo;
                region.decode(0..3, start, &mut coords);
                let mut got = vec![Some(usize::MAX); n];
                reach.walk(&region, &(0..3), &coords, n, |lane, len, valid| {
                    for (j, got) in got[lane..lane + len].iter_mut().enumerate() {
                        let t = j.checked_sub(valid.first);
                        let t = t.filter(|t| t.is_multiple_of(valid.every) && t / valid.every < valid.count);
                        *got = t.map(|t| (valid.address + valid.step * (t / valid.every) as i64) as usize);
                    }
                });
                for (j, got) in got.iter().enumerate() {
                    region.decode(0..3, start + j, &mut coords);
                    assert_eq!(*got, access.at(&coords[..3]));
                }
                assert_eq!(got.len(), n);
            }
        }
    }

    /// Every run agrees with `Access::at`, for strides and divisors of both signs and kinds.
    #[test]
    fn runs_agree_with_the_definition() {
        for (along, div, bound, offset) in [
            (1, 1, 5, -2),
            (-1, 1, 5, 6),
            (2, 1, 7, -3),
            (-3, 1, 9, 11),
            (1, 2, 3, -1),
            (1, 2, 3, 1),
            (-1, 3, 2, 7),
            (2, 2, 4, -2),
            (4, 2, 4, -3),
            (0, 2, 4, 2),
            (1, 3, 100, 0),
        ] {
            for start in 0..3 {
                let access = Access {
                    base: Linear::new(100, &[7]),
                    terms: vec![Term { at: Linear::new(offset, &[along]), div, bound, stride: 5 }],
                    fill: 0.0,
                };
                let reach = Reach::new(&access, Some(0));
                assert!(!reach.irregular());
                let mut coords = [0; MAX_COORDS];
                coords[0] = start;
                let valid = reach.valid(&reach.cursor(&coords), 10);
                for j in 0..10 {
                    let want = access.at(&[start + j]);
                    let got = (j >= valid.first && (j - valid.first).is_multiple_of(valid.every))
                        .then(|| (j - valid.first) / valid.every)
                        .filter(|t| *t < valid.count)
                        .map(|t| (valid.address + valid.step * t as i64) as usize);
                    assert_eq!(got, want, "along {along} div {div} offset {offset} lane {j}");
                }
            }
        }
    }
}
