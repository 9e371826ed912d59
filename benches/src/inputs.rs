//! Inputs that any language can reproduce: a hash of the element's number.

use thalweg_graph::{Device, Tensor};

/// 24 random bits for element `i` of the input with this seed.
fn hash(seed: u32, i: u32) -> u32 {
    let mut h = i.wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    h ^= h >> 16;
    h = h.wrapping_mul(0x7FEB_352D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846C_A68B);
    h ^= h >> 16;
    h >> 8
}

/// Numbers in `[-scale, scale)`.
pub fn values(seed: u32, count: usize, scale: f32) -> Vec<f32> {
    (0..count as u32).map(|i| (hash(seed, i) as f32 / 8_388_608.0 - 1.0) * scale).collect()
}

/// A tensor of numbers in `[-scale, scale)`.
pub fn fill(device: &Device, seed: u32, shape: &[usize], scale: f32) -> Tensor {
    Tensor::from_slice(device, &values(seed, shape.iter().product(), scale), shape)
}

/// A tensor of whole numbers in `[0, n)`.
pub fn targets(device: &Device, seed: u32, count: usize, n: u32) -> Tensor {
    let ids: Vec<i32> = (0..count as u32).map(|i| (hash(seed, i) % n) as i32).collect();
    Tensor::from_slice(device, &ids, [count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_fills_its_range_evenly() {
        let x = values(1, 10_000, 2.0);
        assert!(x.iter().all(|v| (-2.0..2.0).contains(v)));
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05, "{mean}");
        assert_eq!(hash(0, 0), 0);
    }
}
