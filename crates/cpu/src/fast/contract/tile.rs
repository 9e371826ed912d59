//! Boxes of a coordinate group that are one stretch of its row-major order.

use crate::fast::kernel::access::Coords;

/// How a group of coordinates is cut: leading ones are fixed, one is cut into parts, the rest is whole. Every tile is a
/// stretch of row-major positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Positions in all.
    pub count: usize,
    /// Most positions of a tile.
    pub len: usize,
    /// Positions of the coordinate that is cut and of those behind it, together.
    period: usize,
    /// Coordinates from here on vary within a tile.
    pub cut: usize,
}

impl Tiling {
    /// Tiles of about `target` positions, never more unless one step of the last coordinate is.
    pub fn new(extents: &[usize], target: usize) -> Tiling {
        let count: usize = extents.iter().product();
        let mut cut = extents.len();
        let mut behind = 1;
        // Take coordinates whole from the back while they fit.
        while cut > 0 && behind * extents[cut - 1] <= target {
            cut -= 1;
            behind *= extents[cut];
        }
        if cut == 0 || count == 0 {
            return Tiling { count, len: count, period: count, cut: 0 };
        }
        let extent = extents[cut - 1];
        let parts = extent.div_ceil((target / behind).max(1));
        // Cut into single steps, that coordinate is fixed too.
        let cut = if parts == extent { cut } else { cut - 1 };
        Tiling { count, len: extent.div_ceil(parts) * behind, period: extent * behind, cut }
    }

    /// One tile of everything.
    pub fn whole(extents: &[usize]) -> Tiling {
        Tiling::new(extents, usize::MAX)
    }

    /// How many tiles.
    pub fn tiles(&self) -> usize {
        if self.count == 0 { 0 } else { self.count / self.period * self.period.div_ceil(self.len) }
    }

    /// First position and length of a tile.
    pub fn tile(&self, index: usize) -> (usize, usize) {
        let parts = self.period.div_ceil(self.len);
        let within = index % parts * self.len;
        (index / parts * self.period + within, self.len.min(self.period - within))
    }
}

/// Writes the box that positions `first .. first + len` are into `lo .. hi` of the coordinates from `start` on.
pub fn set_box(extents: &[usize], start: usize, first: usize, len: usize, lo: &mut Coords, hi: &mut Coords) {
    let (mut a, mut b) = (first, first + len - 1);
    for d in (0..extents.len()).rev() {
        (lo[start + d], hi[start + d]) = (a % extents[d], b % extents[d] + 1);
        a /= extents[d];
        b /= extents[d];
    }
}

/// The stride of row-major positions of these coordinates, if there is one.
pub fn stride(extents: &[usize], factors: &[i64]) -> Option<i64> {
    let mut stride: Option<(i64, i64)> = None;
    for (extent, factor) in extents.iter().zip(factors).rev().filter(|(e, _)| **e > 1) {
        match &mut stride {
            None => stride = Some((*factor, *factor * *extent as i64)),
            Some((_, next)) if next == factor => *next *= *extent as i64,
            Some(_) => return None,
        }
    }
    Some(stride.map_or(1, |(first, _)| first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::kernel::access::MAX_COORDS;

    #[test]
    fn tiles_are_boxes_that_cover_everything() {
        for extents in [vec![7], vec![3, 10], vec![2, 3, 5], vec![4, 1, 6], vec![1], vec![2, 100]] {
            for target in [1, 2, 3, 5, 8, 20, 1000] {
                let tiling = Tiling::new(&extents, target);
                let mut next = 0;
                for t in 0..tiling.tiles() {
                    let (first, len) = tiling.tile(t);
                    assert_eq!(first, next);
                    assert!(len <= target.max(1) && len <= tiling.len);
                    next += len;
                    let (mut lo, mut hi) = ([0; MAX_COORDS], [1; MAX_COORDS]);
                    set_box(&extents, 0, first, len, &mut lo, &mut hi);
                    let volume: usize = (0..extents.len()).map(|d| hi[d] - lo[d]).product();
                    assert_eq!(volume, len, "{extents:?} by {target}: tile {t}");
                    assert!((0..tiling.cut).all(|d| hi[d] - lo[d] == 1));
                }
                assert_eq!(next, extents.iter().product::<usize>());
            }
        }
    }

    #[test]
    fn strides_of_merged_coordinates() {
        assert_eq!(stride(&[2, 3, 4], &[12, 4, 1]), Some(1));
        assert_eq!(stride(&[2, 1, 4], &[8, 99, 2]), Some(2));
        assert_eq!(stride(&[2, 3], &[4, 1]), None);
        assert_eq!(stride(&[1, 1], &[4, 1]), Some(1));
    }
}
