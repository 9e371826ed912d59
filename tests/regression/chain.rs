//! Long chains: nothing may recurse along them, and metrics that nobody reads must not grow for ever.

use thalweg_graph::{MAX_PENDING, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

/// A tracked chain keeps its history after evaluation, so all of it is dropped at once.
#[test]
fn a_chain_of_a_million_nodes_drops() {
    let mut x = Tensor::ones(&strict(), [1]).track();
    for _ in 0..1_000_000 {
        x += 1.0;
    }
    drop(x);
}

#[test]
fn an_untracked_chain_is_evaluated_on_the_way() {
    let mut x = Tensor::ones(&strict(), [1]);
    for _ in 0..3 * MAX_PENDING {
        x += 1.0;
    }
    assert_eq!(x.item().ok(), Some(3.0 * MAX_PENDING as f64 + 1.0));
}

/// Counting a path for each way to it would double with every layer; so would the time, or the wait for a value.
#[test]
fn paths_that_meet_again_count_once() {
    let device = cpu();
    let x = Tensor::ones(&device, [8]).track();
    // Made before, needed by every layer and never evaluated.
    let old = (0..100).fold(Tensor::ones(&device, [8]), |old, _| old.sin().exp() * 0.0 + 0.25);
    let mut h = x.clone();
    for _ in 0..1000 {
        h = &h * 0.5 + h.relu() * &old + h.abs() * &old;
    }
    assert_eq!(h.sum(..).item().unwrap(), 8.0);
    let grads = h.sum(..).backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().to_vec::<f32>().unwrap(), [1.0; 8]);
}

/// Scheduling follows what has no buffer, and overflowed its stack.
#[test]
fn chains_of_views_constants_and_sums_of_slices_are_cut() {
    for device in [cpu(), test_gpu!()] {
        let (mut constant, mut view, mut sum) = (Tensor::ones(&device, [4]), Tensor::arange(&device, 8), 0.0);
        let leaf = Tensor::from_slice(&device, &[1.0f32; 64], [64]);
        let mut slices = leaf.slice(0, ..1);
        for i in 0..3000 {
            constant = constant * 0.5 + 0.5;
            view = view.reshape([2, 4]).t().reshape([8]);
            slices += leaf.slice(0, i % 64..i % 64 + 1);
            sum += 1.0;
        }
        assert_eq!(constant.to_vec::<f32>().unwrap(), [1.0; 4]);
        assert_eq!(view.to_vec::<i32>().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(slices.item().unwrap(), sum + 1.0);
    }
}
