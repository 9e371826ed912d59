use thalweg_graph::{Ellipsis, NewAxis, Tensor, s};

use crate::{Case, Draw, cases::floats};

/// Views and joins. Each is scaled by itself so that second derivatives are not zero.
pub fn movement() -> Vec<Case> {
    type View = fn(&Tensor) -> Tensor;
    let views: [(&str, View); 19] = [
        ("reshape", |x| x.reshape([4, 30])),
        ("flatten", |x| x.flatten(1..)),
        ("permute", |x| x.permute([2, 0, 1])),
        ("transpose", |x| x.transpose(0, -1)),
        ("reshape of permute", |x| x.permute([1, 2, 0]).reshape([-1])),
        ("expand", |x| x.unsqueeze(1).expand([4, 3, 6, 5])),
        ("subscript", |x| x.at(s![-1, NewAxis, ..;-2, 1..-1])),
        ("subscript with the rest", |x| x.at(s![Ellipsis, NewAxis, ..3;2])),
        ("slice", |x| x.slice(1, 2..5)),
        ("slice_step", |x| x.slice_step(1, 1.., 2)),
        ("slice backwards", |x| x.slice_step(2, .., -3)),
        ("select", |x| x.select(1, -2)),
        ("narrow", |x| x.narrow(0, 1, 2)),
        ("flip", |x| x.flip([0, 2])),
        ("pad", |x| x.pad(&[(1, 2), (0, 3)], 0.5)),
        ("pad by less", |x| x.pad(&[(-1, 2), (1, -2)], 0.0)),
        ("repeat", |x| x.repeat([2, 1, 3])),
        ("split", |x| x.split([1, 2, 2], 2).remove(1)),
        ("overlap", |x| x.slice(0, 1..) - x.slice(0, ..-1)),
    ];
    let mut cases: Vec<Case> = views
        .into_iter()
        .map(|(name, f)| Case::new(name, vec![floats(&[4, 6, 5])], move |x| f(&x[0].square())).terms(16))
        .collect();
    let pair = || vec![floats(&[4, 6, 5]), floats(&[4, 2, 5])];
    cases.push(Case::new("concat", pair(), |x| x[0].square().concat_with(&[x[1].exp()], 1)));
    cases.push(Case::new("concat of a view", pair(), |x| {
        x[0].t().concat_with(&[x[1].flip(1).t().square(), x[0].t()], -1)
    }));
    cases.push(Case::new("stack", vec![floats(&[3, 4]), floats(&[3, 4])], |x| {
        Tensor::stack([&x[0].square(), &x[1].sin(), &x[0]], 1)
    }));
    cases.push(
        Case::new("where of views", vec![Draw::Bools(vec![5, 6]), floats(&[6, 5]), floats(&[1, 6])], |x| {
            x[0].where_(x[1].t().square(), x[2].exp())
        })
        .terms(16),
    );
    cases
}
