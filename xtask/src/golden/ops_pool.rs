//! Pooling.

use serde_json::Value;
use thalweg_graph::{Pool, Tensor};

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const POOL: Table = &[
    ("max_pool1d", |c| max(c, 1)),
    ("max_pool2d", |c| max(c, 2)),
    ("max_pool3d", |c| max(c, 3)),
    ("max_pool1d_with_indices", |c| max(c, 1)),
    ("max_pool2d_with_indices", |c| max(c, 2)),
    ("max_pool3d_with_indices", |c| max(c, 3)),
    ("avg_pool1d", |c| Ok(vec![c.x()?.avg_pool(&avg(c, 1)?)])),
    ("avg_pool2d", |c| Ok(vec![c.x()?.avg_pool(&avg(c, 2)?)])),
    ("avg_pool3d", |c| Ok(vec![c.x()?.avg_pool(&avg(c, 3)?)])),
    ("lp_pool1d", |c| lp(c, 1)),
    ("lp_pool2d", |c| lp(c, 2)),
    ("lp_pool3d", |c| lp(c, 3)),
    ("max_unpool1d", |c| unpool(c, 1)),
    ("max_unpool2d", |c| unpool(c, 2)),
    ("max_unpool3d", |c| unpool(c, 3)),
    ("adaptive_avg_pool1d", |c| Ok(vec![c.x()?.adaptive_avg_pool(&extents(c, 1)?)])),
    ("adaptive_avg_pool2d", |c| Ok(vec![c.x()?.adaptive_avg_pool(&extents(c, 2)?)])),
    ("adaptive_avg_pool3d", |c| Ok(vec![c.x()?.adaptive_avg_pool(&extents(c, 3)?)])),
    ("adaptive_max_pool1d", |c| adaptive_max(c, 1)),
    ("adaptive_max_pool2d", |c| adaptive_max(c, 2)),
    ("adaptive_max_pool3d", |c| adaptive_max(c, 3)),
];

/// A setting of each axis. One size stands for all.
fn sizes(c: &Call, key: &str, axes: usize) -> Result<Option<Vec<usize>>, Stop> {
    let given = c.attrs.sizes(key)?;
    Ok(given.filter(|list| !list.is_empty()).map(|list| if list.len() == 1 { vec![list[0]; axes] } else { list }))
}

/// The settings of all poolings.
fn pool(c: &Call, axes: usize) -> Result<Pool, Stop> {
    let mut pool = Pool::new(&sizes(c, "kernel_size", axes)?.ok_or_else(|| Stop::wrong("no kernel_size"))?);
    pool.stride = c.attrs.sizes("stride")?.unwrap_or_default();
    pool.padding = c.attrs.sizes("padding")?.unwrap_or(vec![0]);
    pool.dilation = c.attrs.sizes("dilation")?.unwrap_or(vec![1]);
    pool.ceil_mode = c.attrs.flag("ceil_mode", false)?;
    Ok(pool)
}

fn avg(c: &Call, axes: usize) -> Result<Pool, Stop> {
    let divisor = c.attrs.sizes("divisor_override")?.and_then(|d| d.first().copied());
    Ok(Pool { count_include_pad: c.attrs.flag("count_include_pad", true)?, divisor, ..pool(c, axes)? })
}

/// The maxima, with their places if the case has them.
fn max(c: &Call, axes: usize) -> Result<Vec<Tensor>, Stop> {
    c.attrs.flag("return_indices", false)?;
    let pool = pool(c, axes)?;
    match c.outputs.len() {
        1 => Ok(vec![c.x()?.max_pool(&pool)]),
        _ => with_indices(c, c.x()?.max_pool_with_indices(&pool)),
    }
}

fn with_indices(c: &Call, (values, indices): (Tensor, Tensor)) -> Result<Vec<Tensor>, Stop> {
    c.in_order(&[("y", &values), ("values", &values), ("indices", &indices)])
}

fn adaptive_max(c: &Call, axes: usize) -> Result<Vec<Tensor>, Stop> {
    c.attrs.flag("return_indices", false)?;
    let out = extents(c, axes)?;
    match c.outputs.len() {
        1 => Ok(vec![c.x()?.adaptive_max_pool(&out)]),
        _ => with_indices(c, c.x()?.adaptive_max_pool_with_indices(&out)),
    }
}

fn lp(c: &Call, axes: usize) -> Result<Vec<Tensor>, Stop> {
    Ok(vec![c.x()?.lp_pool(c.attrs.need("norm_type")?, &pool(c, axes)?)])
}

/// The extents that an adaptive pooling should give; null keeps the input's.
fn extents(c: &Call, axes: usize) -> Result<Vec<usize>, Stop> {
    let x = c.x()?;
    let bad = || Stop::Unsupported("attribute output_size".into());
    let first = x.rank().checked_sub(axes).ok_or_else(bad)?;
    let given = match c.attrs.get("output_size") {
        Some(Value::Array(list)) if list.len() == axes => list.clone(),
        Some(Value::Array(_)) | None => return Err(bad()),
        Some(one) => vec![one.clone(); axes],
    };
    let extent = |(d, v): (usize, &Value)| match v {
        Value::Null => Some(x.shape()[first + d]),
        v => v.as_u64().map(|n| n as usize),
    };
    given.iter().enumerate().map(extent).collect::<Option<_>>().ok_or_else(bad)
}

/// The inverse of a pooling: every extent is the smallest that the pooling would take, unless the case names it.
fn unpool(c: &Call, axes: usize) -> Result<Vec<Tensor>, Stop> {
    let (x, indices) = c.pair()?;
    let kernel = sizes(c, "kernel_size", axes)?.ok_or_else(|| Stop::wrong("no kernel_size"))?;
    let stride = sizes(c, "stride", axes)?.unwrap_or(kernel.clone());
    let padding = sizes(c, "padding", axes)?.unwrap_or(vec![0; axes]);
    let first = x.rank().checked_sub(axes).ok_or_else(|| Stop::wrong("too few axes"))?;
    let image = match c.attrs.sizes("output_size")? {
        Some(size) if size.len() >= axes => size[size.len() - axes..].to_vec(),
        _ => (0..axes)
            .map(|d| ((x.shape()[first + d] - 1) * stride[d] + kernel[d]).saturating_sub(2 * padding[d]))
            .collect(),
    };
    Ok(vec![x.max_unpool(indices, &image)])
}
