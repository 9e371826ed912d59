//! Matrix products.

use thalweg_ir::shape::count;

use super::Array;

/// `c[.., m, n] = Σ_k a[.., m, k] · b[.., k, n]`; `b` may be without batch axes.
pub fn matmul(a: Array, b: Array) -> Vec<f64> {
    let (m, k) = (a.shape[a.shape.len() - 2], a.shape[a.shape.len() - 1]);
    let n = b.shape[b.shape.len() - 1];
    let batch = count(&a.shape[..a.shape.len() - 2]);
    let b_step = if b.shape.len() > 2 { k * n } else { 0 };
    let mut c = vec![0.0; batch * m * n];
    for z in 0..batch {
        for i in 0..m {
            let row = &mut c[(z * m + i) * n..][..n];
            // k outside n: the same sums in the same order, and rows of b are read as they lie.
            for p in 0..k {
                let a = a.data[(z * m + i) * k + p];
                let b = &b.data[z * b_step + p * n..][..n];
                for j in 0..n {
                    row[j] += a * b[j];
                }
            }
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_a_batch_by_one_matrix() {
        let a = Array { data: &[1.0, 2.0, 3.0, 4.0], shape: &[2, 1, 2] };
        let b = Array { data: &[1.0, 10.0, 100.0, 1000.0], shape: &[2, 2] };
        assert_eq!(matmul(a, b), [201.0, 2010.0, 403.0, 4030.0]);
        assert_eq!(matmul(Array { data: &[], shape: &[2, 0] }, Array { data: &[], shape: &[0, 1] }), [0.0, 0.0]);
    }
}
