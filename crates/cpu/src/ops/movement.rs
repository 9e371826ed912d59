//! Elements in other places: the ops that a view can express. (A reshape changes nothing in a dense array.)

use thalweg_ir::shape::{count, strides};

use super::{Array, for_each_index, offset};

/// Output axis `d` is input axis `perm[d]`.
pub fn permute(perm: &[usize], x: Array) -> Vec<f64> {
    let from = strides(x.shape);
    let shape: Vec<usize> = perm.iter().map(|p| x.shape[*p]).collect();
    let steps: Vec<usize> = perm.iter().map(|p| from[*p]).collect();
    collect(&shape, |i| x.data[offset(i, &steps)])
}

/// Axes of extent 1 repeated to `shape`.
pub fn expand(shape: &[usize], x: Array) -> Vec<f64> {
    let mut steps = strides(x.shape);
    for d in 0..shape.len() {
        if x.shape[d] == 1 {
            steps[d] = 0;
        }
    }
    collect(shape, |i| x.data[offset(i, &steps)])
}

/// `y[i..] = x[start + i · step ..]`.
pub fn slice(start: &[usize], step: &[isize], shape: &[usize], x: Array) -> Vec<f64> {
    let steps = strides(x.shape);
    collect(shape, |i| {
        let at = (0..i.len()).map(|d| (start[d] as isize + i[d] as isize * step[d]) as usize * steps[d]).sum::<usize>();
        x.data[at]
    })
}

/// `y[i + before ..] = x[i..]`, `fill` elsewhere.
pub fn pad(before: &[usize], fill: f64, shape: &[usize], x: Array) -> Vec<f64> {
    let steps = strides(shape);
    let mut y = vec![fill; count(shape)];
    let first = offset(before, &steps);
    let mut next = x.data.iter();
    for_each_index(x.shape, |i| y[first + offset(i, &steps)] = *next.next().unwrap_or(&fill));
    y
}

/// The position along `axis` at each element.
pub fn iota(axis: usize, shape: &[usize]) -> Vec<f64> {
    collect(shape, |i| i[axis] as f64)
}

fn collect(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Vec<f64> {
    let mut y = Vec::with_capacity(count(shape));
    for_each_index(shape, |i| y.push(f(i)));
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Array = Array { data: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], shape: &[2, 3] };

    #[test]
    fn permutes_and_slices_backwards() {
        assert_eq!(permute(&[1, 0], X), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(slice(&[0, 2], &[1, -2], &[2, 2], X), [3.0, 1.0, 6.0, 4.0]);
    }

    #[test]
    fn expands_and_pads() {
        let row = Array { data: &[7.0, 8.0], shape: &[1, 2] };
        assert_eq!(expand(&[2, 2], row), [7.0, 8.0, 7.0, 8.0]);
        assert_eq!(pad(&[1, 0], -1.0, &[2, 3], row), [-1.0, -1.0, -1.0, 7.0, 8.0, -1.0]);
        assert_eq!(iota(1, &[1, 3]), [0.0, 1.0, 2.0]);
    }
}
