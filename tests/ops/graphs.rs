//! Random graphs, fused, against the strict executor, which fuses nothing.

use thalweg_tests::{Seed, assert_agree, check_gradient, cpu, random_graph, test_gpu};

#[test]
fn random_graphs_agree_on_cpu() {
    let device = cpu();
    (0..300).for_each(|seed| assert_agree(&device, &random_graph(Seed(seed)), Seed(seed)));
}

#[test]
fn random_graphs_agree_on_gpu() {
    let device = test_gpu!();
    (0..12).for_each(|seed| assert_agree(&device, &random_graph(Seed(seed)), Seed(seed)));
}

#[test]
fn gradients_of_random_graphs_match_finite_differences() {
    (0..300).for_each(|seed| check_gradient(&random_graph(Seed(seed)), Seed(seed)));
}
