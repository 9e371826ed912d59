use thalweg_graph::{DType, Pool, Tensor};

use crate::{Case, Draw, cases::floats};

/// Pooling with overlap, padding, dilation, and windows over the end.
pub fn pool() -> Vec<Case> {
    let plain = Pool::new(&[2, 2]);
    let overlapping = Pool { stride: vec![2], padding: vec![1], ..Pool::new(&[3, 3]) };
    let dilated = Pool { stride: vec![1], dilation: vec![2], ..Pool::new(&[2, 2]) };
    let ceil = Pool { stride: vec![2], ceil_mode: true, ..Pool::new(&[3, 2]) };
    let uncounted = Pool { count_include_pad: false, ..overlapping.clone() };
    let divided = Pool { divisor: Some(5), ..overlapping.clone() };
    let shape = [2, 3, 8, 9];
    let mut cases = Vec::new();
    for pool in [overlapping.clone(), dilated.clone()] {
        let name = format!("max_pool_with_indices {pool:?}");
        cases.push(
            Case::new(name, vec![floats(&shape)], move |x| with_index(x[0].max_pool_with_indices(&pool))).kinked(),
        );
    }
    for pool in [plain.clone(), overlapping.clone(), dilated, ceil.clone()] {
        let name = format!("max_pool {pool:?}");
        cases.push(Case::new(name, vec![floats(&shape)], move |x| x[0].max_pool(&pool)).kinked().terms(9));
    }
    for pool in [plain, overlapping, ceil, uncounted, divided] {
        let name = format!("avg_pool {pool:?}");
        cases.push(Case::new(name, vec![floats(&shape)], move |x| x[0].square().avg_pool(&pool)).terms(9));
    }
    cases.push(Case::new("max_pool 1d", vec![floats(&[2, 3, 11])], |x| x[0].max_pool(&Pool::new(&[3]))).kinked());
    cases.push(
        Case::new("avg_pool 3d", vec![floats(&[2, 4, 6, 5])], |x| x[0].avg_pool(&Pool::new(&[2, 3, 2]))).terms(12),
    );
    for out in [[3, 4], [4, 3], [11, 2]] {
        let input = || vec![floats(&shape)];
        let name = |name: &str| format!("{name} to {out:?}");
        cases.push(
            Case::new(name("adaptive_avg_pool"), input(), move |x| x[0].square().adaptive_avg_pool(&out)).terms(16),
        );
        let max = move |x: &[Tensor]| with_index(x[0].adaptive_max_pool_with_indices(&out));
        cases.push(Case::new(name("adaptive_max_pool"), input(), max).kinked());
    }
    let positive = vec![Draw::Uniform(vec![2, 6, 4], 0.5, 2.0)];
    cases.push(Case::new("lp_pool", positive, |x| x[0].lp_pool(3.0, &Pool::new(&[3, 2]))).terms(16));
    let inputs = vec![floats(&[2, 3, 2]), Draw::Index(vec![2, 3, 2], 24)];
    cases.push(Case::new("max_unpool", inputs, |x| x[0].square().max_unpool(&x[1], &[6, 4])));
    cases
}

/// Values scaled by where they came from, so that a wrong index shows.
fn with_index((values, index): (Tensor, Tensor)) -> Tensor {
    values * (index.cast(DType::F32) * 0.1 + 1.0)
}
