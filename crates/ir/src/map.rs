//! Maps and sets with a hash of few instructions a word, for keys that are nobody's attack: numbers of nodes, words of plans.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use crate::key::words;

/// A map from what planning looks up.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// A set of what planning looks up.
pub type Set<K> = HashSet<K, BuildHasherDefault<Fold>>;

/// The hash of a [`Map`]: a polynomial in an odd number, as in rustc-hash 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        words(bytes).for_each(|word| self.write_u64(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.wrapping_add(word).wrapping_mul(0xf135_7aea_2e62_a9c5);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    /// The high bits are mixed best, and a table looks at the low ones first.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
