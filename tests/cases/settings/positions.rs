use thalweg_graph::{Bags, Combine, Tensor};

use crate::{Case, Draw, cases::floats};

/// Reading and writing at positions that are data: what the families leave out.
pub fn positions() -> Vec<Case> {
    let table = || vec![floats(&[6, 3]), Draw::Index(vec![8], 5)];
    let matrix = || floats(&[4, 5]);
    let from_the_back = |x: &Tensor| x - 6;
    let mut cases = vec![
        Case::new("take", vec![matrix(), Draw::Index(vec![3, 2], 20)], |x| x[0].square().take(&(&x[1] - 20))),
        // Row 5 is never drawn: differences see a gradient where there is to be none.
        Case::new("embedding_padded elsewhere", table(), |x| x[0].sin().embedding_padded(&x[1], 5)),
        Case::new("index_at with one index", vec![matrix(), Draw::Index(vec![6], 4)], |x| {
            x[0].square().index_at(&[&x[1]])
        }),
        Case::new("index_at from the back", vec![floats(&[6]), Draw::Index(vec![2, 3], 6)], move |x| {
            x[0].square().index_at(&[&from_the_back(&x[1])])
        }),
        Case::new("index_put of a row", vec![matrix(), Draw::Index(vec![3], 4), floats(&[5])], |x| {
            x[0].square().index_put(&[&x[1]], &x[2].exp(), false)
        }),
        Case::new("index_put of a sum", vec![matrix(), Draw::Index(vec![9], 4), floats(&[])], |x| {
            x[0].square().index_put(&[&x[1]], &x[2].exp(), true)
        }),
        Case::new("index_fill from the back", vec![floats(&[6, 2]), Draw::Index(vec![3], 6)], move |x| {
            x[0].square().index_fill(0, &from_the_back(&x[1]), 1.0)
        }),
        Case::new("scatter of a part", vec![matrix(), Draw::Index(vec![2, 3], 5), floats(&[3, 4])], |x| {
            x[0].square().scatter(1, &x[1], &x[2].exp())
        }),
        Case::new("scatter_add of a part", vec![matrix(), Draw::Index(vec![2, 3], 5), floats(&[3, 4])], |x| {
            x[0].square().scatter_add(1, &x[1], &x[2].exp())
        }),
        Case::new("scatter of nothing", vec![matrix(), Draw::Index(vec![0, 5], 4), floats(&[0, 5])], |x| {
            x[0].square().scatter(0, &x[1], &x[2])
        }),
        Case::new("gather of nothing", vec![matrix(), Draw::Index(vec![0, 5], 4)], |x| {
            x[0].square().gather(0, &x[1]).sum(..) + x[0].square()
        }),
        Case::new("masked_scatter with too many", vec![matrix(), Draw::Bools(vec![4, 1]), floats(&[30])], |x| {
            x[0].square().masked_scatter(&x[1], &x[2].exp())
        }),
        Case::new("masked_select", vec![matrix(), Draw::Bools(vec![5])], |x| {
            x[0].square().masked_select(&x[1]).unwrap_or_else(|e| panic!("{e}"))
        }),
        Case::new("unique", vec![matrix()], |x| {
            let found = x[0].exp().unique().unwrap_or_else(|e| panic!("{e}"));
            found.values * Tensor::arange(x[0].device(), 20)
        }),
        Case::new("unique_along", vec![matrix()], |x| {
            let found = x[0].exp().unique_along(1).unwrap_or_else(|e| panic!("{e}"));
            found.values * Tensor::arange(x[0].device(), 5)
        }),
        Case::new("bincount", vec![Draw::Index(vec![9], 4), floats(&[9])], |x| {
            x[0].bincount(Some(&x[1].square()), 6).unwrap_or_else(|e| panic!("{e}"))
        }),
        Case::new("dynamic slice of all", vec![matrix()], |x| x[0].square().dynamic_slice(0, 3usize, 4)),
        Case::new("dynamic slice past the end", vec![matrix()], |x| x[0].square().dynamic_slice(1, 9usize, 2)),
        Case::new("dynamic slice from the back", vec![matrix()], |x| x[0].square().dynamic_slice(1, -2isize, 2)),
        Case::new("dynamic slice of nothing", vec![matrix()], |x| {
            x[0].square().dynamic_slice(1, 2usize, 0).sum(..) + x[0].square()
        }),
        Case::new("dynamic update at the end", vec![matrix(), floats(&[4, 2])], |x| {
            x[0].square().dynamic_update_slice(1, -1isize, &x[1].exp())
        }),
    ];
    cases.extend(bags());
    for combine in [Combine::Max, Combine::Min] {
        for include_self in [false, true] {
            // Of equal candidates each has its share, which differences along a line do not see; no two are.
            let inputs = vec![floats(&[3, 4]), Draw::Index(vec![6, 4], 3), floats(&[6, 4])];
            let f = move |x: &[Tensor]| x[0].exp().scatter_reduce(0, &x[1], &x[2].exp(), combine, include_self);
            cases.push(Case::new(format!("scatter_reduce {combine:?} of the first axis {include_self}"), inputs, f));
        }
    }
    cases
}

/// Bags that start where offsets say, one of them empty.
fn bags() -> Vec<Case> {
    let inputs = || vec![floats(&[6, 3]), Draw::Index(vec![8], 6), floats(&[8])];
    let mut cases = Vec::new();
    for combine in [Combine::Sum, Combine::Mean, Combine::Max] {
        for (padding, weighted) in [(None, false), (Some(2), true)] {
            let weighted = weighted && combine == Combine::Sum;
            let f = move |x: &[Tensor]| {
                let offsets = Tensor::from_slice(x[0].device(), &[0, 3, 3, 7], [4]);
                let weights = weighted.then_some(&x[2]);
                let bags = Bags { offsets: Some(&offsets), padding, weights, ..Bags::new(combine) };
                x[0].exp().embedding_bag(&x[1], &bags) + x[2].square().sum(..)
            };
            cases.push(Case::new(format!("embedding_bag with offsets {combine:?} {padding:?}"), inputs(), f));
        }
    }
    cases
}
