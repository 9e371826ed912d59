use thalweg_graph::Pool;

use crate::{Case, cases::floats};

/// Pooling with overlap, padding, dilation, and windows over the end.
pub fn pool() -> Vec<Case> {
    let plain = Pool::new(&[2, 2]);
    let overlapping = Pool { stride: vec![2], padding: vec![1], ..Pool::new(&[3, 3]) };
    let dilated = Pool { stride: vec![1], dilation: vec![2], ..Pool::new(&[2, 2]) };
    let ceil = Pool { stride: vec![2], ceil_mode: true, ..Pool::new(&[3, 2]) };
    let uncounted = Pool { count_include_pad: false, ..overlapping.clone() };
    let shape = [2, 3, 8, 9];
    let mut cases = Vec::new();
    for pool in [plain.clone(), overlapping.clone(), dilated, ceil.clone()] {
        let name = format!("max_pool {pool:?}");
        cases.push(Case::new(name, vec![floats(&shape)], move |x| x[0].max_pool(&pool)).kinked().terms(9));
    }
    for pool in [plain, overlapping, ceil, uncounted] {
        let name = format!("avg_pool {pool:?}");
        cases.push(Case::new(name, vec![floats(&shape)], move |x| x[0].square().avg_pool(&pool)).terms(9));
    }
    cases.push(Case::new("max_pool 1d", vec![floats(&[2, 3, 11])], |x| x[0].max_pool(&Pool::new(&[3]))).kinked());
    cases.push(
        Case::new("avg_pool 3d", vec![floats(&[2, 4, 6, 5])], |x| x[0].avg_pool(&Pool::new(&[2, 3, 2]))).terms(12),
    );
    cases
}
