//! What random programs found, shrunk.

use thalweg::nn::Attention;
use thalweg_graph::{ConvConfig, DType, Device, Interpolation, NewtonSchulz, Pool, Resample, Resize, Result, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

/// Runs on every executor, fused and op by op, and compares with the strict one.
fn agree(run: impl Fn(&Device) -> Result<Vec<Tensor>>) {
    let values = |device: &Device| -> Vec<Vec<f64>> {
        let tensors = run(device).unwrap_or_else(|e| panic!("{device}: {e}"));
        Tensor::eval_all(&tensors).unwrap_or_else(|e| panic!("{device}: {e}"));
        tensors.iter().map(|t| t.to_vec().unwrap_or_else(|e| panic!("{device}: {e}"))).collect()
    };
    let want = values(&strict());
    for device in [cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()] {
        let got = values(&device);
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{device}: {got}, not {want}");
        }
    }
}

/// The gradient went to the first element, whichever was selected.
#[test]
fn the_gradient_of_a_median_goes_to_it() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[-1.25f32, -2.0], [2]).track();
        let y = x.median(0).0;
        let grads = (&y * -0.5).backward()?;
        Ok([y].into_iter().chain(grads.get(&x).cloned()).collect())
    });
}

/// Windows have twice as many axes as are pooled, which can be more than a tensor may have.
#[test]
fn pools_of_tensors_of_many_axes() {
    for rank in 3..=8 {
        agree(|device| {
            let x = (Tensor::arange(device, 16) * 0.5).reshape([2, 2, 4]);
            let x = x.reshape([vec![1; rank - 3], vec![2, 2, 4]].concat());
            let pool = Pool::new(&[2, 1, 3]);
            let (max, at) = x.max_pool_with_indices(&pool);
            assert_eq!(max.rank(), rank);
            Ok(vec![max, at, x.avg_pool(&pool), x.max_pool(&Pool::new(&[2, 2])), x.lp_pool(2.0, &pool)])
        });
    }
}

/// No kernel runs over nothing.
#[test]
fn views_and_joins_of_nothing() {
    agree(|device| {
        let x = Tensor::zeros(device, [0]);
        let leaf = Tensor::from_slice::<f32>(device, &[], [2, 0]);
        Ok(vec![
            x.repeat([2]),
            leaf.repeat([2, 3]),
            leaf.concat_with(std::slice::from_ref(&leaf), 1),
            leaf.t().exp() + 1.0,
        ])
    });
}

/// Five axes, and five of windows beside them, are more than a tensor may have.
#[test]
fn windows_of_too_many_axes_are_an_error() {
    let x = Tensor::ones(&strict(), [2, 2, 2, 2, 2]);
    let pool = Pool::new(&[1, 1, 1, 1, 1]);
    for y in [x.max_pool(&pool), x.avg_pool(&pool), x.max_pool_with_indices(&pool).0, x.lp_pool(2.0, &pool)] {
        let error = y.check().expect_err("an error").to_string();
        assert!(error.contains("more than 8 axes"), "{error}");
    }
}

/// A product read windows past a view that has one element for all positions, and lost their borders.
#[test]
fn a_mean_of_strided_windows_of_something_enlarged() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[1.0f32], [1, 1, 1]).track();
        let y = x.interpolate(&Resize::size(&[5], Resample::Area));
        let y = y.unfold(&[1], &ConvConfig { stride: vec![2], ..ConvConfig::default() }).mean(2);
        let grads = y.sum(..).backward()?;
        Ok([y].into_iter().chain(grads.get(&x).cloned()).collect())
    });
}

/// A product read truth values as the bits of floats.
#[test]
fn attention_to_a_one_hot() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[1, 2, 0], [3]).one_hot(5).cast(DType::F32);
        Ok(vec![Attention::default().apply(&x, &x.tanh(), &x.flip(-2))])
    });
}

/// More than a kernel can bind.
#[test]
fn a_concat_of_many() {
    agree(|device| {
        let parts = |n: usize| -> Vec<Tensor> {
            (0..n).map(|i| Tensor::from_slice(device, &[i as f32, 1.0], [2, 1]).track()).collect()
        };
        let mut found = Vec::new();
        for n in [27, 29, 31, 33, 100] {
            let parts = parts(n);
            let y = parts[0].concat_with(&parts[1..], 1);
            let grads = y.square().sum(..).backward()?;
            found.extend([y.tanh() * 0.5, y].into_iter().chain(grads.get(&parts[n - 1]).cloned()));
        }
        Ok(found)
    });
}

/// A side of one row had its offset added in front of the sum and again at each step of it.
#[test]
fn products_of_one_row_that_starts_inside_a_buffer() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [7]);
        let part = x.slice(0, 2..);
        let w = Tensor::from_slice(device, &[0.5f32, -1.0], [2, 1, 1]).track();
        let config = ConvConfig { padding: vec![2], dilation: vec![2], ..ConvConfig::default() };
        let y = x.slice(0, 6..).reshape([1, 1, 1]).conv(&w, &config);
        let weights = (Tensor::arange(device, 10) * 0.25 - 1.0).reshape([1, 2, 5]);
        let grads = (&y * weights).sum(..).backward()?;
        let products = [part.matmul(&part), part.reshape([1, 5]).matmul(&x.slice(0, ..5))];
        Ok(products.into_iter().chain([y]).chain(grads.get(&w).cloned()).collect())
    });
}

/// The slope of a norm at 0 is infinite, and nothing of it may be left.
#[test]
fn the_gradient_of_an_orthogonalised_zero_is_a_number() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[0.0f32; 6], [2, 3]).track();
        let y = x.orthogonalise(&NewtonSchulz::exact(1));
        let grads = y.sum(..).backward()?;
        Ok([y].into_iter().chain(grads.get(&x).cloned()).collect())
    });
}

/// A number beside 16-bit floats is not rounded to them, on any executor: 0.99 would be 0.98828125 in bf16. What pads a tensor is
/// an element of it, and is.
#[test]
fn numbers_beside_16_bit_floats_keep_their_digits() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[0.98828125f32, 0.984375, 0.9921875], [3]).cast(DType::BF16);
        let padded = x.pad(&[(1, 1)], 0.99);
        let small = Tensor::from_slice(device, &[2f32.powi(-10)], [1]).cast(DType::F16);
        let scaled = (&small * 2f64.powi(20)).cast(DType::F32);
        assert_eq!(scaled.item()?, 1024.0);
        Ok(vec![x.lt(0.99).cast(DType::F32), padded.eq(0.98828125).cast(DType::F32), scaled])
    });
}

/// A sum of one 16-bit element each is a cast: in a kernel that reduces something else it was summed over that.
#[test]
fn a_sum_of_one_16_bit_element_beside_another_reduction() {
    agree(|device| {
        let x = Tensor::from_slice(device, &[1.0f32; 6], [1, 3, 2]).track();
        let least = x.amax_keepdim([1, 0]).cast(DType::F16).quantile(0.0, 0, Interpolation::Linear);
        let grads = (&least * Tensor::from_slice(device, &[-0.5f32, 1.5], [1, 2])).sum(..).backward()?;
        let mut found: Vec<Tensor> = [least].into_iter().chain(grads.get(&x).cloned()).collect();
        // One row of a table beside a sum over rows.
        let rows = Tensor::from_slice(device, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2]);
        let halves = rows.narrow(0, 0, 1).cast(DType::F16);
        let (sum, single) = (rows.sum_keepdim(0), halves.sum_keepdim(0).cast(DType::F32));
        found.extend([sum * single, halves.mean_keepdim(0).cast(DType::F32) + rows.mean_keepdim(0)]);
        Ok(found)
    });
}
