//! Convolution (cross-correlation) over any number of spatial axes, and its adjoints in the input and the weight.
//!
//! All three are sums over the same taps: output position `o`, kernel position `k`, input position
//! `l = o · stride + k · dilation - pad`.

use thalweg_ir::{Conv, shape::count};

use super::{
    Array,
    windows::{Tap, taps},
};

/// The extents that the three loops share.
struct Extents {
    batch: usize,
    groups: usize,
    /// Input channels of a group.
    c: usize,
    /// Output channels of a group.
    o: usize,
    input: usize,
    out: usize,
    kernel: usize,
    taps: Vec<Tap>,
}

impl Extents {
    fn of(conv: &Conv, x: &[usize], y: &[usize]) -> Extents {
        Extents {
            batch: x[0],
            groups: conv.groups,
            c: x[1] / conv.groups,
            o: y[1] / conv.groups,
            input: count(&x[2..]),
            out: count(&y[2..]),
            kernel: count(&conv.window.kernel),
            taps: taps(&conv.window, &x[2..], &y[2..]),
        }
    }

    /// Calls `f` with the first elements of an input channel, a weight channel and an output channel that meet.
    fn channels(&self, mut f: impl FnMut(usize, usize, usize)) {
        for b in 0..self.batch {
            for g in 0..self.groups {
                for o in g * self.o..(g + 1) * self.o {
                    for c in 0..self.c {
                        let x = ((b * self.groups + g) * self.c + c) * self.input;
                        let w = (o * self.c + c) * self.kernel;
                        let y = (b * self.groups * self.o + o) * self.out;
                        f(x, w, y);
                    }
                }
            }
        }
    }
}

/// `y[b, o, s] = Σ_{c, k} x[b, c, l(s, k)] · w[o, c, k]`, `c` over the channels of o's group. `shape` is y's.
pub fn conv(conv: &Conv, shape: &[usize], x: Array, w: Array) -> Vec<f64> {
    let e = Extents::of(conv, x.shape, shape);
    let mut y = vec![0.0; count(shape)];
    e.channels(|x0, w0, y0| {
        for t in &e.taps {
            y[y0 + t.o] += x.data[x0 + t.l] * w.data[w0 + t.k];
        }
    });
    y
}

/// `dx[b, c, l] = Σ_{o, k} dy[b, o, s] · w[o, c, k]` over the `s` with `l(s, k) = l`. `shape` is dx's.
pub fn conv_input(conv: &Conv, shape: &[usize], dy: Array, w: Array) -> Vec<f64> {
    let e = Extents::of(conv, shape, dy.shape);
    let mut dx = vec![0.0; count(shape)];
    e.channels(|x0, w0, y0| {
        for t in &e.taps {
            dx[x0 + t.l] += dy.data[y0 + t.o] * w.data[w0 + t.k];
        }
    });
    dx
}

/// `dw[o, c, k] = Σ_{b, s} x[b, c, l(s, k)] · dy[b, o, s]`. `shape` is dw's.
pub fn conv_weight(conv: &Conv, shape: &[usize], x: Array, dy: Array) -> Vec<f64> {
    let e = Extents::of(conv, x.shape, dy.shape);
    let mut dw = vec![0.0; count(shape)];
    e.channels(|x0, w0, y0| {
        for t in &e.taps {
            dw[w0 + t.k] += x.data[x0 + t.l] * dy.data[y0 + t.o];
        }
    });
    dw
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_ir::Window;

    /// `<conv(x, w), dy> = <x, conv_input(dy, w)> = <w, conv_weight(x, dy)>`, with groups, stride, dilation and padding.
    #[test]
    fn the_adjoints_are_adjoint() {
        let window = Window { kernel: vec![3, 2], stride: vec![2, 1], dilation: vec![1, 2], pad: vec![1, 1] };
        let c = Conv { window, groups: 2 };
        let (xs, ws, ys) = ([2, 4, 5, 4], [6, 2, 3, 2], [2, 6, 3, 4]);
        let fill = |n: usize, f: usize| (0..n).map(|i| ((i * f) % 17) as f64 - 8.0).collect::<Vec<_>>();
        let (x, w, dy) = (fill(count(&xs), 5), fill(count(&ws), 7), fill(count(&ys), 3));
        let array = |data, shape| Array { data, shape };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let y = conv(&c, &ys, array(&x, &xs), array(&w, &ws));
        let dx = conv_input(&c, &xs, array(&dy, &ys), array(&w, &ws));
        let dw = conv_weight(&c, &ws, array(&x, &xs), array(&dy, &ys));
        assert_eq!(dot(&y, &dy), dot(&x, &dx));
        assert_eq!(dot(&y, &dy), dot(&w, &dw));
    }
}
