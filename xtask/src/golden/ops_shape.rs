//! Views, joins, splits and padding.

use std::collections::HashMap;

use thalweg_graph::Tensor;

use super::{
    call::{Call, Table},
    outcome::Stop,
    slicing::subscript,
};

pub const VIEWS: Table = &[
    ("slice", |c| Ok(vec![subscript(c.x()?, &c.attrs.word("expr", "")?, &HashMap::new())?])),
    ("select", |c| Ok(vec![c.x()?.select(c.attrs.int("dim")?, c.attrs.int("index")?)])),
    ("narrow", |c| Ok(vec![c.x()?.narrow(c.attrs.int("dim")?, size(c, "start")?, size(c, "length")?)])),
    ("x[1:] - x[:-1]", |c| Ok(vec![c.x()?.slice(0, 1..) - c.x()?.slice(0, ..-1)])),
    ("permute", |c| Ok(vec![c.x()?.permute(list(c, "dims")?)])),
    ("permute+reshape", |c| Ok(vec![c.x()?.permute(list(c, "dims")?).reshape(list(c, "shape")?)])),
    ("transpose", |c| Ok(vec![c.x()?.transpose(c.attrs.int("dim0")?, c.attrs.int("dim1")?)])),
    ("reshape", |c| Ok(vec![c.x()?.reshape(list(c, "shape")?)])),
    ("flatten", |c| {
        let (start, end) = (c.attrs.int_or("start_dim", 0)?, c.attrs.int_or("end_dim", -1)?);
        Ok(vec![c.x()?.flatten(start..=end)])
    }),
    ("unsqueeze+squeeze", |c| {
        let steps = c.attrs.word("steps", "")?;
        let mut x = c.x()?.clone();
        for step in steps.split(',') {
            let bad = || Stop::Unsupported(format!("step {step}"));
            let (name, axis) = step.trim().trim_end_matches(')').split_once('(').ok_or_else(bad)?;
            let axis: isize = axis.parse().map_err(|_| bad())?;
            x = match name {
                "unsqueeze" => x.unsqueeze(axis),
                "squeeze" => x.squeeze(axis),
                _ => return Err(bad()),
            };
        }
        Ok(vec![x])
    }),
    ("unsqueeze", |c| Ok(vec![c.x()?.unsqueeze(c.attrs.int("dim")?)])),
    ("squeeze", |c| Ok(vec![c.x()?.squeeze(c.attrs.int("dim")?)])),
    ("expand", |c| Ok(vec![c.x()?.expand(list(c, "shape")?)])),
    ("flip", |c| Ok(vec![c.x()?.flip(list(c, "dims")?)])),
];

pub const JOINS: Table = &[
    ("concat", |c| {
        let inputs = c.all();
        let dim = c.attrs.int("dim")?;
        // An input may stand in the list more than once; the output's extent tells how often the list repeats.
        let rank = inputs.first().map_or(0, Tensor::rank) as isize;
        let axis = usize::try_from(if dim < 0 { dim + rank } else { dim }).unwrap_or(usize::MAX);
        let extent: usize = inputs.iter().filter_map(|x| x.shape().get(axis)).sum();
        let want = c.out_shape()?.get(axis).copied().unwrap_or(extent);
        let times = if extent > 0 && want % extent == 0 { want / extent } else { 1 };
        Ok(vec![Tensor::concat(vec![inputs; times.max(1)].concat(), dim)])
    }),
    ("stack", |c| Ok(vec![Tensor::stack(c.all(), c.attrs.int("dim")?)])),
    ("split", |c| {
        let axis = c.attrs.int("dim")?;
        let sizes = match c.attrs.sizes("sizes")? {
            Some(sizes) => sizes,
            None => even(extent(c, axis)?, size(c, "size")?),
        };
        Ok(c.x()?.split(&sizes, axis))
    }),
    ("chunk", |c| Ok(c.x()?.chunk(size(c, "chunks")?, c.attrs.int("dim")?))),
    ("unbind", |c| {
        let axis = c.attrs.int("dim")?;
        (0..extent(c, axis)? as isize).map(|i| c.x().map(|x| x.select(axis, i))).collect()
    }),
    ("repeat", |c| Ok(vec![c.x()?.repeat(&sizes(c, "repeats")?)])),
    ("tile", |c| {
        let dims = sizes(c, "dims")?;
        let new = vec![1; c.x()?.rank().saturating_sub(dims.len())];
        Ok(vec![c.x()?.repeat([new, dims].concat())])
    }),
    ("pad", |c| {
        let flat = list(c, "pad")?;
        if flat.len() % 2 != 0 {
            return Err(Stop::wrong("an odd number of paddings"));
        }
        // The index counts from the last axis, `pad` from the first.
        let pads: Vec<(isize, isize)> = flat.as_chunks::<2>().0.iter().rev().map(|p| (p[0], p[1])).collect();
        let (x, value) = (c.x()?, c.attrs.number_or("value", 0.0)?);
        Ok(vec![match c.attrs.word("mode", "constant")?.as_str() {
            "constant" => x.pad(&pads, value),
            "reflect" => x.pad_reflect(&pads),
            "replicate" => x.pad_replicate(&pads),
            "circular" => x.pad_circular(&pads),
            other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
        }])
    }),
];

/// Pieces of `size`, the last one shorter.
fn even(extent: usize, size: usize) -> Vec<usize> {
    let size = size.max(1);
    (0..extent).step_by(size).map(|at| size.min(extent - at)).collect()
}

fn extent(c: &Call, axis: isize) -> Result<usize, Stop> {
    let x = c.x()?;
    let axis = usize::try_from(if axis < 0 { axis + x.rank() as isize } else { axis });
    axis.ok().and_then(|a| x.shape().get(a).copied()).ok_or_else(|| Stop::wrong("no such axis"))
}

pub fn list(c: &Call, key: &str) -> Result<Vec<isize>, Stop> {
    c.attrs.ints(key)?.ok_or_else(|| Stop::wrong(format!("no attribute {key}")))
}

pub fn sizes(c: &Call, key: &str) -> Result<Vec<usize>, Stop> {
    c.attrs.sizes(key)?.ok_or_else(|| Stop::wrong(format!("no attribute {key}")))
}

pub fn size(c: &Call, key: &str) -> Result<usize, Stop> {
    usize::try_from(c.attrs.int(key)?).map_err(|_| Stop::wrong(format!("negative attribute {key}")))
}
