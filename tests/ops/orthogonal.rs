//! Orthogonalisation, against what makes a matrix orthogonal.

use thalweg_graph::{NewtonSchulz, Result, Rng, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn columns_or_rows_become_orthonormal() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        for [m, n] in [[6, 6], [4, 9], [9, 4]] {
            let mut rng = Rng::seed(1);
            let draw: Vec<f32> = (0..2 * m * n).map(|_| rng.normal() as f32).collect();
            let x = Tensor::from_slice(&device, &draw, [2, m, n]);
            let off_by = |how: NewtonSchulz| -> Result<f64> {
                let y = x.orthogonalise(&how);
                assert_eq!(y.shape(), [2, m, n]);
                let gram = if m > n { y.t().matmul(&y) } else { y.matmul(&y.t()) };
                let k = m.min(n);
                let one = Tensor::arange(&device, k).unsqueeze(0).eq(Tensor::arange(&device, k).unsqueeze(1));
                (gram - one.cast(x.dtype())).abs().amax(..).item()
            };
            let exact = off_by(NewtonSchulz::exact(16))?;
            assert!(exact < 1e-5, "{m} by {n} on {device}: {exact}");
            // Muon's singular values are within 0.68 and 1.14 or so.
            let muon = off_by(NewtonSchulz::default())?;
            assert!(muon > 1e-3 && muon < 0.6, "{m} by {n} on {device}: {muon}");
        }
    }
    Ok(())
}
