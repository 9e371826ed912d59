//! Elements at positions that other tensors hold.

use std::collections::HashMap;

use thalweg_graph::{
    Tensor,
    ops::{embedding::Bags, scatter::Combine},
};

use super::{
    call::{Call, Table},
    outcome::Stop,
    slicing::subscript,
};

pub const INDEX: Table = &[
    ("gather", |c| {
        let (x, index) = c.pair()?;
        Ok(vec![x.gather(c.attrs.int("dim")?, index)])
    }),
    ("scatter_add", |c| {
        let (x, index, src) = c.triple()?;
        Ok(vec![x.scatter_add(c.attrs.int("dim")?, index, src)])
    }),
    ("index_select", |c| {
        let (x, index) = c.pair()?;
        Ok(vec![x.index_select(c.attrs.int("dim")?, index)])
    }),
    ("embedding", |c| {
        let (weight, index) = c.pair()?;
        c.attrs.only("max_norm", serde_json::Value::Null)?;
        c.attrs.only("scale_grad_by_freq", false.into())?;
        // How a gradient is stored changes no number in it.
        c.attrs.flag("sparse", false)?;
        Ok(vec![match padding(c, weight)? {
            Some(padding) => weight.embedding_padded(index, padding),
            None => weight.embedding(index),
        }])
    }),
    ("one_hot", |c| {
        // Without a number of classes as many as there are.
        let classes = match usize::try_from(c.attrs.int_or("num_classes", -1)?) {
            Ok(classes) => classes,
            Err(_) => c.x()?.to_vec::<i64>()?.into_iter().max().map_or(0, |most| most as usize + 1),
        };
        Ok(vec![c.x()?.one_hot(classes)])
    }),
    ("index_pair", |c| Ok(vec![advanced(c, &c.attrs.word("expr", "")?)?])),
    ("take", |c| {
        let (x, index) = c.pair()?;
        Ok(vec![x.take(index)])
    }),
    ("take_along_dim", |c| {
        let (x, index) = c.pair()?;
        Ok(vec![match c.attrs.ints("dim")?.and_then(|d| d.first().copied()) {
            Some(dim) => x.take_along(dim, index),
            None => x.reshape([-1]).take_along(0, &index.reshape([-1])),
        }])
    }),
    ("masked_select", |c| {
        let (x, mask) = c.pair()?;
        Ok(vec![x.masked_select(mask)?])
    }),
    ("nonzero", |c| Ok(vec![c.x()?.nonzero()?])),
    ("unique", |c| {
        // Sorted, with everything there is to return: what PyTorch leaves out when not asked is not among the outputs.
        for flag in ["sorted", "return_inverse", "return_counts"] {
            c.attrs.flag(flag, true)?;
        }
        let found = c.x()?.unique()?;
        c.in_order(&[
            ("values", &found.values),
            ("y", &found.values),
            ("inverse", &found.inverse),
            ("counts", &found.counts),
        ])
    }),
    ("bincount", |c| {
        let min = usize::try_from(c.attrs.int_or("minlength", 0)?).map_err(|_| Stop::wrong("negative minlength"))?;
        Ok(vec![c.x()?.bincount(c.named("weights"), min)?])
    }),
    ("searchsorted", |c| {
        let (sequence, values) = c.pair()?;
        let sequence = match c.named("sorter") {
            Some(order) => sequence.take_along(-1, order),
            None => sequence.clone(),
        };
        c.attrs.flag("out_int32", false)?;
        let right = c.attrs.flag("right", false)? || c.attrs.word("side", "left")? == "right";
        Ok(vec![sequence.searchsorted(values, right)])
    }),
    ("bucketize", |c| {
        let (x, boundaries) = c.pair()?;
        c.attrs.flag("out_int32", false)?;
        Ok(vec![x.bucketize(boundaries, c.attrs.flag("right", false)?)])
    }),
    ("embedding_bag", |c| {
        let (weight, index) = c.pair()?;
        let mut bags = Bags::new(match c.attrs.word("mode", "mean")?.as_str() {
            "sum" => Combine::Sum,
            "mean" => Combine::Mean,
            "max" => Combine::Max,
            other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
        });
        let offsets = match (c.named("offsets"), c.attrs.flag("include_last_offset", false)?) {
            (Some(offsets), true) => Some(offsets.slice(0, ..-1)),
            (offsets, _) => offsets.cloned(),
        };
        bags.offsets = offsets.as_ref();
        bags.weights = c.named("per_sample_weights");
        bags.padding = padding(c, weight)?;
        c.attrs.only("max_norm", serde_json::Value::Null)?;
        c.attrs.only("scale_grad_by_freq", false.into())?;
        c.attrs.flag("sparse", false)?;
        Ok(vec![weight.embedding_bag(index, &bags)])
    }),
];

/// The row that counts for nothing; negative ones count from the back.
fn padding(c: &Call, weight: &Tensor) -> Result<Option<usize>, Stop> {
    let rows = weight.shape().first().map_or(0, |n| *n as isize);
    let row = c.attrs.ints("padding_idx")?.and_then(|row| row.first().copied());
    let wrapped = row.map(|row| usize::try_from(if row < 0 { row + rows } else { row }));
    wrapped.transpose().map_err(|_| Stop::wrong("no such padding_idx"))
}

/// `x[i, :, j[:, None]]`: index tensors at some axes, all of others.
fn advanced(c: &Call, expr: &str) -> Result<Tensor, Stop> {
    let bad = || Stop::Unsupported(format!("subscript {expr}"));
    let inside = expr.trim().strip_suffix(']').and_then(|e| e.split_once('[')).ok_or_else(bad)?.1;
    let mut depth = 0;
    let items: Vec<&str> = inside
        .split(|ch: char| {
            depth += isize::from(ch == '[') - isize::from(ch == ']');
            ch == ',' && depth == 0
        })
        .map(str::trim)
        .collect();
    let (mut axes, mut indices) = (Vec::new(), Vec::new());
    for (axis, item) in items.iter().enumerate().filter(|(_, item)| **item != ":") {
        let name = item.split('[').next().unwrap_or_default().trim();
        let index = c.named(name).ok_or_else(bad)?;
        indices.push(if name == *item { index.clone() } else { subscript(index, item, &HashMap::new())? });
        axes.push(axis as isize);
    }
    let x = c.x()?.movedim(&axes, &(0..axes.len() as isize).collect::<Vec<_>>());
    let y = x.index_at(&indices.iter().collect::<Vec<_>>());
    // Side by side the index tensors leave their axes where they were, otherwise in front.
    let together = axes.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let new: Vec<isize> = (0..(y.rank() + axes.len()).saturating_sub(x.rank()) as isize).collect();
    let first = if together { axes.first().copied().unwrap_or(0) } else { 0 };
    Ok(y.movedim(&new, &new.iter().map(|d| d + first).collect::<Vec<_>>()))
}
