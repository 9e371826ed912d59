//! Shuffling that is the same on every machine.

use thalweg_graph::{Rng, philox};

/// The seed of a random stream. A type of its own, so that it cannot be swapped with a batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of one epoch: one of its own, so that epoch 7 needs no draws of the six before. `purpose` keeps streams of
    /// one seed apart from each other.
    pub(crate) fn epoch(self, epoch: u32, purpose: &[u8; 4]) -> Rng {
        self.place(epoch, 0, purpose)
    }

    /// The stream of one place in an epoch.
    pub(crate) fn place(self, epoch: u32, place: usize, purpose: &[u8; 4]) -> Rng {
        let [key, place] = [self.0, place as u64].map(|word| [word as u32, (word >> 32) as u32]);
        let [low, high, ..] = philox([epoch, place[0], place[1], u32::from_be_bytes(*purpose)], key);
        Rng::seed(u64::from(low) | u64::from(high) << 32)
    }
}

/// A step of FNV-1a, on words: for keys that tell seeds and settings apart.
pub(crate) fn mix(key: u64, word: u64) -> u64 {
    (key ^ word).wrapping_mul(0x100_0000_01b3)
}

/// A random order of `0..n`: the same for the same seed and epoch, everywhere.
pub fn permutation(n: usize, seed: Seed, epoch: u32) -> Vec<usize> {
    seed.epoch(epoch, b"perm").permutation(n)
}

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

    /// Data orders are part of what a seed promises: these numbers do not change.
    #[test]
    fn keeps_its_order_from_version_to_version() {
        assert_eq!(permutation(10, Seed(1), 0), [4, 7, 5, 3, 0, 8, 2, 9, 1, 6]);
        assert_eq!(permutation(10, Seed(1), 1), [5, 8, 1, 6, 9, 3, 7, 4, 2, 0]);
    }
}
