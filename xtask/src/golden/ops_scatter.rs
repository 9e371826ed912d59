//! Writing at positions that other tensors hold.

use thalweg_graph::{Tensor, ops::scatter::Combine};

use super::{call::Table, outcome::Stop};

pub const SCATTER: Table = &[
    ("scatter", |c| {
        let (x, index, src) = c.triple()?;
        let dim = c.attrs.int("dim")?;
        Ok(vec![match c.attrs.word("reduce", "")?.as_str() {
            "" => x.scatter(dim, index, src),
            "add" => x.scatter_add(dim, index, src),
            "multiply" => x.scatter_reduce(dim, index, src, Combine::Prod, true),
            other => return Err(Stop::Unsupported(format!("attribute reduce = {other}"))),
        }])
    }),
    ("scatter_value", |c| {
        let (x, index) = c.pair()?;
        let (dim, value) = (c.attrs.int("dim")?, c.attrs.need("value")?);
        let src = Tensor::full(c.device, value, index.shape(), x.dtype());
        Ok(vec![match c.attrs.word("reduce", "")?.as_str() {
            "" => x.scatter_value(dim, index, value),
            "add" => x.scatter_add(dim, index, &src),
            "multiply" => x.scatter_reduce(dim, index, &src, Combine::Prod, true),
            other => return Err(Stop::Unsupported(format!("attribute reduce = {other}"))),
        }])
    }),
    ("scatter_reduce", |c| {
        let (x, index, src) = c.triple()?;
        let combine = match c.attrs.word("reduce", "")?.as_str() {
            "sum" => Combine::Sum,
            "mean" => Combine::Mean,
            "prod" => Combine::Prod,
            "amax" => Combine::Max,
            "amin" => Combine::Min,
            other => return Err(Stop::Unsupported(format!("attribute reduce = {other}"))),
        };
        Ok(vec![x.scatter_reduce(c.attrs.int("dim")?, index, src, combine, c.attrs.flag("include_self", true)?)])
    }),
    ("index_add", |c| {
        let (x, index, src) = c.triple()?;
        Ok(vec![x.index_add(c.attrs.int("dim")?, index, src, c.attrs.number_or("alpha", 1.0)?)])
    }),
    ("index_copy", |c| {
        let (x, index, src) = c.triple()?;
        Ok(vec![x.index_copy(c.attrs.int("dim")?, index, src)])
    }),
    ("index_fill", |c| {
        let (x, index) = c.pair()?;
        Ok(vec![x.index_fill(c.attrs.int("dim")?, index, c.attrs.need("value")?)])
    }),
    ("index_put", |c| {
        let inputs = c.all();
        let [x, indices @ .., values] = inputs.as_slice() else { return Err(Stop::wrong("no values")) };
        let indices: Vec<&Tensor> = indices.iter().collect();
        Ok(vec![x.index_put(&indices, values, c.attrs.flag("accumulate", false)?)])
    }),
    ("masked_scatter", |c| {
        let (x, mask, src) = c.triple()?;
        Ok(vec![x.masked_scatter(mask, src)])
    }),
];
