//! Shuffling that is the same on every machine.

use thalweg_graph::{Rng, ops::random::philox};

/// The seed of a random stream. A type of its own, so that it cannot be swapped with a batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

/// A random order of `0..n`: the same for the same seed and epoch, everywhere.
pub fn permutation(n: usize, seed: Seed, epoch: u32) -> Vec<usize> {
    // A seed of its own for each epoch, so that epoch 7 needs no draws of the six before.
    let [low, high, ..] = philox([epoch, 0, 0, PERMUTATION], [seed.0 as u32, (seed.0 >> 32) as u32]);
    Rng::seed(u64::from(low) | u64::from(high) << 32).permutation(n)
}

/// Keeps these words apart from those that others draw with the same seed: "perm".
const PERMUTATION: u32 = 0x7065_726d;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_permutation_that_depends_on_seed_and_epoch() {
        let order = permutation(1000, Seed(3), 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(order, permutation(1000, Seed(3), 0));
        assert_ne!(order, permutation(1000, Seed(4), 0));
        assert_ne!(order, permutation(1000, Seed(3), 1));
        assert!(permutation(0, Seed(0), 0).is_empty());
    }
}
