//! One expression over more tensors than a kernel can bind.

use thalweg_graph::Tensor;
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn a_sum_of_a_hundred_tensors() {
    for device in [strict(), cpu(), test_gpu!()] {
        let leaf = |i: usize| Tensor::from_slice(&device, &[i as f32, 1.0], [2]);
        let sum = (1..100).fold(leaf(0), |sum, i| sum + leaf(i));
        assert_eq!(sum.to_vec::<f32>().unwrap(), [4950.0, 100.0], "{device}");
        // Products of pairs, so that no input of the last node alone is wide.
        let tree = (0..25).fold(leaf(0) * leaf(1), |sum, i| sum + leaf(2 * i) * leaf(2 * i + 1).exp() * leaf(3 * i));
        assert!(tree.to_vec::<f32>().is_ok(), "{device}");
    }
}
