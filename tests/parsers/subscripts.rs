//! Subscripts, against positions counted one by one.

use std::ops::Bound;

use thalweg_graph::{Rng, Subscript, Tensor};
use thalweg_tests::strict;

use crate::{Reading, mangle::below};

const POSITIONS: [isize; 13] = [isize::MIN, isize::MIN + 1, -7, -3, -2, -1, 0, 1, 2, 3, 7, isize::MAX - 1, isize::MAX];

fn bound(rng: &mut Rng) -> Bound<isize> {
    let at = POSITIONS[below(rng, POSITIONS.len())];
    [Bound::Included(at), Bound::Excluded(at), Bound::Unbounded][below(rng, 3)]
}

/// Where a position that may count from the back is, cut to the axis.
fn place(at: i128, extent: usize) -> i128 {
    (if at < 0 { at + extent as i128 } else { at }).clamp(0, extent as i128)
}

/// The positions that a range names, in order.
fn positions(start: Bound<isize>, end: Bound<isize>, step: isize, extent: usize) -> Vec<usize> {
    // What lies behind the last position is no position from the back.
    let after = |at: isize| if at == -1 { extent as i128 } else { place(i128::from(at as i64) + 1, extent) };
    let low = match start {
        Bound::Included(at) => place(at as i128, extent),
        Bound::Excluded(at) => after(at),
        Bound::Unbounded => 0,
    };
    let high = match end {
        Bound::Included(at) => after(at),
        Bound::Excluded(at) => place(at as i128, extent),
        Bound::Unbounded => extent as i128,
    };
    let mut all: Vec<usize> = (low..high).map(|at| at as usize).collect();
    if step < 0 {
        all.reverse();
    }
    all.into_iter().step_by(step.unsigned_abs()).collect()
}

/// The extents of a subscript's result and its elements' places in the row-major input, or None where it names nothing.
fn expected(parts: &[Subscript], shape: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    let axes = parts.iter().filter(|p| matches!(p, Subscript::Pick(_) | Subscript::Range { .. })).count();
    let rest = shape.len().checked_sub(axes)?;
    if parts.iter().filter(|p| **p == Subscript::Ellipsis).count() > 1 {
        return None;
    }
    let mut parts = parts.to_vec();
    if !parts.contains(&Subscript::Ellipsis) {
        parts.push(Subscript::Ellipsis);
    }
    let whole = Subscript::Range { start: Bound::Unbounded, end: Bound::Unbounded, step: 1 };
    let at = parts.iter().position(|p| *p == Subscript::Ellipsis)?;
    parts.splice(at..=at, vec![whole; rest]);
    let (mut extents, mut places, mut axis) = (Vec::new(), vec![0], 0);
    for part in parts {
        let named = match part {
            Subscript::NewAxis | Subscript::Ellipsis => {
                extents.push(1);
                continue;
            }
            Subscript::Pick(at) => {
                let at = if at < 0 { at as i128 + shape[axis] as i128 } else { at as i128 };
                vec![usize::try_from(at).ok().filter(|at| *at < shape[axis])?]
            }
            Subscript::Range { step: 0, .. } => return None,
            Subscript::Range { start, end, step } => {
                let named = positions(start, end, step, shape[axis]);
                extents.push(named.len());
                named
            }
        };
        places = places.iter().flat_map(|place| named.iter().map(move |at| place * shape[axis] + at)).collect();
        axis += 1;
    }
    (extents.len() <= 8).then_some((extents, places))
}

#[test]
fn subscripts_name_the_positions_that_counting_finds() {
    let (device, rng) = (strict(), &mut Rng::seed(4));
    let mut sound = 0;
    for _ in 0..10_000 {
        let shape: Vec<usize> = (0..rng.below(4)).map(|_| below(rng, 5)).collect();
        let parts: Vec<Subscript> = (0..rng.below(5))
            .map(|_| match rng.below(8) {
                0 => Subscript::Ellipsis,
                1 => Subscript::NewAxis,
                2 | 3 => Subscript::Pick(POSITIONS[1 + below(rng, POSITIONS.len() - 1)]),
                _ => Subscript::Range {
                    start: bound(rng),
                    end: bound(rng),
                    step: [1, 1, 2, -1, -2, 3, 0, isize::MIN, isize::MAX][below(rng, 9)],
                },
            })
            .collect();
        let what = (&shape, &parts);
        let _reading = Reading(&what);
        let count = shape.iter().product();
        let x = Tensor::arange(&device, count).reshape(shape.clone());
        let y = x.at(&parts);
        match expected(&parts, &shape) {
            Some((extents, places)) => {
                sound += 1;
                y.check().unwrap();
                assert_eq!(y.shape(), extents);
                assert_eq!(y.to_vec::<i32>().unwrap(), places.iter().map(|p| *p as i32).collect::<Vec<_>>());
            }
            None => assert!(y.check().unwrap_err().to_string().contains("at")),
        }
    }
    assert!(sound > 2000, "{sound}");
}
