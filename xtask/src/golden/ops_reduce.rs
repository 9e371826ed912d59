//! Reductions.

use thalweg_graph::{Tensor, shape::Axes};

use super::{
    call::{Call, Table},
    outcome::Stop,
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
        let (axes, correction) = (axes(c)?, correction(c)?);
        let var = if keeps(c)? { c.x()?.var_keepdim(axes, correction) } else { c.x()?.var(axes, correction) };
        Ok(vec![var.sqrt()])
    }),
    ("var_mean", |c| {
        let (x, axes, correction) = (c.x()?, axes(c)?, correction(c)?);
        let (var, mean) = match keeps(c)? {
            true => (x.var_keepdim(axes.clone(), correction), x.mean_keepdim(axes)),
            false => (x.var(axes.clone(), correction), x.mean(axes)),
        };
        c.in_order(&[("var", &var), ("mean", &mean)])
    }),
    ("max_with_index", |c| with_index(c, c.x()?.max(c.attrs.int("dim")?))),
    ("min_with_index", |c| with_index(c, c.x()?.min(c.attrs.int("dim")?))),
    ("argmax", |c| position(c, c.x()?.argmax(axes(c)?))),
    ("argmin", |c| position(c, c.x()?.argmin(axes(c)?))),
    ("any/all", |c| {
        let (any, all) = (any(c)?, all(c)?);
        c.in_order(&[("any", &any), ("all", &all)])
    }),
    ("any", |c| Ok(vec![any(c)?])),
    ("all", |c| Ok(vec![all(c)?])),
    ("count_nonzero", |c| {
        let x = match c.attrs.word("of", "x")?.as_str() {
            "x" => c.x()?.clone(),
            "x > 0" => c.x()?.gt(0.0),
            other => return Err(Stop::Unsupported(format!("attribute of = {other}"))),
        };
        Ok(vec![x.count_nonzero(axes(c)?)])
    }),
    ("vector_norm", |c| {
        let p = match c.attrs.number("ord")? {
            Some(p) => p,
            None => c.attrs.number_or("p", 2.0)?,
        };
        Ok(vec![if keeps(c)? { c.x()?.vector_norm_keepdim(p, axes(c)?) } else { c.x()?.vector_norm(p, axes(c)?) }])
    }),
];

/// Values and indices, with the axis kept if the case says so.
pub fn with_index(c: &Call, (values, indices): (Tensor, Tensor)) -> Result<Vec<Tensor>, Stop> {
    let kept = |t: Tensor| Ok::<_, Stop>(if keeps(c)? { t.unsqueeze(c.attrs.int_or("dim", -1)?) } else { t });
    let (values, indices) = (kept(values)?, kept(indices)?);
    c.in_order(&[("values", &values), ("indices", &indices)])
}

/// A position, with every axis kept that the case wants to keep.
fn position(c: &Call, at: Tensor) -> Result<Vec<Tensor>, Stop> {
    Ok(vec![match (keeps(c)?, c.attrs.ints("dim")?) {
        (false, _) => at,
        (true, Some(dim)) => dim.iter().fold(at, |at, dim| at.unsqueeze(*dim)),
        (true, None) => at.reshape(vec![1usize; c.x()?.rank()]),
    }])
}

fn any(c: &Call) -> Result<Tensor, Stop> {
    Ok(if keeps(c)? { c.x()?.any_keepdim(axes(c)?) } else { c.x()?.any(axes(c)?) })
}

fn all(c: &Call) -> Result<Tensor, Stop> {
    Ok(if keeps(c)? { c.x()?.all_keepdim(axes(c)?) } else { c.x()?.all(axes(c)?) })
}

fn axes(c: &Call) -> Result<Axes, Stop> {
    Ok(c.attrs.ints("dim")?.map_or(Axes::All, Axes::from))
}

pub fn keeps(c: &Call) -> Result<bool, Stop> {
    c.attrs.flag("keepdim", false)
}

fn correction(c: &Call) -> Result<usize, Stop> {
    Ok(c.attrs.sizes("correction")?.and_then(|c| c.first().copied()).unwrap_or(1))
}
