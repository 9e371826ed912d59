//! Rolls, triangles, diagonals, shuffles, windows and other orders of the same elements.

use thalweg_graph::{ConvConfig, Tensor};

use super::{
    call::{Call, Table},
    ops_shape::{list, size, sizes},
    outcome::Stop,
};

pub const REARRANGE: Table = &[
    ("roll", |c| {
        let (x, shifts) = (c.x()?, list(c, "shifts")?);
        Ok(vec![match c.attrs.ints("dims")? {
            Some(dims) => shifts.iter().zip(&dims).fold(x.clone(), |x, (shift, dim)| x.roll(*shift, *dim)),
            None => x.reshape([-1]).roll(shifts.iter().sum::<isize>(), 0).reshape(x.shape()),
        }])
    }),
    ("rot90", |c| {
        let dims = c.attrs.ints("dims")?.unwrap_or(vec![0, 1]);
        let [a, b] = dims[..] else { return Err(Stop::wrong("dims of rot90")) };
        Ok(vec![c.x()?.rot90(c.attrs.int_or("k", 1)?, a, b)])
    }),
    ("movedim", |c| Ok(vec![c.x()?.movedim(&list(c, "source")?, &list(c, "destination")?)])),
    ("unflatten", |c| Ok(vec![c.x()?.unflatten(c.attrs.int("dim")?, list(c, "sizes")?)])),
    ("repeat_interleave", |c| {
        let times = match c.named("repeats") {
            Some(times) => times.to_vec::<i64>()?.into_iter().map(|n| n.max(0) as usize).collect(),
            None => sizes(c, "repeats")?,
        };
        let (x, dim) = match c.attrs.ints("dim")?.and_then(|d| d.first().copied()) {
            Some(dim) => (c.x()?.clone(), dim),
            None => (c.x()?.reshape([-1]), 0),
        };
        Ok(vec![match times[..] {
            [times] => x.repeat_interleave(times, dim),
            _ => x.repeat_interleave_each(&times, dim),
        }])
    }),
    ("channel_shuffle", |c| Ok(vec![c.x()?.channel_shuffle(size(c, "groups")?)])),
    ("pixel_shuffle", |c| Ok(vec![c.x()?.pixel_shuffle(either(c, "factor", "upscale_factor")?)])),
    ("pixel_unshuffle", |c| Ok(vec![c.x()?.pixel_unshuffle(either(c, "factor", "downscale_factor")?)])),
    ("diff", |c| {
        let dim = c.attrs.int_or("dim", -1)?;
        let n = usize::try_from(c.attrs.int_or("n", 1)?).map_err(|_| Stop::wrong("negative n"))?;
        let parts: Vec<Tensor> =
            [c.named("prepend"), Some(c.x()?), c.named("append")].into_iter().flatten().cloned().collect();
        Ok(vec![Tensor::concat(&parts, dim).diff(n, dim)])
    }),
    ("cross", |c| {
        let (a, b) = c.pair()?;
        // Without an axis the first of extent 3.
        let first = a.shape().iter().position(|n| *n == 3).map_or(-1, |d| d as isize);
        Ok(vec![a.cross(b, c.attrs.int_or("dim", first)?)])
    }),
    ("meshgrid", |c| match c.attrs.word("indexing", "ij")?.as_str() {
        "ij" => Ok(Tensor::meshgrid(c.all())),
        "xy" => Ok(Tensor::meshgrid_xy(c.all())),
        other => Err(Stop::Unsupported(format!("attribute indexing = {other}"))),
    }),
    ("tril", |c| Ok(vec![c.x()?.tril(c.attrs.int_or("diagonal", 0)?)])),
    ("triu", |c| Ok(vec![c.x()?.triu(c.attrs.int_or("diagonal", 0)?)])),
    ("diagonal", |c| {
        let (a, b) = (c.attrs.int_or("dim1", 0)?, c.attrs.int_or("dim2", 1)?);
        Ok(vec![c.x()?.diagonal(c.attrs.int_or("offset", 0)?, a, b)])
    }),
    ("diag_embed", |c| {
        let (a, b) = (c.attrs.int_or("dim1", -2)?, c.attrs.int_or("dim2", -1)?);
        Ok(vec![c.x()?.diag_embed(c.attrs.int_or("offset", 0)?, a, b)])
    }),
    ("diag", |c| Ok(vec![c.x()?.diag(c.attrs.int_or("diagonal", 0)?)])),
    ("trace", |c| Ok(vec![c.x()?.trace()])),
    ("sliding_window", |c| {
        Ok(vec![c.x()?.sliding_windows(either_int(c, "dim", "dimension")?, size(c, "size")?, size(c, "step")?)])
    }),
    ("unfold_im2col", |c| {
        let (kernel, config) = windows(c, 2)?;
        Ok(vec![c.x()?.unfold(&kernel, &config)])
    }),
    ("fold_col2im", |c| {
        let image = spread(c, "output", "output_size", 2)?.ok_or_else(|| Stop::wrong("no output size"))?;
        let (kernel, config) = windows(c, 2)?;
        Ok(vec![c.x()?.fold(&image, &kernel, &config)])
    }),
];

/// An attribute by this index's name or by PyTorch's.
fn either_int(c: &Call, key: &str, other: &str) -> Result<isize, Stop> {
    c.attrs.int(if c.attrs.get(key).is_some() { key } else { other })
}

fn either(c: &Call, key: &str, other: &str) -> Result<usize, Stop> {
    usize::try_from(either_int(c, key, other)?).map_err(|_| Stop::wrong(format!("negative attribute {key}")))
}

/// A setting of each axis. One size stands for all.
fn spread(c: &Call, key: &str, other: &str, axes: usize) -> Result<Option<Vec<usize>>, Stop> {
    let given = c.attrs.sizes(if c.attrs.get(key).is_some() { key } else { other })?;
    Ok(given.map(|list| if list.len() == 1 { vec![list[0]; axes] } else { list }))
}

fn windows(c: &Call, axes: usize) -> Result<(Vec<usize>, ConvConfig), Stop> {
    let kernel = spread(c, "kernel", "kernel_size", axes)?.ok_or_else(|| Stop::wrong("no kernel"))?;
    let setting = |key: &str, default| Ok::<_, Stop>(spread(c, key, key, axes)?.unwrap_or(vec![default; axes]));
    let (stride, padding, dilation) = (setting("stride", 1)?, setting("padding", 0)?, setting("dilation", 1)?);
    Ok((kernel, ConvConfig { stride, padding, dilation, groups: 1 }))
}
