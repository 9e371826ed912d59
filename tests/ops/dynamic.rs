//! Slices at offsets that are data, and subscripts, by what they give.

use thalweg_graph::{Device, Ellipsis, NewAxis, Result, Tensor, s};
use thalweg_tests::{cpu, own_gpu, strict, test_gpu};

fn counting(device: &Device, shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
    Tensor::from_slice(device, &values, shape)
}

#[test]
fn offsets_count_from_the_back_and_are_moved_to_fit() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = counting(&device, &[6]);
        for (start, first) in [(0, 0.0), (2, 2.0), (4, 4.0), (5, 4.0), (100, 4.0), (-1, 4.0), (-3, 3.0), (-100, 0.0)] {
            let as_tensor = Tensor::from_slice(&device, &[start], [1]);
            for y in [x.dynamic_slice(0, start, 2), x.dynamic_slice(0, as_tensor, 2)] {
                assert_eq!(y.to_vec::<f32>()?, [first, first + 1.0], "{start} on {device}");
            }
        }
        let y = x.dynamic_update_slice(0, 3usize, &Tensor::from_slice(&device, &[-1.0f32, -2.0], [2]));
        assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 2.0, -1.0, -2.0, 5.0]);
        assert!(x.dynamic_slice(0, 2, 0).to_vec::<f32>()?.is_empty());
    }
    Ok(())
}

#[test]
fn another_offset_is_the_same_plan() -> Result<()> {
    // Devices of its own: other tests must not show in their counts.
    for device in [cpu(), own_gpu()] {
        let (cache, row) = (counting(&device, &[32, 8]), counting(&device, &[1, 8]).track());
        let step = |start: usize, at: &Tensor| -> Result<Vec<f32>> {
            let cache = cache.dynamic_update_slice(0, start, &row).dynamic_slice(0, at, 16);
            let loss = (&cache * &cache).sum(..);
            let grads = loss.backward()?;
            grads.get(&row).map_or(Ok(vec![]), |g| g.to_vec())
        };
        let mut built = Vec::new();
        for start in [0usize, 1, 2, 9, 31] {
            step(start, &Tensor::from_slice(&device, &[start as i32 / 2], [1]))?;
            built.push((device.stats().plans_built, device.stats().kernels));
        }
        assert!(built.iter().all(|b| b == &built[0]), "{device}: {built:?}");
    }
    Ok(())
}

#[test]
fn the_gradient_of_an_update_knows_what_was_overwritten() -> Result<()> {
    let device = strict();
    let (x, row) = (counting(&device, &[4]).track(), counting(&device, &[2]).track());
    let y = x.dynamic_update_slice(0, 1, &row) * counting(&device, &[4]);
    let grads = y.sum(..).backward()?;
    let of = |t: &Tensor| grads.get(t).map(|g| g.to_vec::<f32>()).transpose();
    assert_eq!(of(&x)?, Some(vec![0.0, 0.0, 0.0, 3.0]));
    assert_eq!(of(&row)?, Some(vec![1.0, 2.0]));
    Ok(())
}

#[test]
fn subscripts() -> Result<()> {
    let x = counting(&strict(), &[3, 4]);
    let cases: [(Tensor, &[usize], &[f32]); 9] = [
        (x.at(s![1]), &[4], &[4.0, 5.0, 6.0, 7.0]),
        (x.at(s![-1, -2]), &[], &[10.0]),
        (x.at(s![.., 1..3]), &[3, 2], &[1.0, 2.0, 5.0, 6.0, 9.0, 10.0]),
        (x.at(s![0..1, ..;-1]), &[1, 4], &[3.0, 2.0, 1.0, 0.0]),
        (x.at(s![1.., 1..;2]), &[2, 2], &[5.0, 7.0, 9.0, 11.0]),
        (x.at(s![Ellipsis, 0]), &[3], &[0.0, 4.0, 8.0]),
        (x.at(s![0, NewAxis, ..=1]), &[1, 2], &[0.0, 1.0]),
        (x.at(s![2..9, ..-3]), &[1, 1], &[8.0]),
        (x.at(s![0, 3..1]), &[0], &[]),
    ];
    for (i, (y, shape, values)) in cases.into_iter().enumerate() {
        assert_eq!(y.shape(), shape, "case {i}");
        assert_eq!(y.to_vec::<f32>()?, values, "case {i}");
    }
    Ok(())
}
