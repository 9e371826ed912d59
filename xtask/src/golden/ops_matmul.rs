//! Matrix products.

use std::collections::HashMap;

use super::{call::Table, slicing::subscript};

pub const MATMUL: Table = &[
    ("matmul", |c| {
        let (a, b) = c.pair()?;
        let a = if c.attrs.flag("transpose_a", false)? { a.t() } else { a.clone() };
        let b = if c.attrs.flag("transpose_b", false)? { b.t() } else { b.clone() };
        Ok(vec![a.matmul(&b)])
    }),
    ("matmul_of_slices", |c| {
        let (a, b) = c.pair()?;
        let k = HashMap::from([("k", c.attrs.int("k")?)]);
        let a = subscript(a, &c.attrs.word("a", "a[...]")?, &k)?;
        Ok(vec![a.matmul(&subscript(b, &c.attrs.word("b", "b[...]")?, &k)?)])
    }),
    ("matmul_self_transposed", |c| Ok(vec![c.x()?.matmul(&c.x()?.t())])),
    ("linear", |c| {
        let (x, w) = c.pair()?;
        let y = x.matmul(&w.t());
        Ok(vec![if let Some(b) = c.named("bias") { y + b } else { y }])
    }),
    ("addmm", |c| {
        let (y, a, b) = c.triple()?;
        Ok(vec![y * c.attrs.number_or("beta", 1.0)? + a.matmul(b) * c.attrs.number_or("alpha", 1.0)?])
    }),
    ("baddbmm", |c| {
        let (y, a, b) = c.triple()?;
        Ok(vec![y * c.attrs.number_or("beta", 1.0)? + a.matmul(b) * c.attrs.number_or("alpha", 1.0)?])
    }),
    ("dot", |c| {
        let (a, b) = c.pair()?;
        Ok(vec![a.dot(b)])
    }),
    ("outer", |c| {
        let (a, b) = c.pair()?;
        Ok(vec![a.outer(b)])
    }),
    ("bilinear", |c| {
        let (a, b, weight) = c.triple()?;
        Ok(vec![a.bilinear(b, weight, c.named("bias"))])
    }),
    ("einsum", |c| {
        let operands = c.all();
        let others: Vec<_> = operands.iter().skip(1).collect();
        Ok(vec![c.x()?.einsum(&c.attrs.word("equation", "")?, &others)])
    }),
];
