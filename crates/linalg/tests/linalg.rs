//! Decompositions put together again, in batches, and what they refuse.

use thalweg_device::DeviceExt;
use thalweg_graph::{DType, Device, Result, Rng, Tensor};
use thalweg_linalg::{Linalg, Triangle};

fn random(device: &Device, shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::seed(seed);
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| rng.normal() as f32).collect();
    Tensor::from_slice(device, &values, shape)
}

#[track_caller]
fn same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (a.to_vec::<f64>().unwrap(), b.to_vec::<f64>().unwrap());
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 2e-5, "{worst}");
}

fn eye(device: &Device, n: usize) -> Tensor {
    let diagonal: Vec<f32> = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect();
    Tensor::from_slice(device, &diagonal, [n, n])
}

#[test]
fn factors_multiply_to_the_matrix() -> Result<()> {
    for device in [Device::strict(), Device::cpu()?] {
        for (m, n) in [(1, 1), (5, 3), (3, 5), (17, 17)] {
            let a = random(&device, &[2, 3, m, n], 1);
            let k = m.min(n);
            let one = eye(&device, k).broadcast_to([2, 3, k, k]);
            let (q, r) = a.qr()?;
            same(&q.matmul(&r), &a);
            same(&q.t().matmul(&q), &one);
            let svd = a.svd()?;
            same(&(&svd.u * svd.s.unsqueeze(-2)).matmul(&svd.vt), &a);
            same(&svd.u.t().matmul(&svd.u), &one);
            let s = svd.s.to_vec::<f64>()?;
            assert!(s.chunks(k).all(|s| s.windows(2).all(|w| w[0] >= w[1]) && s[k - 1] >= 0.0));
            let diagonal = (&r * eye(&device, n).slice(0, ..k as isize)).sum(-1);
            assert!(n < k || diagonal.to_vec::<f64>()?.iter().all(|d| *d >= 0.0));
        }
        let b = random(&device, &[2, 4, 4], 2);
        let a = b.matmul(&b.t()) + eye(&device, 4);
        let l = a.cholesky()?;
        same(&l.matmul(&l.t()), &a);
        let (w, v) = a.eigh()?;
        same(&(&v * w.unsqueeze(-2)).matmul(&v.t()), &a);
        let w = w.to_vec::<f64>()?;
        assert!(w.chunks(4).all(|w| w.windows(2).all(|w| w[0] <= w[1])));
        let x = random(&device, &[2, 4, 3], 3);
        same(&l.solve_triangular(&l.matmul(&x), Triangle::Lower)?, &x);
        same(&l.t().solve_triangular(&l.t().matmul(&x), Triangle::Upper)?, &x);
        let unit = Tensor::from_slice(&device, &[7.0f32, 0.0, 2.0, 9.0], [2, 2]);
        let rhs = Tensor::from_slice(&device, &[1.0f32, 5.0], [2, 1]);
        assert_eq!(unit.solve_triangular(&rhs, Triangle::UnitLower)?.to_vec::<f32>()?, [1.0, 3.0]);
        assert_eq!(unit.t().solve_triangular(&rhs, Triangle::UnitUpper)?.to_vec::<f32>()?, [-9.0, 5.0]);
    }
    Ok(())
}

#[test]
fn no_rows_and_no_matrices() -> Result<()> {
    let device = Device::strict();
    let (q, r) = Tensor::zeros(&device, [2, 3, 0]).qr()?;
    assert_eq!((q.shape(), r.shape()), (&[2, 3, 0][..], &[2, 0, 0][..]));
    assert_eq!(Tensor::zeros(&device, [0, 3, 3]).cholesky()?.shape(), [0, 3, 3]);
    assert_eq!(Tensor::zeros(&device, [0, 0]).svd()?.s.shape(), [0]);
    Ok(())
}

#[test]
fn dtypes_stay() -> Result<()> {
    let device = Device::strict();
    let a = random(&device, &[3, 3], 5);
    for dtype in [DType::F64, DType::F32, DType::BF16] {
        assert_eq!(a.cast(dtype).svd()?.s.dtype(), dtype);
    }
    Ok(())
}

#[test]
fn messages() {
    let device = Device::strict();
    let says = |result: Result<Tensor>, parts: &[&str]| {
        let text = result.expect_err("an error").to_string();
        assert!(parts.iter().all(|part| text.contains(part)) && text.contains("linalg.rs"), "{text}");
    };
    let a = random(&device, &[2, 2], 7);
    says(a.track().cholesky(), &["cholesky", "no gradient", "detach"]);
    says(random(&device, &[2, 3], 1).cholesky(), &["cholesky", "[2, 3]", "no square matrix"]);
    says((eye(&device, 2) * -1.0).cholesky(), &["cholesky", "matrix 0 is not positive definite"]);
    says(a.cast(DType::I32).eigh().map(|e| e.0), &["eigh", "i32", "cast to a float"]);
    says(a.sum(0).qr().map(|q| q.0), &["qr", "[2]", "no matrix"]);
    says((&a / 0.0).svd().map(|s| s.s), &["svd", "not finite"]);
    let b = random(&device, &[3, 1], 2);
    says(a.solve_triangular(&b, Triangle::Lower), &["solve_triangular", "[2, 2]", "[3, 1]"]);
    let zero = Tensor::zeros(&device, [2, 2]);
    says(zero.solve_triangular(&a, Triangle::Upper), &["solve_triangular", "zero on its diagonal, at 0"]);
}
