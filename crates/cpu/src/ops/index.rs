//! Elements at positions that other tensors hold.

use thalweg_ir::shape::count;

use super::Array;

/// An index that is not a position of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The index.
    pub index: i64,
    /// The axis.
    pub axis: usize,
    /// Its extent.
    pub extent: usize,
}

/// Where the pairs of a flat index and the indexed element lie: `f(element of index, element of x)`, in row-major order.
fn positions(axis: usize, x: &[usize], index: Array, mut f: impl FnMut(usize, usize)) -> Result<(), OutOfRange> {
    let (before, after) = (count(&x[..axis]), count(&x[axis + 1..]));
    let (extent, len) = (x[axis], index.shape[axis]);
    for i in 0..before {
        for j in 0..len {
            for k in 0..after {
                let at = (i * len + j) * after + k;
                let to = index.data[at];
                if to < 0.0 || to >= extent as f64 {
                    return Err(OutOfRange { index: to as i64, axis, extent });
                }
                f(at, (i * extent + to as usize) * after + k);
            }
        }
    }
    Ok(())
}

/// `y[i.., j, k..] = x[i.., index[i.., j, k..], k..]` along `axis`.
pub fn gather(axis: usize, x: Array, index: Array) -> Result<Vec<f64>, OutOfRange> {
    let mut y = vec![0.0; index.data.len()];
    positions(axis, x.shape, index, |at, from| y[at] = x.data[from])?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Array = Array { data: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], shape: &[3, 2] };

    #[test]
    fn gathers() {
        let index = Array { data: &[2.0, 0.0, 2.0, 1.0], shape: &[2, 2] };
        assert_eq!(gather(0, X, index), Ok(vec![5.0, 2.0, 5.0, 4.0]));
    }

    #[test]
    fn names_the_index_that_is_outside() {
        let index = Array { data: &[0.0, -1.0], shape: &[1, 2] };
        assert_eq!(gather(0, X, index), Err(OutOfRange { index: -1, axis: 0, extent: 3 }));
    }
}
