//! Counter-based random words.

use thalweg_ir::philox;

/// `len` words: word `i` is word `i % 4` of the block with counter `(i / 4, op, draw, 0)` and this key.
pub fn random(len: usize, key: [u32; 2], op: u32, draw: u32) -> Vec<f64> {
    let mut y = Vec::with_capacity(len);
    for block in 0..len.div_ceil(4) {
        let words = philox([block as u32, op, draw, 0], key);
        y.extend(words.iter().take(len - y.len()).map(|w| f64::from(*w)));
    }
    y
}
