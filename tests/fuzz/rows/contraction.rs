//! Products of matrices of every rank, sums over named axes, and convolutions.

use thalweg_graph::{ConvConfig, NewtonSchulz};

use super::*;

rows! { a;
    matmul(x: vector, y: product) {} x.matmul(y);
    gram(x: matrix) {} x.matmul(&x.t());
    gram_t(x: matrix) {} x.t().matmul(x);
    linear(x: vector) { n = a.one(&[1usize, 2, 5, 8, 17, 33]), w = a.weight(&[x.shape()[x.rank() - 1], n]) } x.matmul(&w);
    linear_t(x: vector) { n = a.one(&[1usize, 2, 5, 8, 17, 33]), w = a.weight(&[n, x.shape()[x.rank() - 1]]), b = a.weight(&[n]) }
        x.matmul(&w.t()) + &b;
    left(x: matrix) { n = a.one(&[1usize, 3, 4, 9, 16]), w = a.weight(&[n, x.shape()[x.rank() - 2]]) } w.matmul(x);
    project(x: vector) { w = a.weight(&x.shape()[x.rank() - 1..]) } x.matmul(&w);
    orthogonalise(x: matrix) { steps = a.size(1, 3)? } x.orthogonalise(&NewtonSchulz::exact(steps));
    dot(x: line, y: alike) {} x.dot(y);
    outer(x: line, y: line) {} x.outer(y);
    einsum_one(x: vector) { equation = a.equation(x) } x.einsum(&equation, &[]);
    einsum_two(x: full, y: full) { equation = a.pair_equation(x, y) } x.einsum(&equation, &[y]);
    einsum_same(x: vector, y: alike) { equation = a.same_equation(x)? } x.einsum(&equation, &[y]);
    bilinear(x: matrix, y: alike) { n = a.size(1, 3)?, w = a.weight(&[n, x.shape()[x.rank() - 1], x.shape()[x.rank() - 1]]) }
        x.bilinear(y, &w, None);

    conv(x: image) {
        groups = a.divisor(x.shape()[1])?, o = a.size(1, 3)?, kernel = a.kernel(x)?, stride = a.sizes(kernel.len(), 1, 3),
        padding = a.sizes(kernel.len(), 0, 2), dilation = a.sizes(kernel.len(), 1, 2),
        w = a.weight(&[&[o * groups, x.shape()[1] / groups], kernel.as_slice()].concat()),
        fits = kernel.iter().enumerate().all(|(d, k)| dilation[d] * (k - 1) < x.shape()[2 + d] + 2 * padding[d])
    } {
        let config = ConvConfig { stride: stride.to_vec(), padding: padding.to_vec(), dilation: dilation.to_vec(), groups };
        fits.then(|| x.conv(&w, &config))?
    };
    conv_transpose(x: image) {
        groups = a.divisor(x.shape()[1])?, o = a.size(1, 3)?, kernel = a.kernel(x)?, stride = a.sizes(kernel.len(), 1, 3),
        dilation = a.sizes(kernel.len(), 1, 2), padding = a.sizes(kernel.len(), 0, 1),
        w = a.weight(&[&[x.shape()[1], o], kernel.as_slice()].concat()),
        fits = kernel.iter().enumerate().all(|(d, k)| (x.shape()[2 + d] - 1) * stride[d] + dilation[d] * (k - 1) + 1 > 2 * padding[d])
    } {
        let config = ConvConfig { stride: stride.to_vec(), padding: padding.to_vec(), dilation: dilation.to_vec(), groups };
        fits.then(|| x.conv_transpose(&w, &config, &[0]))?
    };
    unfold(x: image) { kernel = a.kernel(x)?, padding = a.sizes(kernel.len(), 0, 1), stride = a.sizes(kernel.len(), 1, 2) } {
        let config = ConvConfig { stride: stride.to_vec(), padding: padding.to_vec(), ..ConvConfig::default() };
        x.unfold(&kernel, &config)
    };
    fold(x: image) { kernel = a.kernel(x)?, padding = a.sizes(kernel.len(), 0, 1), stride = a.sizes(kernel.len(), 1, 2) } {
        let config = ConvConfig { stride: stride.to_vec(), padding: padding.to_vec(), ..ConvConfig::default() };
        x.unfold(&kernel, &config).fold(&x.shape()[2..], &kernel, &config)
    };
}

fn line(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && s.shape.len() == 1
}

/// The right side of a product.
fn product(before: &[&Slot], s: &Slot) -> bool {
    let x = &before[0].shape;
    let k = x[x.len() - 1];
    let batch = |s: &[usize]| s[..s.len().max(2) - 2].to_vec();
    let inner = match s.shape.len() {
        0 => return false,
        1 => s.shape[0],
        n => s.shape[n - 2],
    };
    s.dtype.is_float() && !s.shape.contains(&0) && inner == k && broadcast(&batch(x), &batch(&s.shape)).is_some()
}
