//! The key of a plan: what is hashed into it is kept.

use std::hash::Hasher;

/// Words that tell two graphs apart, whole.
#[derive(Debug, Default)]
pub struct Key {
    /// So far.
    pub words: Vec<u64>,
}

impl Key {
    /// Of about so many words.
    pub fn with_capacity(words: usize) -> Key {
        Key { words: Vec::with_capacity(words) }
    }
}

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        self.words.extend(words(bytes));
    }

    fn write_u64(&mut self, word: u64) {
        self.words.push(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.words.push(word as u64);
    }

    /// Nobody asks: keys are compared whole, so that no two graphs are taken for one.
    fn finish(&self) -> u64 {
        self.words.iter().fold(0, |hash, word| hash.rotate_left(5) ^ word)
    }
}

/// The words of some bytes, the last one filled up with zeros.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    whole.iter().copied().chain(last).map(u64::from_le_bytes)
}
