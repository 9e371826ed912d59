//! Reading and writing at positions that are data.

use thalweg_graph::{Bags, Combine};

use super::*;

rows! { a;
    gather(x: vector) { axis = a.axis(x)?, n = a.size(0, 6)?, index = a.index(&along(x, axis, n), extent(x, axis))? }
        x.gather(axis, &index);
    gather_part(x: matrix) { n = a.size(1, 6)?, index = a.index(&x.shape().iter().map(|d| d.div_ceil(2)).collect::<Vec<_>>(), x.shape()[1])? }
        x.narrow(0, 0, n.min(x.shape()[0])).gather(1, &index.narrow(0, 0, n.min(index.shape()[0])));
    index_select(x: vector) { axis = a.axis(x)?, n = a.size(0, 9)?, index = a.index(&[n], extent(x, axis))? }
        x.index_select(axis, &index);
    take_along(x: vector) { axis = a.axis(x)?, n = a.size(1, 5)?, index = a.index(&along(x, axis, n), extent(x, axis))? }
        x.take_along(axis, &index);
    take(x: full) { n = a.size(1, 9)?, index = a.index(&[n, 2], x.count())? } x.take(&index);
    index_at(x: matrix) { i = a.index(&[5, 1], x.shape()[0])?, j = a.index(&[3], x.shape()[1])? } x.index_at(&[&i, &j]);
    gather_by(x: vector, i: int) { n = a.size(0, 0)? }
        (i.count() <= 200).then(|| x.flatten(..).index_select(n, &i.reshape([-1]).abs().fmod(x.count() as f64)))?;
    embedding(x: table) { ids = a.index(&[2, 3], x.shape()[0])? } x.embedding(&ids);
    embedding_padded(x: table) { ids = a.index(&[7], x.shape()[0])? } x.embedding_padded(&ids, 0);
    embedding_bag(x: table) {
        ids = a.index(&[3, 4], x.shape()[0])?, combine = a.one(&[Combine::Sum, Combine::Mean, Combine::Max]), w = a.weight(&[3, 4])
    } {
        let weights = (combine == Combine::Sum).then_some(&w);
        x.embedding_bag(&ids, &Bags { weights, ..Bags::new(combine) })
    };
    one_hot(x: any) { n = a.size(1, 9)?, index = a.index(&[n], 5)?, float = a.float() } index.one_hot(5).cast(float);

    scatter_add(x: vector, y: float) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&along(x, axis, n), extent(x, axis))?, w = a.weight(&along(x, axis, n))
    } (x.count() <= 3000).then(|| x.scatter_add(axis, &index, &(&w * y.sum(..))))?;
    scatter(x: vector) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&along(x, axis, n), extent(x, axis))?, w = a.weight(&along(x, axis, n))
    } (x.count() <= 3000).then(|| x.scatter(axis, &index, &w))?;
    scatter_value(x: vector) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&along(x, axis, n), extent(x, axis))?
    } (x.count() <= 3000).then(|| x.scatter_value(axis, &index, 0.75))?;
    scatter_reduce(x: vector) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&along(x, axis, n), extent(x, axis))?, w = a.weight(&along(x, axis, n)),
        combine = a.one(&[Combine::Sum, Combine::Mean, Combine::Prod, Combine::Max, Combine::Min]), include_self = a.flag()
    } (x.count() <= 3000).then(|| x.scatter_reduce(axis, &index, &w, combine, include_self))?;
    index_add(x: vector) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&[n], extent(x, axis))?, w = a.weight(&along(x, axis, n))
    } (x.count() <= 3000).then(|| x.index_add(axis, &index, &w, 0.5))?;
    index_copy(x: vector) {
        axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&[n], extent(x, axis))?, w = a.weight(&along(x, axis, n))
    } (x.count() <= 3000).then(|| x.index_copy(axis, &index, &w))?;
    index_fill(x: vector) { axis = a.axis(x)?, n = a.size(1, 9)?, index = a.index(&[n], extent(x, axis))? }
        (x.count() <= 3000).then(|| x.index_fill(axis, &index, -0.5))?;
    segments(x: vector) {
        n = a.size(1, 9)?, index = a.index(&[x.shape()[0]], n)?, less = a.size(0, 2)?,
        combine = a.one(&[Combine::Sum, Combine::Prod, Combine::Max, Combine::Min])
    } {
        let segments = n.saturating_sub(less).max(1);
        match combine {
            // What no row gives is no number.
            Combine::Max => x.segment_max(&index, segments).maximum(-9.0),
            Combine::Min => x.segment_min(&index, segments).minimum(9.0),
            Combine::Prod => x.segment_prod(&index, segments),
            _ => x.segment_sum(&index, segments),
        }
    };
    index_put(x: matrix) {
        i = a.index(&[5], x.shape()[0])?, j = a.index(&[5], x.shape()[1])?, w = a.weight(&[&[5], &x.shape()[2..]].concat()), more = a.flag()
    } (x.count() <= 3000).then(|| x.index_put(&[&i, &j], &w, more))?;
    masked_scatter(x: vector) { mask = a.bools(x.shape()), w = a.weight(&[x.count()]) }
        (x.count() <= 3000).then(|| x.masked_scatter(&mask, &w))?;
    dynamic_slice(x: vector) { axis = a.axis(x)?, n = a.size(1, extent(x, axis))?, at = a.index(&[1], extent(x, axis))? }
        x.dynamic_slice(axis, &at, n);
    dynamic_update_slice(x: vector) {
        axis = a.axis(x)?, n = a.size(1, extent(x, axis))?, at = a.index(&[1], extent(x, axis))?, w = a.weight(&along(x, axis, n))
    } (x.count() <= 3000).then(|| x.dynamic_update_slice(axis, &at, &w))?;
    searchsorted(x: full) { n = a.size(1, 9)?, w = a.weight(&[n]) } w.detach().sort(0, false).0.searchsorted(x, true);
    bucketize(x: full) { n = a.size(1, 9)?, w = a.weight(&[n]) } x.bucketize(&w.detach().sort(0, false).0, false);
}

/// The shape of `x` with `n` at an axis.
fn along(x: &Tensor, axis: isize, n: usize) -> Vec<usize> {
    let mut shape = x.shape().to_vec();
    let axis = if axis < 0 { axis + shape.len() as isize } else { axis };
    shape[axis as usize] = n;
    shape
}

fn table(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && s.shape.len() == 2
}
