//! What people write who come from PyTorch or from other Rust: numbers, indices, lists and shapes of every natural type.

use thalweg_graph::{DType, Device, Tensor, s};
use thalweg_tests::{cpu, strict};

fn row(device: &Device) -> Tensor {
    Tensor::from_slice(device, &[1.0f32, 2.0, 4.0], 3)
}

/// Each tensor against its elements, on both executors of the CPU.
fn check(rows: impl Fn(&Device) -> Vec<(Tensor, Vec<f64>)>) {
    for device in [strict(), cpu()] {
        for (i, (got, want)) in rows(&device).into_iter().enumerate() {
            assert_eq!(got.to_vec::<f64>().unwrap_or_else(|e| panic!("row {i}: {e}")), want, "row {i} on {device}");
        }
    }
}

#[test]
fn numbers_of_any_type_are_operands() {
    check(|device| {
        let x = row(device);
        let (n, long, byte) = (2usize, 3i64, 4u8);
        vec![
            (2 * &x, vec![2.0, 4.0, 8.0]),
            (1 - x.clone(), vec![0.0, -1.0, -3.0]),
            ((1.0 - &x).square(), vec![0.0, 1.0, 9.0]),
            ((4 / &x).sqrt().square().round(), vec![4.0, 2.0, 1.0]),
            (&x * n + 1f32, vec![3.0, 5.0, 9.0]),
            (&x - long, vec![-2.0, -1.0, 1.0]),
            (&x / byte, vec![0.25, 0.5, 1.0]),
            (x.gt(1).cast(DType::I32) + 5u32, vec![5.0, 6.0, 6.0]),
            (x.clamp(0, 2), vec![1.0, 2.0, 2.0]),
            (x.clamp_min(2).powf(2), vec![4.0, 4.0, 16.0]),
            (x.masked_fill(&x.eq(2), -1), vec![1.0, -1.0, 4.0]),
            (x.pad(&[(1, 0)], 7), vec![7.0, 1.0, 2.0, 4.0]),
            (Tensor::full(device, n, (1, 2), DType::F32), vec![2.0, 2.0]),
        ]
    });
}

#[test]
fn operators_that_assign() {
    check(|device| {
        let mut x = row(device);
        x += 1;
        x *= &x.clone();
        x -= Tensor::ones(device, 3);
        x /= 2.0;
        let mut mask = row(device).gt(1);
        mask &= row(device).lt(4);
        let either = &mask | row(device).eq(1);
        vec![
            (x, vec![1.5, 4.0, 12.0]),
            (!&mask, vec![1.0, 0.0, 1.0]),
            (&mask ^ &either, vec![1.0, 0.0, 0.0]),
            (!row(device).cast(DType::I32), vec![-2.0, -3.0, -5.0]),
        ]
    });
}

#[test]
fn what_an_assignment_made_has_its_gradient() {
    let x = row(&cpu()).track();
    let mut y = x.square();
    y *= 3;
    y += &x;
    let grads = y.sum(..).backward().expect("gradients");
    assert_eq!(grads.get(&x).expect("a gradient").to_vec::<f32>(), Ok(vec![7.0, 13.0, 25.0]));
}

#[test]
fn positions_and_ranges_of_any_type() {
    check(|device| {
        let x = row(device);
        let (n, label, back) = (2usize, 1u8, -1i64);
        vec![
            (x.select(0, n), vec![4.0]),
            (x.select(0, label), vec![2.0]),
            (x.select(0, back), vec![4.0]),
            (x.slice(0, 0..n), vec![1.0, 2.0]),
            (x.slice(0, n..), vec![4.0]),
            (x.slice(0, ..=label), vec![1.0, 2.0]),
            (x.slice(0, -2..), vec![2.0, 4.0]),
            (x.slice_step(0, ..n, -1), vec![2.0, 1.0]),
            (x.at(n), vec![4.0]),
            (x.at(-1), vec![4.0]),
            (x.at(1..n), vec![2.0]),
            (x.at(..), vec![1.0, 2.0, 4.0]),
            (x.at(s![..;2]), vec![1.0, 4.0]),
            (x.at(vec![(1..).into()]), vec![2.0, 4.0]),
            (x.roll(n, 0), vec![2.0, 4.0, 1.0]),
            (x.reshape((1, 3)).flatten(0..n), vec![1.0, 2.0, 4.0]),
        ]
    });
}

#[test]
fn shapes_of_any_kind() {
    let device = cpu();
    let x = Tensor::arange(&device, 8);
    let (b, list) = (4usize, vec![2, 2, 2]);
    for (y, want) in [
        (x.reshape([4, 2]), vec![4, 2]),
        (x.reshape(&list), list.clone()),
        (x.reshape((b, -1)), vec![4, 2]),
        (x.reshape([2, 4]).reshape(-1), vec![8]),
        (x.reshape((b, 2)).expand((3, -1, 2)), vec![3, 4, 2]),
        (x.broadcast_to([2, 8]), vec![2, 8]),
        (x.repeat([2]), vec![16]),
        (x.split([3, 5], 0)[1].clone(), vec![5]),
        (Tensor::zeros(&device, (2, b)), vec![2, 4]),
        (Tensor::zeros(&device, b), vec![4]),
        (Tensor::ones(&device, [2, 3]), vec![2, 3]),
        (Tensor::ones(&device, ()), vec![]),
        (x.reshape((2, 2, 2)).sum([0, 2]), vec![2]),
        (x.reshape((2, 2, 2)).sum(vec![0, 1]), vec![2]),
    ] {
        assert_eq!(y.check(), Ok(()));
        assert_eq!(y.shape(), want);
    }
    assert_eq!(x.reshape((b, -1)).dim(-1), Ok(2));
    assert!(x.dim(1).expect_err("an error").to_string().starts_with("dim: axis 1 is not one of a tensor with 1 axes"));
}

#[test]
fn lists_of_tensors_and_of_references() {
    check(|device| {
        let x = row(device);
        let (all, twice) = (vec![x.clone(), &x + 1, &x + 2], vec![2.0, 4.0, 8.0]);
        vec![
            (Tensor::stack([&x, &x], 0).sum(0), twice.clone()),
            (Tensor::stack([&x, &x], 0).sum(0), twice.clone()),
            (Tensor::concat([&x, &x], 0).slice(0, 3..), vec![1.0, 2.0, 4.0]),
            (Tensor::concat(&all, 0).slice(0, ..3), vec![1.0, 2.0, 4.0]),
            (Tensor::concat(all.iter().map(|t| t * 2), 0).slice(0, ..3), twice.clone()),
            (x.concat_with([&x], 0).slice(0, ..3), vec![1.0, 2.0, 4.0]),
            (all.iter().sum(), vec![6.0, 9.0, 15.0]),
            (all.iter().map(|t| t - &x).sum(), vec![3.0, 3.0, 3.0]),
            (Tensor::meshgrid([&x, &x])[0].select(1, 0), vec![1.0, 2.0, 4.0]),
        ]
    });
}

#[test]
fn what_loses_nothing_is_read() {
    for device in [strict(), cpu()] {
        let ids = Tensor::from_slice(&device, &[1, -3, 1 << 24], 3);
        assert_eq!(ids.to_vec::<f32>(), Ok(vec![1.0, -3.0, 16_777_216.0]));
        assert_eq!(ids.gt(0).to_vec::<f32>(), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(ids.gt(0).to_vec::<i32>(), Ok(vec![1, 0, 1]));
        assert_eq!(Tensor::from_slice(&device, &[7u32], 1).to_vec::<f32>(), Ok(vec![7.0]));
        for large in [(1 << 24) + 1, i32::MAX] {
            let error = Tensor::from_slice(&device, &[large], 1).to_vec::<f32>().expect_err("an error").to_string();
            assert!(error.contains("to_vec: dtype i32 holds an integer that f32 cannot hold exactly"), "{error}");
        }
    }
}
