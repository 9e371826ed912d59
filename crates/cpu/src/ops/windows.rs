//! Sliding windows as an op of their own, and the taps that convolutions share with them.

use thalweg_ir::{
    Window,
    shape::{count, strides},
};

use super::{Array, for_each_index};

/// One pair of a window and a place in it that lies inside the input: element numbers within one channel's output
/// positions, kernel positions and input positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Output position.
    pub o: usize,
    /// Kernel position.
    pub k: usize,
    /// Input position, `o · stride + k · dilation - pad` along each axis.
    pub l: usize,
}

/// All taps of windows at `out` positions over an input with extents `input`, ascending in `o`, then in `k`.
pub fn taps(window: &Window, input: &[usize], out: &[usize]) -> Vec<Tap> {
    let steps = strides(input);
    let mut taps = Vec::new();
    let (mut o_at, axes) = (0, input.len());
    for_each_index(out, |o| {
        let mut k_at = 0;
        for_each_index(&window.kernel, |k| {
            let mut l_at = Some(0);
            for d in 0..axes {
                let l = (o[d] * window.stride[d] + k[d] * window.dilation[d]).checked_sub(window.pad[d]);
                l_at = l_at.zip(l.filter(|l| *l < input[d])).map(|(at, l)| at + l * steps[d]);
            }
            taps.extend(l_at.map(|l| Tap { o: o_at, k: k_at, l }));
            k_at += 1;
        });
        o_at += 1;
    });
    taps
}

/// `[.., L..] → [.., O.., K..]`, or `[.., L.., K..] → [.., O.., K..]` when `aligned`: `y[o, k] = x[l(o, k)]`, or
/// `x[l(o, k), k]`; `fill` where a window looks outside. `shape` is the output's.
pub fn windows(window: &Window, fill: f64, aligned: bool, shape: &[usize], x: Array) -> Vec<f64> {
    let axes = window.kernel.len();
    let kernel = count(&window.kernel);
    let lead = shape.len() - 2 * axes;
    let (input, out) = (&x.shape[lead..lead + axes], &shape[lead..lead + axes]);
    let depth = if aligned { kernel } else { 1 };
    let (x_len, y_len) = (count(input) * depth, count(out) * kernel);
    let taps = taps(window, input, out);
    let mut y = vec![fill; count(shape)];
    for b in 0..count(&shape[..lead]) {
        for t in &taps {
            y[b * y_len + t.o * kernel + t.k] = x.data[b * x_len + t.l * depth + if aligned { t.k } else { 0 }];
        }
    }
    y
}

/// `[.., O.., K..] → [.., L.., K..]`: `y[l(o, k), k] = x[o, k]`, 0 where no window looks. `shape` is the output's.
pub fn windows_adjoint(window: &Window, shape: &[usize], x: Array) -> Vec<f64> {
    let axes = window.kernel.len();
    let kernel = count(&window.kernel);
    let lead = shape.len() - 2 * axes;
    let (input, out) = (&shape[lead..lead + axes], &x.shape[lead..lead + axes]);
    let (x_len, y_len) = (count(out) * kernel, count(input) * kernel);
    let taps = taps(window, input, out);
    let mut y = vec![0.0; count(shape)];
    for b in 0..count(&shape[..lead]) {
        for t in &taps {
            y[b * y_len + t.l * kernel + t.k] = x.data[b * x_len + t.o * kernel + t.k];
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, dilation: usize, pad: usize) -> Window {
        Window { kernel: vec![kernel], stride: vec![stride], dilation: vec![dilation], pad: vec![pad] }
    }

    #[test]
    fn windows_look_where_the_formula_says() {
        let x = Array { data: &[1.0, 2.0, 3.0, 4.0], shape: &[4] };
        let y = windows(&window(2, 2, 1, 1), -9.0, false, &[3, 2], x);
        assert_eq!(y, [-9.0, 1.0, 2.0, 3.0, 4.0, -9.0]);
    }

    #[test]
    fn the_adjoint_is_the_transpose() {
        // <windows(x), y> = <x, Σ_k adjoint(y)> for unit vectors of both.
        let w = window(3, 2, 2, 2);
        let (l, o, k) = (7, 4, 3);
        for i in 0..l {
            let mut x = vec![0.0; l];
            x[i] = 1.0;
            let forward = windows(&w, 0.0, false, &[o, k], Array { data: &x, shape: &[l] });
            for j in 0..o * k {
                let mut y = vec![0.0; o * k];
                y[j] = 1.0;
                let back = windows_adjoint(&w, &[l, k], Array { data: &y, shape: &[o, k] });
                let sum: f64 = (0..k).map(|kk| back[i * k + kk]).sum();
                assert_eq!(forward[j], sum, "input {i}, window element {j}");
            }
        }
    }
}
