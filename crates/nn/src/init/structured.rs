//! Weights that hang together: orthogonal matrices, identities, columns with as many zeros each.

use thalweg_graph::{
    ErrorKind, Rng,
    shape::{count, strides},
};

use super::distribution::{narrow, normal};

/// Orthonormal rows or columns, whichever are fewer, times the gain.
///
/// They are made one after the other, from normal numbers less their parts along those before (Gram and Schmidt). That is Q of
/// `A = Q R` with a positive diagonal in R: the length of what is left is its element there, and no sign has to be mended.
pub fn orthogonal(shape: &[usize], gain: f64, rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
    let [rows, _, ..] = *shape else { return Err(wrong(shape, "is no matrix: it is not [out, in..]")) };
    let cols = count(&shape[1..]);
    let (few, long) = (rows.min(cols), rows.max(cols));
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(few);
    for _ in 0..few {
        let mut v: Vec<f64> = (0..long).map(|_| rng.normal()).collect();
        // Rounding leaves a little along the others where most of v was there; a second time it does not.
        for _ in 0..2 {
            for u in &q {
                let along = dot(u, &v);
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
        }
        let length = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|v| *v /= length);
        q.push(v);
    }
    let element = |row: usize, col: usize| if rows <= cols { q[row][col] } else { q[col][row] };
    let places = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    places.map(|(row, col)| narrow(gain * element(row, col))).collect()
}

/// `Σ aᵢ bᵢ` in eight sums, which a vector unit adds at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f64>()
}

/// In each group, filter `i` is 1 at the middle of channel `i`.
pub fn dirac(shape: &[usize], groups: usize) -> Result<Vec<f32>, ErrorKind> {
    let [out, inputs, _, ..] = *shape else {
        return Err(wrong(shape, "is no kernel: it is not [out, in / groups, k..]"));
    };
    if groups == 0 || !out.is_multiple_of(groups) {
        return Err(wrong(shape, &format!("has {out} filters in {groups} groups")));
    }
    let mut w = vec![0.0; count(shape)];
    if w.is_empty() {
        return Ok(w);
    }
    let strides = strides(shape);
    let middle: usize = shape.iter().zip(&strides).skip(2).map(|(k, stride)| k / 2 * stride).sum();
    let filters = out / groups;
    for first in (0..out).step_by(filters) {
        for i in 0..filters.min(inputs) {
            w[(first + i) * strides[0] + i * strides[1] + middle] = 1.0;
        }
    }
    Ok(w)
}

/// 1 on the diagonal.
pub fn eye(shape: &[usize]) -> Result<Vec<f32>, ErrorKind> {
    let (rows, cols) = matrix(shape)?;
    let mut w = vec![0.0; count(shape)];
    for i in 0..rows.min(cols) {
        w[i * cols + i] = 1.0;
    }
    Ok(w)
}

/// Normal with `⌈sparsity · rows⌉` zeros in each column.
pub fn sparse(shape: &[usize], sparsity: f64, std: f64, rng: &mut Rng) -> Result<Vec<f32>, ErrorKind> {
    let (rows, cols) = matrix(shape)?;
    if !(0.0..=1.0).contains(&sparsity) {
        return Err(ErrorKind::Invalid(format!("a share of {sparsity} zeros")));
    }
    let zeros = (sparsity * rows as f64).ceil() as usize;
    let mut w = normal(shape, 0.0, std, rng)?;
    for col in 0..cols {
        for row in rng.permutation(rows).into_iter().take(zeros) {
            w[row * cols + col] = 0.0;
        }
    }
    Ok(w)
}

fn matrix(shape: &[usize]) -> Result<(usize, usize), ErrorKind> {
    match *shape {
        [rows, cols] => Ok((rows, cols)),
        _ => Err(wrong(shape, "is no matrix [rows, columns]")),
    }
}

fn wrong(shape: &[usize], problem: &str) -> ErrorKind {
    ErrorKind::Shape { shape: shape.to_vec(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_or_columns_are_orthonormal() {
        for (shape, gain) in [
            (&[1, 1][..], 1.0),
            (&[32, 32], 1.7),
            (&[48, 16], 1.0),
            (&[16, 48], 2.0),
            (&[7, 3, 3, 3], 1.0),
            (&[9, 2, 2], 0.5),
            (&[131, 131], 1.0),
        ] {
            let w = orthogonal(shape, gain, &mut Rng::seed(5)).unwrap();
            let (rows, cols) = (shape[0], count(&shape[1..]));
            let at = |i: usize, j: usize| if rows <= cols { w[i * cols + j] } else { w[j * cols + i] };
            for (i, j) in (0..rows.min(cols)).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                let product: f64 = (0..rows.max(cols)).map(|k| f64::from(at(i, k)) * f64::from(at(j, k))).sum();
                let want = if i == j { gain * gain } else { 0.0 };
                assert!((product - want).abs() < 1e-6, "{shape:?}: {i} and {j} give {product}");
            }
        }
    }

    /// All rotations are equally likely: no element has a sign that it prefers, and determinants have either.
    #[test]
    fn orthogonal_matrices_have_no_preferred_sign() {
        let rng = &mut Rng::seed(6);
        let (mut sums, mut positive) = ([0.0; 4], 0);
        for _ in 0..4000 {
            let w = orthogonal(&[2, 2], 1.0, rng).unwrap();
            sums.iter_mut().zip(&w).for_each(|(sum, w)| *sum += f64::from(*w) / 4000.0);
            positive += usize::from(w[0] * w[3] - w[1] * w[2] > 0.0);
        }
        // Five standard errors of the mean of a sine, and of a coin.
        assert!(sums.iter().all(|mean| mean.abs() < 0.056), "{sums:?}");
        assert!(positive.abs_diff(2000) < 160, "{positive}");
    }

    #[test]
    fn dirac_hands_channels_on() {
        let w = dirac(&[4, 3, 3, 2], 2).unwrap();
        let ones: Vec<usize> = (0..w.len()).filter(|i| w[*i] == 1.0).collect();
        // Filter, channel, and the middle [1, 1] of a kernel [3, 2].
        let at = |filter: usize, channel: usize| (filter * 3 + channel) * 6 + 3;
        assert_eq!(ones, [at(0, 0), at(1, 1), at(2, 0), at(3, 1)]);
        assert!(w.iter().all(|w| [0.0, 1.0].contains(w)));
        // More filters than channels: the rest are 0.
        assert_eq!(dirac(&[3, 1, 1], 1).unwrap(), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn eye_of_any_matrix() {
        assert_eq!(eye(&[2, 3]).unwrap(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(eye(&[3, 2]).unwrap(), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn sparse_columns_have_as_many_zeros_each() {
        for (sparsity, zeros) in [(0.0, 0), (0.3, 15), (0.31, 16), (1.0, 50)] {
            let w = sparse(&[50, 20], sparsity, 0.01, &mut Rng::seed(8)).unwrap();
            let columns: Vec<Vec<usize>> =
                (0..20).map(|c| (0..50).filter(|r| w[r * 20 + c] == 0.0).collect()).collect();
            assert!(columns.iter().all(|c| c.len() == zeros), "{sparsity}");
            assert!([0, 50].contains(&zeros) || columns[0] != columns[1]);
        }
    }
}
