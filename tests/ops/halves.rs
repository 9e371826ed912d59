//! 16-bit floats: sums, and what is made of them, are computed in F32 and rounded once, fused or not; a cast that rounds is kept.

use thalweg_graph::{DType, Device, Pool, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn devices() -> [Device; 5] {
    [strict(), cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()]
}

/// Numbers that both 16-bit floats have.
fn numbers(n: usize, f: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..n).map(|i| DType::BF16.round(f(i))).collect()
}

type Function = (&'static str, fn(&Tensor) -> Tensor, fn(&[f64]) -> Vec<f64>);

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn var(x: &[f64]) -> f64 {
    let centre = mean(x);
    mean(&all(x, |v| (v - centre).powi(2)))
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let m = x.iter().copied().fold(f64::MIN, f64::max);
    m + x.iter().map(|v| (v - m).exp()).sum::<f64>().ln()
}

fn all(x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|v| f(*v)).collect()
}

/// Functions of a vector, in f64.
fn functions() -> Vec<Function> {
    vec![
        ("sum", |x| x.sum(0), |x| vec![x.iter().sum()]),
        ("mean", |x| x.mean(0), |x| vec![mean(x)]),
        ("var", |x| x.var(0, 0), |x| vec![var(x)]),
        ("std", |x| x.std(0, 0), |x| vec![var(x).sqrt()]),
        ("logsumexp", |x| x.logsumexp(0), |x| vec![log_sum_exp(x)]),
        (
            "softmax",
            |x| x.softmax(0),
            |x| {
                let sum = log_sum_exp(x);
                all(x, |v| (v - sum).exp())
            },
        ),
        (
            "softmin",
            |x| x.softmin(0),
            |x| {
                let sum = log_sum_exp(&all(x, |v| -v));
                all(x, |v| (-v - sum).exp())
            },
        ),
        (
            "log_softmax",
            |x| x.log_softmax(0),
            |x| {
                let sum = log_sum_exp(x);
                all(x, |v| v - sum)
            },
        ),
        ("cumsum", |x| x.cumsum(0), |x| (0..x.len()).map(|i| x[..=i].iter().sum()).collect()),
        ("vector_norm", |x| x.vector_norm(2.0, 0), |x| vec![x.iter().map(|v| v * v).sum::<f64>().sqrt()]),
        (
            "layer_norm",
            |x| x.layer_norm(x.shape(), None, None, 1e-5),
            |x| {
                let (centre, scale) = (mean(x), (var(x) + 1e-5).sqrt());
                all(x, |v| (v - centre) / scale)
            },
        ),
        (
            "rms_norm",
            |x| x.rms_norm(x.shape(), None, 1e-5),
            |x| {
                let rms = (mean(&all(x, |v| v * v)) + 1e-5).sqrt();
                all(x, |v| v / rms)
            },
        ),
        ("avg_pool", |x| x.reshape([1, 1, x.count()]).avg_pool(&Pool::new(&[x.count()])), |x| vec![mean(x)]),
        (
            "scatter_add",
            |x| {
                let index = Tensor::arange(x.device(), x.count()) * 0.0;
                let one = Tensor::full(x.device(), 1.0, [1], x.dtype());
                one.scatter_add(0, &index.cast(DType::I32), x)
            },
            |x| vec![1.0 + x.iter().sum::<f64>()],
        ),
        (
            "expand",
            |x| {
                // The gradient of what is repeated.
                let one = Tensor::ones(x.device(), [1]).cast(x.dtype()).track();
                (&one * x).sum(..).backward().unwrap().get(&one).unwrap().clone()
            },
            |x| vec![x.iter().sum()],
        ),
    ]
}

/// How far a result rounded once may be off: half a unit, and what F32 was off before it.
fn near(dtype: DType, got: f64, want: f64, scale: f64) -> bool {
    let unit = if dtype == DType::F16 { 2f64.powi(-11) } else { 2f64.powi(-8) };
    let least = if dtype == DType::F16 { 2f64.powi(-25) } else { 0.0 };
    got == DType::round(dtype, want) || (got - want).abs() <= 1.01 * unit * want.abs() + least + 3e-6 * scale
}

fn check(name: &str, values: &[f64]) {
    for dtype in HALVES {
        for device in devices() {
            let x = Tensor::from_slice(&device, &values.iter().map(|v| *v as f32).collect::<Vec<_>>(), [values.len()]);
            let x = x.cast(dtype);
            let scale = values.iter().map(|v| v.abs()).sum::<f64>();
            for (function, f, exact) in functions().iter().filter(|(n, ..)| name.is_empty() || name == *n) {
                let (y, want) = (f(&x), exact(values));
                assert_eq!(y.dtype(), dtype, "{function}");
                let got = y.to_vec::<f64>().unwrap();
                for (got, want) in got.iter().zip(&want) {
                    // Sums that cancel are off by what F32 has for their terms.
                    let scale = if ["sum", "cumsum", "scatter_add", "expand"].contains(function) { scale } else { 1.0 };
                    assert!(near(dtype, *got, *want, scale), "{function} of {dtype} on {device}: {got}, not {want}");
                }
            }
        }
    }
}

#[test]
fn short_rows() {
    check("", &numbers(37, |i| ((i * 29 + 5) % 37) as f64 / 8.0 - 2.0));
}

#[test]
fn sums_beyond_the_largest_half() {
    // Chunks of a long sum are beyond 65504, and what they come to is not.
    let values = numbers(40_000, |i| if i < 20_000 { 100.0 } else { -100.0 });
    for name in ["sum", "mean", "std", "var", "vector_norm", "scatter_add", "expand"] {
        check(name, &values);
    }
    let ones = vec![1.0; 100_000];
    for name in ["mean", "avg_pool", "std", "softmax", "logsumexp"] {
        check(name, &ones);
    }
    for device in devices() {
        let fours = Tensor::full(&device, 4.0, [1, 1, 256, 256], DType::F16);
        assert_eq!(fours.avg_pool2d(256).item().unwrap(), 4.0, "on {device}");
        let x = Tensor::from_slice(&device, &[300.0f32, -300.0], [2]).cast(DType::F16);
        assert_eq!(x.std(.., 0).item().unwrap(), 300.0, "on {device}");
        // Where the sum is wanted as well, it is stored.
        let ones = Tensor::ones(&device, [100_000]).cast(DType::F16);
        let (sum, mean) = (ones.sum(..), ones.mean(..));
        Tensor::eval_all(&[sum.clone(), mean.clone()]).unwrap();
        assert_eq!((sum.item().unwrap(), mean.item().unwrap()), (f64::INFINITY, 1.0), "on {device}");
    }
}

/// `cast(F16).cast(F32)` rounds wherever it stands.
#[test]
fn casts_that_round_are_kept() {
    let values: Vec<f32> = (0..64).map(|i| 1.0 + i as f32 * 1.3e-4).collect();
    for dtype in HALVES {
        let rounded = |x: f32| dtype.round(f64::from(x)) as f32;
        let want: Vec<f32> = values.iter().map(|x| rounded(*x)).collect();
        for device in devices() {
            let x = Tensor::from_slice(&device, &values, [8, 8]);
            let there_and_back = |x: &Tensor| x.cast(dtype).cast(DType::F32);
            let exactly = |y: Tensor, want: &[f32], what: &str| {
                assert_eq!(y.to_vec::<f32>().unwrap(), want, "{what} through {dtype} on {device}");
            };
            exactly(there_and_back(&x), &want, "alone");
            let twice: Vec<f32> = want.iter().map(|x| x * 2.0).collect();
            exactly(there_and_back(&x) * 2.0, &twice, "in front of a product");
            exactly(there_and_back(&(&x * 2.0)), &twice, "behind a product");
            let lost: Vec<f32> = values.iter().zip(&want).map(|(x, y)| x - y).collect();
            exactly(&x - there_and_back(&x), &lost, "what it loses");
            exactly(there_and_back(&x.t()).t(), &want, "between transposes");
            exactly(there_and_back(&there_and_back(&x)), &want, "twice");
            let ids = Tensor::arange(&device, 8);
            exactly(there_and_back(&x).embedding(&ids), &want, "in front of a gather");
            exactly(there_and_back(&x.embedding(&ids)), &want, "behind a gather");
            exactly(there_and_back(&x).amax(0), &want[56..], "in front of a maximum");
            let eye = Tensor::arange(&device, 8).reshape([8, 1]).eq(Tensor::arange(&device, 8)).cast(DType::F32);
            exactly(there_and_back(&x).matmul(&eye), &want, "in front of a matrix product");
            exactly(there_and_back(&x.matmul(&eye)), &want, "behind a matrix product");
            exactly(
                there_and_back(&x).concat_with(std::slice::from_ref(&x), 0).slice(0, ..8),
                &want,
                "in front of a join",
            );
            // The gradient is rounded as well.
            let p = Tensor::from_slice(&device, &[1.0f32; 64], [8, 8]).track();
            let grads = (there_and_back(&p) * &x).sum(..).backward().unwrap();
            exactly(grads.get(&p).unwrap().clone(), &want, "a gradient");
        }
    }
}

/// Gradients as well: each is rounded once from what F32 gives.
#[test]
fn gradients_of_rows() {
    let values = numbers(33, |i| ((i * 7 + 3) % 33) as f64 / 8.0 - 2.0);
    let weights = numbers(33, |i| ((i * 11 + 5) % 33) as f64 / 16.0 - 1.0);
    let gradient = |device: &Device, dtype: DType, f: fn(&Tensor) -> Tensor| {
        let [x, w] = [&values, &weights].map(|v| Tensor::from_slice(device, &v[..], [33]).cast(dtype));
        let x = x.track();
        let y = f(&x);
        let w = if y.rank() == 0 || y.count() == 1 { w.sum(..).reshape(y.shape()) } else { w };
        y.backward_from(&w.detach()).unwrap().get(&x).unwrap().to_vec::<f64>().unwrap()
    };
    for (name, f, _) in functions().into_iter().filter(|(name, ..)| *name != "expand") {
        let want = gradient(&strict(), DType::F64, f);
        let largest = want.iter().fold(0f64, |m, v| m.max(v.abs()));
        for (dtype, unit) in HALVES.into_iter().zip([2f64.powi(-11), 2f64.powi(-8)]) {
            for device in devices() {
                let cast =
                    |v: &[f64]| Tensor::from_slice(&device, &v.iter().map(|v| *v as f32).collect::<Vec<_>>(), [33]);
                let x = cast(&values).cast(dtype).track();
                let y = f(&x);
                let w = cast(&weights);
                let w = if y.count() == 1 { w.sum(..).reshape(y.shape()) } else { w };
                let got = y.backward_from(&w.cast(dtype)).unwrap().get(&x).unwrap().to_vec::<f64>().unwrap();
                for (got, want) in got.iter().zip(&want) {
                    let close = (got - want).abs() <= 1.01 * unit * want.abs() + 2e-6 * largest + 6e-8;
                    assert!(close, "gradient of {name} of {dtype} on {device}: {got}, not {want}");
                }
            }
        }
    }
}
