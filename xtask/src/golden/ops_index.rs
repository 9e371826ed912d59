//! Elements at positions that other tensors hold.

use super::{Stop, call::Table};

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
        Ok(vec![weight.embedding(index)])
    }),
    ("one_hot", |c| {
        let classes = usize::try_from(c.attrs.int("num_classes")?).map_err(|_| Stop::wrong("negative num_classes"))?;
        Ok(vec![c.x()?.one_hot(classes)])
    }),
];
