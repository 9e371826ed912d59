//! Damage.

use thalweg_graph::Rng;

/// Numbers at which sizes overflow.
const EXTREMES: [&[u8]; 8] = [
    b"-1",
    b"0",
    b"4294967295",
    b"9223372036854775808",
    b"18446744073709551615",
    b"1e999",
    &[0xff; 8],
    &[0, 0, 0, 0, 0, 0, 0, 0x80],
];

/// A copy with one to four places that are overwritten, cut out, repeated or stuffed.
pub fn mangled(whole: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = below(rng, bytes.len() + 1);
        // Mostly short, as what matters comes in bytes and words.
        let limit = if rng.below(4) == 0 { bytes.len() } else { 8 };
        let end = (at + below(rng, limit + 1)).min(bytes.len());
        match rng.below(7) {
            0 => bytes[at..end].iter_mut().for_each(|b| *b ^= 1 << rng.below(8)),
            1 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][below(rng, 5)]),
            2 => bytes[at..end].iter_mut().for_each(|b| *b = rng.next_u32() as u8),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                bytes.splice(at..end, EXTREMES[below(rng, EXTREMES.len())].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// A position below `n`.
pub fn below(rng: &mut Rng, n: usize) -> usize {
    rng.below(n as u32) as usize
}
