//! Which items are held out.

use std::{collections::BTreeMap, sync::Arc};

use thalweg_graph::Result;

use crate::{adapters::Subset, permutation::Seed, place::invalid};

/// For each item whether it is held out.
type HeldOut = Vec<bool>;

/// A random share of `0..n`.
#[track_caller]
pub(crate) fn random(n: usize, fraction: f64, seed: Seed) -> Result<HeldOut> {
    stratified(&[(0..n).collect()], fraction, seed)
}

/// A random share of every class. How many of the first classes are held out in all is to the nearest item what the fraction
/// says, so that rounding does not add up over many small classes.
#[track_caller]
pub(crate) fn stratified(classes: &[Vec<usize>], fraction: f64, seed: Seed) -> Result<HeldOut> {
    check(fraction)?;
    let mut held = vec![false; classes.iter().map(Vec::len).sum()];
    let (mut seen, mut taken) = (0, 0);
    for (class, members) in classes.iter().enumerate() {
        seen += members.len();
        let want = (fraction * seen as f64).round() as usize - taken;
        for i in seed.epoch(class as u32, b"hold").permutation(members.len()).into_iter().take(want) {
            held[members[i]] = true;
        }
        taken += want;
    }
    Ok(held)
}

/// Whole groups in random order, as long as they bring the held out part nearer to the fraction.
#[track_caller]
pub(crate) fn grouped(groups: &[Vec<usize>], fraction: f64, seed: Seed) -> Result<HeldOut> {
    check(fraction)?;
    let n = groups.iter().map(Vec::len).sum();
    let want = (fraction * n as f64).round();
    let mut held = vec![false; n];
    let mut taken = 0;
    for group in seed.epoch(0, b"hold").permutation(groups.len()) {
        let more = taken + groups[group].len();
        if (more as f64 - want).abs() <= (taken as f64 - want).abs() {
            groups[group].iter().for_each(|i| held[*i] = true);
            taken = more;
        }
    }
    Ok(held)
}

/// The items of each class, in the order of the classes, from the class of each item.
pub(crate) fn classes<K: Ord>(of: Vec<K>) -> Vec<Vec<usize>> {
    let mut classes = BTreeMap::<K, Vec<usize>>::new();
    for (index, class) in of.into_iter().enumerate() {
        classes.entry(class).or_default().push(index);
    }
    classes.into_values().collect()
}

/// The rest and the held out.
pub(crate) fn parts<D>(data: D, held: &[bool]) -> (Subset<D>, Subset<D>) {
    let (out, rest): (Vec<usize>, Vec<usize>) = (0..held.len()).partition(|i| held[*i]);
    let data = Arc::new(data);
    (Subset { data: data.clone(), indices: rest.into() }, Subset { data, indices: out.into() })
}

#[track_caller]
fn check(fraction: f64) -> Result<()> {
    match (0.0..=1.0).contains(&fraction) {
        true => Ok(()),
        false => Err(invalid("hold_out", format!("a share of {fraction} cannot be held out; it is from 0 to 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    const SIZES: [usize; 8] = [0, 1, 2, 3, 7, 10, 97, 1000];
    const FRACTIONS: [f64; 6] = [0.0, 0.1, 0.3, 0.5, 0.99, 1.0];

    fn together<D: Dataset>(a: &Subset<D>, b: &Subset<D>) -> Vec<usize> {
        let mut all = [a.indices(), b.indices()].concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn every_item_is_in_exactly_one_part() {
        for n in SIZES {
            let data: Vec<usize> = (0..n).collect();
            for fraction in FRACTIONS {
                for seed in (0..4).map(Seed) {
                    let (rest, out) = data.clone().hold_out(fraction, seed).unwrap();
                    assert_eq!(together(&rest, &out), data);
                    assert_eq!(out.len(), (fraction * n as f64).round() as usize);
                    assert!(rest.indices().is_sorted() && out.indices().is_sorted());
                    let (rest, out) = data.clone().hold_out_of_each(fraction, seed, |x| x % 3).unwrap();
                    assert_eq!(together(&rest, &out), data);
                    assert_eq!(out.len(), (fraction * n as f64).round() as usize);
                    let (rest, out) = data.clone().hold_out_groups(fraction, seed, |x| x / 5).unwrap();
                    assert_eq!(together(&rest, &out), data);
                }
            }
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let of = |seed| (0..100).collect::<Vec<_>>().hold_out(0.3, Seed(seed)).unwrap().1.indices().to_vec();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn classes_keep_their_share() {
        // 90 of class 0, 9 of class 1, 1 of class 2.
        let class = |x: &usize| usize::from(*x >= 90) + usize::from(*x >= 99);
        for seed in (0..20).map(Seed) {
            let (_, out) = (0..100).collect::<Vec<_>>().hold_out_of_each(1.0 / 3.0, seed, class).unwrap();
            let count = |c| out.indices().iter().filter(|i| class(i) == c).count();
            assert_eq!((count(0), count(1), count(0) + count(1) + count(2)), (30, 3, 33));
        }
    }

    #[test]
    fn groups_stay_together() {
        let group = |x: &usize| x / 7;
        for seed in (0..20).map(Seed) {
            let (rest, out) = (0..100).collect::<Vec<_>>().hold_out_groups(0.25, seed, group).unwrap();
            assert!(out.indices().iter().all(|a| rest.indices().iter().all(|b| group(a) != group(b))));
            assert!((21..=29).contains(&out.len()), "{}", out.len());
        }
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        for fraction in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = vec![0; 10].hold_out(fraction, Seed(0)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("hold_out: a share of {fraction} cannot")), "{error}");
            assert_eq!((error.location().file(), error.location().line()), (file!(), line!() - 2));
        }
    }
}
