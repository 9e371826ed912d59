//! Views, borders and shuffles: the same elements elsewhere.

use super::*;

rows! { a;
    reshape(x: any) { shape = a.regroup(x.count()) } x.reshape(shape.as_slice());
    permute(x: any) { order = a.permutation(x.rank()) } x.permute(order);
    transpose(x: joinable) { p = a.axis(x)?, q = a.axis(x)? } x.transpose(p, q);
    t(x: matrix) {} x.t();
    unsqueeze(x: any) { axis = a.size(0, x.rank())? } (x.rank() < 7).then(|| x.unsqueeze(axis))?;
    squeeze(x: joinable) { axis = a.axis(x)? } (extent(x, axis) == 1).then(|| x.squeeze(axis))?;
    flatten(x: joinable) { from = a.size(0, x.rank() - 1)? } x.flatten(from as isize..);
    expand(x: any) { shape = a.wider(x)? } x.broadcast_to(&shape);
    slice(x: joinable) { axis = a.axis(x)?, from = a.range(-3, 3)?, to = a.range(-3, 6)? } x.slice(axis, from..to);
    slice_from(x: joinable) { axis = a.axis(x)?, from = a.range(0, 3)? } x.slice(axis, from..);
    slice_step(x: joinable) { axis = a.axis(x)?, from = a.range(-4, 3)?, step = a.one(&[2isize, 3, -1, -2, -3]) }
        x.slice_step(axis, from.., step);
    narrow(x: joinable) { axis = a.axis(x)?, from = a.size(0, extent(x, axis))?, n = a.size(0, extent(x, axis) - from)? }
        x.narrow(axis, from, n);
    select(x: joinable) { axis = a.axis(x)?, at = a.range(-(extent(x, axis) as isize), extent(x, axis) as isize - 1)? }
        x.select(axis, at);
    flip(x: any) { axes = a.axes(x) } x.flip(axes.as_slice());
    pad(x: float) { pads = a.pads(x, 2, false)?, value = a.number(-1.0, 1.0) } x.pad(&pads, value);
    int_pad(x: int) { pads = a.pads(x, 2, false)? } x.pad(&pads, 3.0);
    crop(x: float) { pads = a.pads(x, 2, true)?, value = a.number(-1.0, 1.0) } x.pad(&pads, value);
    pad_reflect(x: vector) { pads = a.inner_pads(x, 1)? } x.pad_reflect(&pads);
    pad_replicate(x: vector) { pads = a.pads(x, 3, false)? } x.pad_replicate(&pads);
    pad_circular(x: vector) { pads = a.inner_pads(x, 0)? } x.pad_circular(&pads);
    split(x: joinable) { axis = a.axis(x)?, n = a.size(0, extent(x, axis))? } {
        let parts = x.split([n, extent(x, axis) - n], axis);
        parts[1].concat_with(&parts[..1], axis)
    };
    repeat(x: joinable) { times = a.times(x)? } x.repeat(&times);
    roll(x: joinable) { shift = a.range(-4, 4)?, axis = a.axis(x)? } x.roll(shift, axis);
    rot90(x: matrix) { k = a.range(-1, 3)? } x.rot90(k, 0, -1);
    movedim(x: joinable) { from = a.axis(x)?, to = a.axis(x)? } x.movedim(&[from], &[to]);
    repeat_interleave(x: joinable) { n = a.size(1, 3)?, axis = a.axis(x)? } x.repeat_interleave(n, axis);
    repeat_each(x: vector) { axis = a.axis(x)?, seed = a.size(0, 9)? }
        (extent(x, axis) <= 9).then(|| {
            let times: Vec<usize> = (0..extent(x, axis)).map(|i| (i * seed) % 3).collect();
            x.repeat_interleave_each(&times, axis)
        })?;
    chunk(x: joinable) { axis = a.axis(x)?, n = a.size(1, 4)? } x.chunk(n, axis)[0].clone();
    diag(x: matrix) { k = a.range(-1, 1)? } (x.rank() == 2).then(|| x.diag(k))?;
    unflatten(x: vector) { axis = a.axis(x)?, sizes = a.regroup(extent(x, axis)) }
        (!sizes.is_empty() && x.rank() + sizes.len() < 9).then(|| x.unflatten(axis, sizes.as_slice()))?;
    tril(x: matrix) { k = a.range(-2, 2)? } x.tril(k);
    triu(x: matrix) { k = a.range(-2, 2)? } x.triu(k);
    diagonal(x: matrix) { k = a.range(-1, 1)? } x.diagonal(k, 0, -1);
    diag_embed(x: vector) { k = a.range(-1, 1)? }
        (x.rank() < 6 && x.shape()[x.rank() - 1] < 20).then(|| x.diag_embed(k, -2, -1))?;
    trace(x: matrix) {} x.trace();
    diff(x: vector) { n = a.size(1, 2)?, axis = a.axis(x)? } (extent(x, axis) > n).then(|| x.diff(n, axis))?;
    channel_shuffle(x: matrix) { groups = a.divisor(x.shape()[1])? } x.channel_shuffle(groups);
    pixel_shuffle(x: image) {} x.shape()[x.rank() - 3].is_multiple_of(4).then(|| x.pixel_shuffle(2))?;
    pixel_unshuffle(x: image) {}
        x.shape()[x.rank() - 2..].iter().all(|d| d.is_multiple_of(2)).then(|| x.pixel_unshuffle(2))?;
    sliding_windows(x: vector) { axis = a.axis(x)?, size = a.size(1, extent(x, axis).min(9))?, step = a.size(1, 3)? }
        x.sliding_windows(axis, size, step);
    windows_sum(x: vector) { axis = a.axis(x)?, size = a.size(1, extent(x, axis).min(9))?, step = a.size(1, 3)? }
        x.sliding_windows(axis, size, step).square().sum(-1);
    overlap(x: vector) { axis = a.axis(x)? } x.slice(axis, 1..) - x.slice(axis, ..-1);
    cross(x: vector, y: float_with) { axis = a.axis(x)? }
        (extent(x, axis) == 3 && x.shape() == y.shape()).then(|| x.cross(y, axis))?;
}

fn joinable(_: &[&Slot], s: &Slot) -> bool {
    !s.shape.is_empty()
}
