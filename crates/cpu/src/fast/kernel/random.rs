//! Philox4x32-10 words for blocks of lanes.

use pulp::{Arch, NullaryFnOnce};

/// Lanes whose blocks are computed together.
const WIDE: usize = 16;

/// `dst[i]` = the word of element `at + i · step`: word `e % 4` of the block with counter `(e / 4, op, draw, 0)`, where
/// `stream` is key low, key high, op, draw.
///
/// # Source
/// Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
pub fn words(arch: Arch, stream: [u32; 4], at: i64, step: i64, dst: &mut [u32]) {
    struct Kernel<'a> {
        stream: [u32; 4],
        at: i64,
        step: i64,
        dst: &'a mut [u32],
    }
    impl NullaryFnOnce for Kernel<'_> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let mut element = self.at;
            if self.step == 1 {
                // One block gives four neighbours; the first and the last may be cut.
                let end = self.at + self.dst.len() as i64;
                let mut block = self.at.div_euclid(4);
                while block * 4 < end {
                    let counter = std::array::from_fn(|j| (block + j as i64) as u32);
                    let words = philox(counter, self.stream);
                    for j in 0..WIDE {
                        for word in 0..4 {
                            let e = (block + j as i64) * 4 + word as i64;
                            if e >= self.at && e < end {
                                self.dst[(e - self.at) as usize] = words[word][j];
                            }
                        }
                    }
                    block += WIDE as i64;
                }
                return;
            }
            for part in self.dst.chunks_mut(WIDE) {
                let elements: [i64; WIDE] = std::array::from_fn(|j| element + self.step * j as i64);
                let words = philox(elements.map(|e| e.div_euclid(4) as u32), self.stream);
                for (j, y) in part.iter_mut().enumerate() {
                    *y = words[elements[j].rem_euclid(4) as usize][j];
                }
                element += self.step * WIDE as i64;
            }
        }
    }
    arch.dispatch(Kernel { stream, at, step, dst });
}

/// Ten rounds on [`WIDE`] counters at once; word `w` of counter `j` is `[w][j]`.
#[inline(always)]
fn philox(counter: [u32; WIDE], [key0, key1, op, draw]: [u32; 4]) -> [[u32; WIDE]; 4] {
    let mut c = [counter, [op; WIDE], [draw; WIDE], [0; WIDE]];
    let mut key = [key0, key1];
    for _ in 0..10 {
        for j in 0..WIDE {
            let p0 = u64::from(c[0][j]) * 0xD251_1F53;
            let p1 = u64::from(c[2][j]) * 0xCD9E_8D57;
            c[0][j] = (p1 >> 32) as u32 ^ c[1][j] ^ key[0];
            c[1][j] = p1 as u32;
            c[2][j] = (p0 >> 32) as u32 ^ c[3][j] ^ key[1];
            c[3][j] = p0 as u32;
        }
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the authors' Random123 library, for the counter (0, 0, 0, 0) and key 0.
    #[test]
    fn matches_the_known_answer() {
        let mut dst = [0; 9];
        words(Arch::new(), [0; 4], -4, 1, &mut dst);
        assert_eq!(dst[4..8], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    }

    /// Whatever the start and the step, an element's word is its own.
    #[test]
    fn words_depend_on_the_element_alone() {
        let stream = [3, 5, 7, 11];
        let mut all = vec![0; 1000];
        words(Arch::new(), stream, 0, 1, &mut all);
        for (at, step, n) in [(3, 1, 77), (5, 3, 100), (999, -1, 1000), (17, 0, 20), (400, 2, 300)] {
            let mut dst = vec![0; n];
            words(Arch::new(), stream, at, step, &mut dst);
            for (i, y) in dst.iter().enumerate() {
                assert_eq!(*y, all[(at + step * i as i64) as usize]);
            }
        }
    }
}
