//! The fast executor against the strict one, and against itself on other numbers of threads.

use std::sync::Arc;

use thalweg_cpu::{FastCpu, StrictCpu};
use thalweg_graph::{
    ConvConfig, DType, Device, Error, Result, Tensor,
    ops::{binary::BinaryOp, unary::UnaryOp},
};

/// A number in [-1, 1) for each element, by a counter hash.
fn noise(seed: u32, count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let mut h = i.wrapping_add(seed.wrapping_mul(0x9E37_79B9));
            h = (h ^ h >> 16).wrapping_mul(0x7FEB_352D);
            h = (h ^ h >> 15).wrapping_mul(0x846C_A68B);
            ((h ^ h >> 16) >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn tensor(device: &Device, seed: u32, shape: &[usize]) -> Tensor {
    Tensor::from_slice(device, &noise(seed, shape.iter().product()), shape)
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    if tensor.dtype() == DType::F32 {
        return Ok(tensor.to_vec::<f32>()?.into_iter().map(f64::from).collect());
    }
    Ok(tensor.cast(DType::F32).to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

/// What `f` gives on each device, and that it is the same.
fn check(name: &str, tolerance: f64, f: impl Fn(&Device) -> Result<Vec<Tensor>>) -> Result<()> {
    let strict = Device::new(Arc::new(StrictCpu::new()));
    let want = f(&strict)?.iter().map(values).collect::<Result<Vec<_>>>()?;
    let mut first: Option<Vec<Vec<u64>>> = None;
    for threads in [1, 2, 3] {
        let device = Device::new(Arc::new(FastCpu::with_threads(threads)?));
        let got = f(&device)?.iter().map(values).collect::<Result<Vec<_>>>()?;
        assert_eq!(got.len(), want.len(), "{name}");
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(got.len(), want.len(), "{name}: output {i}");
            let largest = want.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
            for (j, (g, w)) in got.iter().zip(want).enumerate() {
                let near = (g - w).abs() <= tolerance * (w.abs() + largest);
                assert!(near || g == w || (g.is_nan() && w.is_nan()), "{name}: output {i}[{j}] is {g}, not {w}");
            }
        }
        let bits: Vec<Vec<u64>> = got.iter().map(|y| y.iter().map(|x| x.to_bits()).collect()).collect();
        match &first {
            None => first = Some(bits),
            Some(first) => assert!(*first == bits, "{name}: other bits with {threads} threads"),
        }
    }
    Ok(())
}

#[test]
fn every_unary_function() -> Result<()> {
    for op in UnaryOp::ALL {
        if *op == UnaryOp::Not {
            continue;
        }
        check(op.name(), 2e-6, |d| {
            let x = tensor(d, 1, &[3, 701]);
            // Inside every function's domain, and for most of them wide.
            let x = match op {
                UnaryOp::Asin | UnaryOp::Acos | UnaryOp::Atanh | UnaryOp::Erfinv => x * 0.99,
                UnaryOp::Acosh => x + 2.5,
                UnaryOp::Log | UnaryOp::Log2 | UnaryOp::Sqrt | UnaryOp::Rsqrt => x * 3.0 + 3.01,
                UnaryOp::Log1p => x * 0.999,
                UnaryOp::Tan => x * 1.2,
                _ => x * 7.0,
            };
            x.eval()?;
            Ok(vec![x.unary(*op)])
        })?;
    }
    Ok(())
}

#[test]
fn every_binary_function_on_every_class() -> Result<()> {
    for op in BinaryOp::ALL {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool, DType::F16] {
            if op.result(dtype).is_none() {
                continue;
            }
            let name = format!("{} {dtype}", op.name());
            // Between fused operations a 16-bit value keeps its f32 bits; the strict executor rounds after each.
            check(&name, if dtype == DType::F16 { 2e-3 } else { 2e-6 }, |d| {
                let scale = if dtype == DType::Bool { 1.0 } else { 9.0 };
                let make = |seed, shape: &[usize]| {
                    let x = (tensor(d, seed, shape) * scale).round();
                    if dtype == DType::F32 || dtype == DType::U32 || *op == BinaryOp::Pow {
                        x.abs().cast(dtype)
                    } else {
                        x.cast(dtype)
                    }
                };
                let (a, b) = (make(1, &[5, 1, 131]), make(2, &[7, 1]));
                let (c, e) = (make(3, &[5, 7, 131]), make(4, &[]));
                Ok(vec![a.binary(*op, &b), c.binary(*op, &e), c.binary(*op, &a)])
            })?;
        }
    }
    Ok(())
}

#[test]
fn casts_round_and_saturate() -> Result<()> {
    use DType::*;
    for from in [F32, F16, BF16, I32, U32, Bool] {
        for to in [F32, F16, BF16, I32, U32, Bool] {
            check(&format!("{from} to {to}"), 0.0, |d| {
                let x = (tensor(d, 1, &[3, 77]) * 300.0).cast(from);
                Ok(vec![x.cast(to), x.t().cast(to)])
            })
            .or_else(|e| if from == Bool { Ok(()) } else { Err(e) })?;
        }
    }
    Ok(())
}

#[test]
fn reductions_over_any_axes() -> Result<()> {
    for shape in [[1, 1, 1], [3, 5, 7], [40, 3, 9], [2, 300, 5], [2, 3, 5000], [1, 1, 70_000], [600, 2, 64]] {
        for axes in [vec![0isize], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2], vec![0, 1, 2]] {
            check(&format!("{shape:?} over {axes:?}"), 3e-6, |d| {
                let x = tensor(d, 1, &shape);
                let one = axes[0];
                Ok(vec![
                    x.sum(axes.clone()),
                    x.mean(axes.clone()),
                    x.amax(axes.clone()),
                    x.amin(axes.clone()),
                    (&x * 0.01 + 1.0).prod(one),
                    x.argmax(axes.clone()),
                    (&x * 4.0).round().argmin(axes.clone()),
                    x.var(axes.clone(), 0),
                    (&x * 9.0).cast(DType::I32).sum(axes.clone()),
                    (&x * 9.0).cast(DType::I32).amax(axes.clone()),
                ])
            })?;
        }
    }
    Ok(())
}

#[test]
fn rows_with_several_sweeps() -> Result<()> {
    for shape in [vec![1, 1], vec![3, 7], vec![64, 256], vec![200, 10], vec![5, 4099], vec![2, 20_000], vec![3, 4, 33]]
    {
        for axis in [-1, 0] {
            check(&format!("softmax {shape:?} over {axis}"), 3e-6, |d| {
                let x = (tensor(d, 1, &shape) * 5.0).track();
                let g = tensor(d, 2, &shape);
                let y = x.softmax(axis);
                let grads = y.backward_from(&g)?;
                let centred = &x - &x.mean_keepdim(axis);
                let norm = &centred * (centred.square().mean_keepdim(axis) + 1e-5).rsqrt();
                let norm_grads = norm.backward_from(&g)?;
                let all = [Some(&y), grads.get(&x), Some(&norm), norm_grads.get(&x)];
                Ok(all.into_iter().flatten().cloned().chain([x.log_softmax(axis), x.logsumexp(axis)]).collect())
            })?;
        }
    }
    Ok(())
}

#[test]
fn views_of_every_kind() -> Result<()> {
    let views: [fn(&Tensor) -> Result<Tensor>; 11] = [
        |x| Ok(x.permute([2isize, 0, 1]) + 1.0),
        |x| Ok(x.transpose(0, 2).flip(1isize) * 2.0),
        |x| Ok(x.slice_step(2, 3..30, 4) + x.slice_step(2, 1..28, 4)),
        |x| Ok(x.pad(&[(1, 2), (0, 3), (2, 1)], 0.5).exp()),
        |x| Ok(x.reshape([24isize, 35]).t().sum(0)),
        |x| Ok(Tensor::concat([x, &x.slice(1, 1..3), &(x * 3.0)], 1)),
        |x| Ok(x.narrow(1, 2, 3).repeat([1, 2, 1])),
        |x| Ok(x.select(1, 4).unsqueeze(0).expand([3isize, 4, 35]) - 1.0),
        |x| Ok(Tensor::arange(x.device(), 1000).cast(DType::F32) * 0.5),
        |x| Ok(x.cast(DType::F16).permute([1isize, 2, 0]).cast(DType::F32)),
        |x| Ok(x.cast(DType::BF16).slice_step(2, 0..35, 3) * 2.0),
    ];
    for (i, view) in views.iter().enumerate() {
        let name = format!("view {i}");
        check(&name, 1e-6, |d| Ok(vec![view(&tensor(d, 1, &[4, 6, 35]))?]))
            .inspect_err(|e| eprintln!("{name}: {e}"))?;
    }
    Ok(())
}

#[test]
fn empty_tensors_and_scalars() -> Result<()> {
    check("empty", 1e-6, |d| {
        let (x, y) = (Tensor::zeros(d, [0usize, 3]), Tensor::zeros(d, [4usize, 0]));
        let s = tensor(d, 1, &[1]).reshape([1isize; 0]);
        Ok(vec![
            x.sum(0),
            x.sum(1),
            y.sum(0),
            y.sum(1),
            y.sum(..),
            &x + 1.0,
            y.matmul(&x),
            x.matmul(&tensor(d, 2, &[3, 5])),
            Tensor::concat([x, tensor(d, 3, &[2, 3])], 0),
            y.prod(1),
            &s * 2.0,
            s.sum(..).exp(),
        ])
    })
}

#[test]
fn large_transposes() -> Result<()> {
    check("transposes", 1e-6, |d| {
        let (x, y) = (tensor(d, 1, &[300, 257]), tensor(d, 2, &[257, 300]));
        let z = tensor(d, 3, &[3, 200, 150]);
        Ok(vec![x.t() + &y, x.t().cast(DType::F16), z.transpose(1, 2) * 2.0, z.permute([2isize, 1, 0]).exp()])
    })
}

#[test]
fn matrix_products() -> Result<()> {
    let shapes =
        [[1, 1, 1], [3, 5, 7], [16, 16, 16], [1, 300, 40], [300, 1, 40], [33, 65, 1], [130, 70, 257], [64, 64, 2000]];
    for [m, n, k] in shapes {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            check(&format!("matmul {m} {n} {k} {dtype}"), if dtype == DType::F32 { 3e-6 } else { 1e-2 }, |d| {
                let a = tensor(d, 1, &[m, k]).cast(dtype);
                let b = tensor(d, 2, &[k, n]).cast(dtype);
                let at = tensor(d, 1, &[k, m]).cast(dtype);
                let bt = tensor(d, 2, &[n, k]).cast(dtype);
                let bias = tensor(d, 3, &[n]).cast(dtype);
                Ok(vec![
                    a.matmul(&b),
                    (at.t().matmul(&b) + &bias).relu(),
                    a.matmul(&bt.t()) * 0.5,
                    at.t().matmul(&bt.t()).t(),
                ])
            })?;
        }
    }
    for [b, m, n, k] in [[2, 3, 4, 5], [5, 40, 30, 20], [64, 16, 16, 8], [2, 300, 200, 100]] {
        check(&format!("batched {b} {m} {n} {k}"), 3e-6, |d| {
            let (x, y) = (tensor(d, 1, &[b, m, k]), tensor(d, 2, &[b, k, n]));
            let heads = tensor(d, 4, &[m, b, k]).permute([1isize, 0, 2]);
            Ok(vec![x.matmul(&y), x.matmul(&tensor(d, 3, &[k, n])), heads.matmul(&y).permute([1isize, 0, 2]) + 1.0])
        })?;
    }
    Ok(())
}

#[test]
fn mixed_precision_rounds_operands() -> Result<()> {
    check("f16 operands", 2e-3, |d| {
        let d = d.with_precision(thalweg_graph::Precision::MixedF16);
        let (x, w) = (tensor(&d, 1, &[33, 65]).track(), tensor(&d, 2, &[65, 20]).track());
        let y = x.matmul(&w).tanh();
        let grads = y.sum(..).backward()?;
        Ok([Some(&y), grads.get(&x), grads.get(&w)].into_iter().flatten().cloned().collect())
    })
}

#[test]
fn convolutions_and_their_gradients() -> Result<()> {
    // batch, in, out, size, kernel, stride, padding, dilation, groups
    for [b, c, o, l, k, s, p, dil, groups] in [
        [1, 1, 1, 5, 3, 1, 0, 1, 1],
        [2, 3, 8, 9, 3, 1, 1, 1, 1],
        [3, 4, 6, 11, 3, 2, 1, 1, 2],
        [2, 6, 6, 10, 3, 1, 1, 1, 6],
        [2, 5, 7, 12, 1, 1, 0, 1, 1],
        [2, 5, 7, 12, 1, 2, 0, 1, 1],
        [2, 3, 4, 14, 5, 3, 2, 2, 1],
        [2, 16, 32, 28, 3, 1, 1, 1, 1],
        [1, 8, 130, 7, 7, 1, 3, 1, 1],
        [2, 4, 8, 9, 2, 2, 0, 1, 4],
    ] {
        let config = ConvConfig { stride: vec![s, s], padding: vec![p, p], dilation: vec![dil, dil], groups };
        check(&format!("conv {b} {c} {o} {l} {k} {s} {p} {dil} {groups}"), 4e-6, |d| {
            let x = tensor(d, 1, &[b, c, l, l + 1]).track();
            let w = tensor(d, 2, &[o, c / groups, k, k]).track();
            let bias = tensor(d, 3, &[o, 1, 1]).track();
            let y = (x.conv2d(&w, &config) + &bias).relu();
            let g = tensor(d, 4, y.shape());
            let grads = y.backward_from(&g)?;
            let all = [Some(&y), grads.get(&x), grads.get(&w), grads.get(&bias)];
            Ok(all.into_iter().flatten().cloned().collect())
        })?;
    }
    Ok(())
}

#[test]
fn pooling_and_its_gradient() -> Result<()> {
    for [l, k] in [[8, 2], [9, 3], [28, 2], [7, 7]] {
        check(&format!("pool {l} {k}"), 3e-6, |d| {
            let x = tensor(d, 1, &[3, 4, l, l]).track();
            let (max, mean) = (x.max_pool2d(k), x.avg_pool2d(k));
            let g = tensor(d, 2, max.shape());
            let (a, b) = (max.backward_from(&g)?, mean.backward_from(&g)?);
            Ok([Some(&max), Some(&mean), a.get(&x), b.get(&x)].into_iter().flatten().cloned().collect())
        })?;
    }
    Ok(())
}

#[test]
fn gathers_and_scatters() -> Result<()> {
    check("gather", 3e-6, |d| {
        let table = tensor(d, 1, &[11, 37]).track();
        let ids: Vec<i32> = (0..50).map(|i| i * 7 % 11).collect();
        let ids = Tensor::from_slice(d, &ids, [5, 10]);
        let y = table.embedding(&ids);
        let g = tensor(d, 2, y.shape());
        let grads = y.backward_from(&g)?;
        let x = tensor(d, 3, &[4, 9]);
        let index = Tensor::from_slice(d, &[0, 8, 3, 3, 2, 1, 7, 5], [4, 2]);
        let picked = x.gather(1, &index);
        let added = x.scatter_add(1, &index, &tensor(d, 4, &[4, 2]));
        let all = [Some(&y), grads.get(&table), Some(&picked), Some(&added)];
        Ok(all
            .into_iter()
            .flatten()
            .cloned()
            .chain([x.index_select(1, &Tensor::from_slice(d, &[8, 0], [2]))])
            .collect())
    })
}

#[test]
fn random_numbers_are_the_same_everywhere() -> Result<()> {
    check("random", 2e-6, |d| {
        let stream = thalweg_graph::Rng::seed(7).stream();
        Ok(vec![stream.uniform(d, [33, 17]), stream.bernoulli(d, 0.3, [1001]), stream.normal(d, [5, 77])])
    })
}

#[test]
fn an_index_out_of_range_is_an_error_of_what_looks_there() -> Result<()> {
    let device = Device::new(Arc::new(FastCpu::with_threads(1)?));
    let x = tensor(&device, 1, &[4, 3]);
    let y = x.index_select(0, &Tensor::from_slice(&device, &[1, 4], [2]));
    for _ in 0..2 {
        let error: Option<Error> = y.to_vec::<f32>().err();
        let text = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("index_select: index 4 is out of range for axis 0 of extent 4"), "{text}");
        assert!(text.contains("fast.rs"), "{text}");
    }
    assert_eq!(x.to_vec::<f32>()?.len(), 12);
    Ok(())
}

#[test]
fn memory_is_constant_when_work_repeats() -> Result<()> {
    let device = Device::new(Arc::new(FastCpu::with_threads(2)?));
    let mut held = 0;
    for i in 0..20 {
        let (x, w) = (tensor(&device, i, &[32, 64]).track(), tensor(&device, i + 1, &[64, 64]).track());
        let grads = x.matmul(&w).tanh().matmul(&w).square().sum(..).backward()?;
        for t in [&x, &w] {
            grads.get(t).map_or(Ok(()), Tensor::eval)?;
        }
        if i == 3 {
            held = device.stats().device_bytes;
        }
    }
    assert_eq!(device.stats().device_bytes, held);
    Ok(())
}
