//! Long chains: nothing may recurse along them, and metrics that nobody reads must not grow for ever.

use thalweg_graph::{MAX_PENDING, Tensor};
use thalweg_tests::strict;

/// A tracked chain keeps its history after evaluation, so all of it is dropped at once.
#[test]
fn a_chain_of_a_million_nodes_drops() {
    let mut x = Tensor::ones(&strict(), [1]).track();
    for _ in 0..1_000_000 {
        x = x + 1.0;
    }
    drop(x);
}

#[test]
fn an_untracked_chain_is_evaluated_on_the_way() {
    let mut x = Tensor::ones(&strict(), [1]);
    for _ in 0..3 * MAX_PENDING {
        x = x + 1.0;
    }
    assert_eq!(x.item().ok(), Some(3.0 * MAX_PENDING as f64 + 1.0));
}
