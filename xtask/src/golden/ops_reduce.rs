//! Reductions.

use thalweg_graph::{Tensor, shape::Axes};

use super::{
    Stop,
    call::{Call, Table},
};

/// `name => method without the axes, method that keeps them`.
macro_rules! reductions {
    ($($name:literal => $drop:ident, $keep:ident;)*) => {
        &[$(($name, |c| Ok(vec![if keeps(c)? { c.x()?.$keep(axes(c)?) } else { c.x()?.$drop(axes(c)?) }])),)*]
    };
}

pub const REDUCTIONS: Table = reductions! {
    "sum" => sum, sum_keepdim;
    "mean" => mean, mean_keepdim;
    "prod" => prod, prod_keepdim;
    "amax" => amax, amax_keepdim;
    "amin" => amin, amin_keepdim;
    "logsumexp" => logsumexp, logsumexp_keepdim;
};

pub const OTHERS: Table = &[
    ("var", |c| {
        let (axes, correction) = (axes(c)?, correction(c)?);
        Ok(vec![if keeps(c)? { c.x()?.var_keepdim(axes, correction) } else { c.x()?.var(axes, correction) }])
    }),
    ("std", |c| {
        c.attrs.only("keepdim", false.into())?;
        Ok(vec![c.x()?.std(axes(c)?, correction(c)?)])
    }),
    ("var_mean", |c| {
        c.attrs.only("keepdim", false.into())?;
        let (var, mean) = (c.x()?.var(axes(c)?, correction(c)?), c.x()?.mean(axes(c)?));
        c.in_order(&[("var", &var), ("mean", &mean)])
    }),
    ("max_with_index", |c| {
        let (values, indices) = c.x()?.max(c.attrs.int("dim")?);
        with_index(c, &values, &indices)
    }),
    ("min_with_index", |c| {
        let (values, indices) = c.x()?.min(c.attrs.int("dim")?);
        with_index(c, &values, &indices)
    }),
    ("argmax", |c| {
        c.attrs.only("keepdim", false.into())?;
        Ok(vec![c.x()?.argmax(axes(c)?)])
    }),
    ("argmin", |c| {
        c.attrs.only("keepdim", false.into())?;
        Ok(vec![c.x()?.argmin(axes(c)?)])
    }),
];

fn with_index(c: &Call, values: &Tensor, indices: &Tensor) -> Result<Vec<Tensor>, Stop> {
    c.attrs.only("keepdim", false.into())?;
    c.in_order(&[("values", values), ("indices", indices)])
}

fn axes(c: &Call) -> Result<Axes, Stop> {
    Ok(c.attrs.ints("dim")?.map_or(Axes::All, Axes::from))
}

fn keeps(c: &Call) -> Result<bool, Stop> {
    c.attrs.flag("keepdim", false)
}

fn correction(c: &Call) -> Result<usize, Stop> {
    Ok(c.attrs.sizes("correction")?.and_then(|c| c.first().copied()).unwrap_or(1))
}
