use thalweg_graph::{Bags, Combine, Tensor};

use crate::{Case, Draw, cases::floats};

/// Writing at positions that are data, with positions that come twice, and reading at several at once.
pub fn scatter() -> Vec<Case> {
    let mut cases = Vec::new();
    for axis in 0..3usize {
        let mut part = vec![3, 4, 2];
        part[axis] = 7;
        let extent = [4, 5, 3][axis];
        let mut slab = vec![4, 5, 3];
        slab[axis] = 6;
        let spread = || vec![floats(&[4, 5, 3]), Draw::Index(part.clone(), extent), floats(&part)];
        let rows = || vec![floats(&[4, 5, 3]), Draw::Index(vec![6], extent), floats(&slab)];
        let name = |name: &str| format!("{name} along {axis}");
        cases.push(Case::new(name("scatter"), spread(), move |x| x[0].exp().scatter(axis, &x[1], &x[2].square())));
        cases.push(Case::new(name("scatter_value"), spread(), move |x| {
            x[0].square().scatter_value(axis, &x[1], 1.5) + x[2].sum(..)
        }));
        cases.push(Case::new(name("index_add"), rows(), move |x| {
            x[0].square().index_add(axis, &x[1], &x[2].exp(), 0.5)
        }));
        cases.push(Case::new(name("index_copy"), rows(), move |x| x[0].square().index_copy(axis, &x[1], &x[2].exp())));
        cases.push(Case::new(name("index_fill"), rows(), move |x| {
            x[0].square().index_fill(axis, &x[1], 2.0) + x[2].sum(..)
        }));
        // Each is a kernel of its own, so along one axis only.
        for combine in
            [Combine::Sum, Combine::Mean, Combine::Prod, Combine::Max, Combine::Min].into_iter().filter(|_| axis == 1)
        {
            for include_self in [true, false] {
                let f = move |x: &[Tensor]| x[0].scatter_reduce(axis, &x[1], &x[2], combine, include_self);
                let case = Case::new(format!("{} {combine:?} {include_self}", name("scatter_reduce")), spread(), f);
                let smooth = matches!(combine, Combine::Sum | Combine::Mean);
                cases.push(if smooth { case.terms(16) } else { case.terms(16).kinked() });
            }
        }
    }
    let at = || vec![floats(&[4, 5, 3]), Draw::Index(vec![6, 1], 4), Draw::Index(vec![2], 5)];
    cases.push(Case::new("index_at", at(), |x| x[0].square().index_at(&[&x[1], &x[2]])).terms(16));
    let put = || [at(), vec![floats(&[6, 2, 3])]].concat();
    cases.push(Case::new("index_put", put(), |x| x[0].square().index_put(&[&x[1], &x[2]], &x[3].exp(), false)));
    cases.push(
        Case::new("index_put added", put(), |x| x[0].square().index_put(&[&x[1], &x[2]], &x[3].exp(), true)).terms(16),
    );
    let inputs = vec![floats(&[4, 1, 3]), Draw::Index(vec![1, 6, 3], 1)];
    cases.push(Case::new("take_along", inputs, |x| x[0].square().take_along(1, &x[1])).terms(16));
    let inputs = vec![floats(&[4, 5]), Draw::Bools(vec![5]), floats(&[20])];
    cases.push(Case::new("masked_scatter", inputs, |x| x[0].square().masked_scatter(&x[1], &x[2].exp())));
    let inputs = vec![floats(&[7, 4]), Draw::Index(vec![5, 6], 7), floats(&[5, 6])];
    for combine in [Combine::Sum, Combine::Mean] {
        let f = move |x: &[Tensor]| {
            x[0].embedding_bag(&x[1], &Bags { weights: Some(&x[2]), padding: Some(3), ..Bags::new(combine) })
        };
        cases.push(Case::new(format!("embedding_bag {combine:?}"), inputs.clone(), f).terms(16));
    }
    let f = |x: &[Tensor]| x[0].embedding_bag(&x[1], &Bags::new(Combine::Max));
    cases.push(Case::new("embedding_bag Max", inputs[..2].to_vec(), f).kinked());
    let inputs = vec![floats(&[9]), floats(&[3, 5])];
    cases.push(Case::new("searchsorted", inputs, |x| {
        let order = x[0].detach().sort(0, false).0;
        &x[1] * order.searchsorted(&x[1].detach(), false) + x[0].sum(..)
    }));
    cases
}
