//! Equations of `einsum`.

use thalweg_graph::{Rng, Tensor};
use thalweg_tests::strict;

use crate::{
    Reading,
    mangle::{below, mangled},
};

/// What equations are made of, and what they are not.
const PARTS: [&str; 20] =
    ["a", "b", "c", "i", "j", "k", "Z", ",", ",", "->", "...", " ", ".", "-", ">", "1", "é", "\u{0}", "->->", "...."];

/// Equations to damage.
const SOUND: [&str; 6] = ["ij,jk->ik", "...ij,...jk->...ik", "ii->i", "bhqd,bhkd->bhqk", "a,b,c->abc", "i...->..."];

/// Extents for a term: of each letter always the same, of dots two more.
fn fitting(term: &str) -> Vec<usize> {
    let term = term.replace("...", "!");
    let extents = term.chars().filter(|c| !c.is_whitespace());
    extents.flat_map(|c| if c == '!' { vec![2, 1] } else { vec![c as usize % 3 + 1] }).take(8).collect()
}

#[test]
fn every_equation_is_read_or_refused() {
    let (device, rng) = (strict(), &mut Rng::seed(3));
    let mut sound = 0;
    for _ in 0..20_000 {
        let equation = match rng.below(2) {
            0 => (0..rng.below(12)).map(|_| PARTS[below(rng, PARTS.len())]).collect(),
            _ => String::from_utf8_lossy(&mangled(SOUND[below(rng, SOUND.len())].as_bytes(), rng)).into_owned(),
        };
        let terms: Vec<&str> = equation.split("->").next().unwrap_or_default().split(',').take(6).collect();
        // Half of the operands fit, if anything does.
        let shapes: Vec<Vec<usize>> = match rng.below(2) {
            0 => terms.iter().map(|term| fitting(term)).collect(),
            _ => (0..1 + rng.below(4)).map(|_| (0..rng.below(9)).map(|_| below(rng, 4)).collect()).collect(),
        };
        let what = (&equation, &shapes);
        let _reading = Reading(&what);
        let tensors: Vec<Tensor> = shapes.iter().map(|s| Tensor::ones(&device, s.as_slice())).collect();
        let y = tensors[0].einsum(&equation, &tensors.iter().skip(1).collect::<Vec<_>>());
        match y.check() {
            Ok(()) => {
                sound += 1;
                assert_eq!(y.to_vec::<f64>().unwrap().len(), y.count());
            }
            Err(error) => assert!(error.to_string().contains("einsum"), "{error}"),
        }
    }
    assert!(sound > 500, "{sound}");
}
