//! Arrays joined into one.

use thalweg_ir::shape::count;

use super::Array;

/// The inputs one behind the other along `axis`.
pub fn concat(axis: usize, inputs: &[Array]) -> Vec<f64> {
    let Some(first) = inputs.first() else { return Vec::new() };
    let mut y = Vec::with_capacity(inputs.iter().map(|x| x.data.len()).sum());
    for i in 0..count(&first.shape[..axis]) {
        for x in inputs {
            let run = count(&x.shape[axis..]);
            y.extend_from_slice(&x.data[i * run..][..run]);
        }
    }
    y
}

/// The inputs, flattened, at `offsets` of a vector of `len` elements; zeros between.
pub fn pack(offsets: &[usize], len: usize, inputs: &[Array]) -> Vec<f64> {
    let mut y = vec![0.0; len];
    for (x, at) in inputs.iter().zip(offsets) {
        y[*at..][..x.data.len()].copy_from_slice(x.data);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_along_an_inner_axis_and_packs_with_gaps() {
        let a = Array { data: &[1.0, 2.0], shape: &[2, 1] };
        let b = Array { data: &[3.0, 4.0, 5.0, 6.0], shape: &[2, 2] };
        assert_eq!(concat(1, &[a, b]), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
        assert_eq!(pack(&[0, 3], 8, &[a, b]), [1.0, 2.0, 0.0, 3.0, 4.0, 5.0, 6.0, 0.0]);
    }
}
