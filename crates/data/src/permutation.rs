//! Shuffling that is the same on every machine.

/// The seed of a random stream. A type of its own, so that it cannot be swapped with a batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

/// A random order of `0..n`: Fisher–Yates from the back, fed by Philox. The same for the same seed and epoch, everywhere.
pub fn permutation(n: usize, seed: Seed, epoch: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let [low, high, ..] = philox([i as u32, (i as u64 >> 32) as u32, PERMUTATION, epoch], seed);
        let word = u64::from(low) | u64::from(high) << 32;
        // Multiply and shift: the bias is below n / 2^64.
        let j = (u128::from(word) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
    order
}

/// Keeps these words apart from those that tensors draw with the same seed.
const PERMUTATION: u32 = 0x7065_726d;

/// Philox4x32-10.
///
/// # Source
/// Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 4.3.
fn philox(mut c: [u32; 4], seed: Seed) -> [u32; 4] {
    let mut key = [seed.0 as u32, (seed.0 >> 32) as u32];
    for _ in 0..10 {
        let a = u64::from(c[0]) * 0xD251_1F53;
        let b = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(b >> 32) as u32 ^ c[1] ^ key[0], b as u32, (a >> 32) as u32 ^ c[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers() {
        // From the authors' Random123, file kat_vectors.
        assert_eq!(philox([0; 4], Seed(0)), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], Seed(u64::MAX)), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

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
