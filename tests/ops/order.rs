//! Sorts of long axes, which are merged, against the host's stable sort; and slices that differ.

use std::cmp::Ordering;

use thalweg_graph::{DType, Device, Result, Rng, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

/// Few different numbers, so that many are equal, and some that are none.
fn draws(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::seed(seed);
    let draw = |rng: &mut Rng| match rng.below(60) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        _ => rng.below(97) as f32 - 48.0,
    };
    (0..n).map(|_| draw(&mut rng)).collect()
}

/// Positions in order: what is no number last, or first when descending; equal ones as they stood.
fn host_order(x: &[f32], descending: bool) -> Vec<i32> {
    let compare = |a: f32, b: f32| match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    };
    let mut order: Vec<i32> = (0..x.len() as i32).collect();
    order.sort_by(|a, b| {
        let order = compare(x[*a as usize], x[*b as usize]);
        if descending { order.reverse() } else { order }
    });
    order
}

fn check(device: &Device, rows: usize, n: usize) -> Result<()> {
    let data = draws(rows * n, n as u64);
    // The axis in the middle, so that rows have to be gathered.
    let x = Tensor::from_slice(device, &data, [rows, n]).t().unsqueeze(0);
    x.eval()?;
    for descending in [false, true] {
        let index = x.argsort(1, descending).squeeze(0).t().to_vec::<i32>()?;
        let (largest, at) = x.topk(5, 1, descending);
        let (largest, at) = (largest.squeeze(0).t().to_vec::<f32>()?, at.squeeze(0).t().to_vec::<i32>()?);
        for (r, row) in data.chunks(n).enumerate() {
            let want = host_order(row, descending);
            assert_eq!(index[r * n..(r + 1) * n], want, "row {r} of {n}, descending {descending}, on {device}");
            assert_eq!(at[r * 5..(r + 1) * 5], want[..5], "the first of row {r} of {n} on {device}");
            for (value, at) in largest[r * 5..].iter().zip(&want[..5]) {
                assert!(*value == row[*at as usize] || (value.is_nan() && row[*at as usize].is_nan()));
            }
        }
    }
    let kth = x.kthvalue(n / 3, 1).1.to_vec::<i32>()?;
    let median = x.nanmedian(1).1.to_vec::<i32>()?;
    for (r, row) in data.chunks(n).enumerate() {
        let want = host_order(row, false);
        assert_eq!(kth[r], want[n / 3 - 1], "{device}");
        let good = row.iter().filter(|x| !x.is_nan()).count();
        assert_eq!(median[r], want[(good - 1) / 2], "{device}");
    }
    Ok(())
}

#[test]
fn long_axes_on_cpu() -> Result<()> {
    for n in [513, 1000, 4097] {
        check(&cpu(), 3, n)?;
    }
    check(&cpu(), 1, 100_003)?;
    check(&strict(), 2, 700)
}

#[test]
fn long_axes_on_gpu() -> Result<()> {
    check(&test_gpu!(), 2, 1025)?;
    check(&test_gpu!(), 1, 20_011)
}

#[test]
fn long_axes_of_other_dtypes() -> Result<()> {
    for device in [cpu(), strict()] {
        let host: Vec<i32> = draws(600, 3).iter().map(|x| if x.is_finite() { *x as i32 } else { i32::MIN }).collect();
        let x = Tensor::from_slice(&device, &host, [600]);
        let mut want = host.clone();
        want.sort_unstable();
        assert_eq!(x.sort(0, false).0.to_vec::<i32>()?, want);
        let bits = x.cast(DType::U32).sort(0, true).0.to_vec::<u32>()?;
        assert!(bits.windows(2).all(|w| w[0] >= w[1]));
        let yes = x.gt(0.0).sort(0, false).0.to_vec::<bool>()?;
        assert!(yes.windows(2).all(|w| w[0] <= w[1]));
    }
    Ok(())
}

/// Of a long sort as well: each element takes the gradient of the place it came to.
#[test]
fn gradients_go_back_to_where_elements_stood() -> Result<()> {
    for device in [cpu(), strict()] {
        let mut rng = Rng::seed(4);
        let host: Vec<f32> = rng.permutation(1500).into_iter().map(|i| i as f32).collect();
        let x = Tensor::from_slice(&device, &host, [1500]).track();
        let place = Tensor::arange(&device, 1500).cast(DType::F32);
        let grads = (x.sort(0, true).0 * place).sum(..).backward()?;
        let got = grads.get(&x).map(|g| g.to_vec::<f32>()).transpose()?;
        assert_eq!(got, Some(host.iter().map(|x| 1499.0 - x).collect()), "{device}");
    }
    Ok(())
}

#[test]
fn slices_that_differ() -> Result<()> {
    let device = strict();
    let x = Tensor::from_slice(&device, &[1.0f32, 2.0, -0.0, 5.0, 1.0, 2.0, 0.0, 3.0, 0.0, 5.0], [5, 2]);
    let found = x.unique_along(0)?;
    assert_eq!(found.values.to_vec::<f32>()?, [0.0, 3.0, 0.0, 5.0, 1.0, 2.0]);
    assert_eq!(found.inverse.to_vec::<i32>()?, [2, 1, 2, 0, 1]);
    assert_eq!(found.counts.to_vec::<i32>()?, [1, 2, 2]);
    let found = x.t().unique_along(-1)?;
    assert_eq!(found.values.shape(), [2, 3]);
    let text = x.unique_along(2).unwrap_err().to_string();
    assert!(text.contains("unique") && text.contains("axis 2") && text.contains("order.rs"), "{text}");
    Ok(())
}
