//! Scans and sorting.

use thalweg_graph::{Interpolation, Tensor};

use super::{
    call::{Call, Table},
    ops_reduce::with_index,
    outcome::Stop,
};

pub const ORDER: Table = &[
    ("cumsum", |c| Ok(vec![c.x()?.cumsum(c.attrs.int("dim")?)])),
    ("cumprod", |c| Ok(vec![c.x()?.cumprod(c.attrs.int("dim")?)])),
    ("logcumsumexp", |c| Ok(vec![c.x()?.logcumsumexp(c.attrs.int("dim")?)])),
    ("cummax", |c| pair(c, c.x()?.cummax(c.attrs.int("dim")?))),
    ("cummin", |c| pair(c, c.x()?.cummin(c.attrs.int("dim")?))),
    ("sort", |c| {
        // Ours is stable either way.
        c.attrs.flag("stable", false)?;
        pair(c, c.x()?.sort(c.attrs.int_or("dim", -1)?, c.attrs.flag("descending", false)?))
    }),
    ("argsort", |c| {
        c.attrs.flag("stable", false)?;
        Ok(vec![c.x()?.argsort(c.attrs.int_or("dim", -1)?, c.attrs.flag("descending", false)?)])
    }),
    ("topk", |c| {
        // Sorted either way.
        c.attrs.flag("sorted", true)?;
        let k = usize::try_from(c.attrs.int("k")?).map_err(|_| Stop::wrong("negative k"))?;
        pair(c, c.x()?.topk(k, c.attrs.int_or("dim", -1)?, c.attrs.flag("largest", true)?))
    }),
    ("median", |c| middle(c, Tensor::median)),
    ("nanmedian", |c| middle(c, Tensor::nanmedian)),
    ("kthvalue", |c| {
        let k = usize::try_from(c.attrs.int("k")?).map_err(|_| Stop::wrong("negative k"))?;
        with_index(c, c.x()?.kthvalue(k, c.attrs.int_or("dim", -1)?))
    }),
    ("quantile", |c| quantile(c, Tensor::quantile)),
    ("nanquantile", |c| quantile(c, Tensor::nanquantile)),
];

fn pair(c: &Call, (values, indices): (Tensor, Tensor)) -> Result<Vec<Tensor>, Stop> {
    c.in_order(&[("values", &values), ("indices", &indices)])
}

/// Of an axis the value and its position, of everything the value.
fn middle(c: &Call, f: fn(&Tensor, isize) -> (Tensor, Tensor)) -> Result<Vec<Tensor>, Stop> {
    match c.attrs.ints("dim")?.and_then(|d| d.first().copied()) {
        Some(dim) => with_index(c, f(c.x()?, dim)),
        None => Ok(vec![f(&c.x()?.reshape([-1]), 0).0]),
    }
}

/// One value for each `q`, in front of the other axes if there is a list of them.
fn quantile(c: &Call, f: fn(&Tensor, f64, isize, Interpolation) -> Tensor) -> Result<Vec<Tensor>, Stop> {
    let how = match &*c.attrs.word("interpolation", "linear")? {
        "linear" => Interpolation::Linear,
        "lower" => Interpolation::Lower,
        "higher" => Interpolation::Higher,
        "nearest" => Interpolation::Nearest,
        "midpoint" => Interpolation::Midpoint,
        other => return Err(Stop::wrong(format!("interpolation {other}"))),
    };
    let dim = c.attrs.ints("dim")?.and_then(|d| d.first().copied());
    let keepdim = c.attrs.flag("keepdim", false)?;
    let x = c.x()?;
    let one = |q: f64| match dim {
        Some(dim) if keepdim => f(x, q, dim, how).unsqueeze(dim),
        Some(dim) => f(x, q, dim, how),
        None if keepdim => f(&x.reshape([-1]), q, 0, how).reshape(vec![1; x.rank()]),
        None => f(&x.reshape([-1]), q, 0, how),
    };
    let many: Option<Vec<f64>> = c.attrs.get("q").and_then(|v| v.as_array()?.iter().map(|q| q.as_f64()).collect());
    Ok(vec![match many {
        Some(qs) => Tensor::stack(qs.into_iter().map(one), 0),
        None => one(c.attrs.need("q")?),
    }])
}
