//! The key of a plan: what is hashed into it is kept.

use std::hash::Hasher;

/// Words that tell two graphs apart, whole.
#[derive(Debug, Default)]
pub struct Key {
    /// So far.
    pub words: Vec<u64>,
}

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        self.words.extend(whole.iter().map(|word| u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.words.push(u64::from_le_bytes(last));
        }
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
