use thalweg_graph::{Axes, Combine, Tensor};

use super::constant::constant;
use crate::{Case, Draw, cases::floats};

/// Norms of every order, products with zeros, and what keeps its axes.
pub fn reduce() -> Vec<Case> {
    let mut cases = norms();
    cases.extend(zeros());
    type Reduction = fn(&Tensor, Axes) -> Tensor;
    let smooth: [(&str, Reduction); 8] = [
        ("std", |x, a| x.std(a, 1)),
        ("biased var", |x, a| x.var(a, 0)),
        ("var_keepdim", |x, a| x.var_keepdim(a, 1) * x),
        ("mean_keepdim", |x, a| x.mean_keepdim(a) * x),
        ("prod_keepdim", |x, a| x.prod_keepdim(a) * x),
        ("logsumexp_keepdim", |x, a| x.logsumexp_keepdim(a) * x),
        ("centred", |x, a| (x - x.mean_keepdim(a)).square()),
        ("sum of no axes", |x, _| x.square().sum([] as [isize; 0])),
    ];
    let kinked: [(&str, Reduction); 2] =
        [("amax_keepdim", |x, a| x.amax_keepdim(a) * x), ("amin_keepdim", |x, a| x.amin_keepdim(a) * x)];
    for axes in [Axes::from(1), Axes::from([0, -1]), Axes::All] {
        let name = |name: &str| format!("{name} over {axes:?}");
        let case = |op: &str, f: Reduction| {
            let axes = axes.clone();
            Case::new(name(op), vec![floats(&[2, 3, 4])], move |x| f(&x[0], axes.clone()))
        };
        cases.extend(smooth.iter().map(|(op, f)| case(op, *f)));
        cases.extend(kinked.iter().map(|(op, f)| case(op, *f).kinked()));
    }
    cases.extend([
        Case::new("softmin", vec![floats(&[3, 5])], |x| x[0].softmin(0)),
        Case::new("logsumexp with -∞", vec![floats(&[3, 5])], |x| {
            let none = constant(&x[0], f64::NEG_INFINITY);
            none.concat_with(&[x[0].square()], 1).logsumexp(1)
        }),
        Case::new("max over an axis of one", vec![floats(&[3, 1])], |x| x[0].square().max(1).0),
    ]);
    cases
}

fn norms() -> Vec<Case> {
    let mut cases = Vec::new();
    for p in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
        for axes in [Axes::from(1), Axes::from([0, -1]), Axes::All] {
            let name = format!("vector_norm of p = {p} over {axes:?}");
            // Of no order is the slope steep where nothing is near 0.
            let inputs = vec![Draw::Uniform(vec![2, 3, 4], 0.4, 2.0)];
            let case = Case::new(name, inputs, move |x| {
                (-&x[0]).vector_norm(p, axes.clone()) + x[0].vector_norm_keepdim(p, axes.clone()).sum(..)
            });
            cases.push(if p == 0.0 { case.kinked() } else { case });
        }
    }
    // Three orders have a slope at elements that are 0, and it is 0.
    for p in [2.0, 3.0, 1.5] {
        let given = Draw::Given(vec![2, 3], vec![0.0, 1.5, -0.5, 0.7, 0.0, 0.0]);
        let case =
            Case::new(format!("vector_norm of p = {p} with zeros"), vec![given], move |x| x[0].vector_norm(p, 1));
        cases.push(if p == 1.5 { case.kinked() } else { case });
    }
    cases
}

/// A product is smooth where factors are 0.
fn zeros() -> Vec<Case> {
    let none_one_two =
        || vec![Draw::Given(vec![3, 4], [0.5, -2.0, 1.5, 3.0, 0.0, -1.0, 2.0, 0.7, 1.2, 0.0, -0.8, 0.0].into())];
    let three = || vec![Draw::Given(vec![4], vec![0.0, 0.0, 1.5, 0.0])];
    let long = || {
        let value = |i: i32| if i == 3 || i == 40 { 0.0 } else { 1.0 + 0.01 * f64::from(i) * f64::from(i % 3 - 1) };
        vec![Draw::Given(vec![45], (0..45).map(value).collect())]
    };
    let scattered = || [none_one_two(), vec![Draw::Index(vec![2, 4], 3), floats(&[2, 4])]].concat();
    let mut cases = vec![
        Case::new("prod of rows with zeros", none_one_two(), |x| x[0].prod(1)),
        Case::new("prod of columns with zeros", none_one_two(), |x| x[0].prod_keepdim(0)),
        Case::new("prod of all with zeros", none_one_two(), |x| x[0].prod(..)),
        Case::new("prod with three zeros", three(), |x| x[0].prod(0)),
        Case::new("cumprod with zeros", none_one_two(), |x| x[0].cumprod(1)),
        Case::new("cumprod with three zeros", three(), |x| x[0].cumprod(0)),
        Case::new("cumprod of blocks with zeros", long(), |x| x[0].cumprod(0)),
    ];
    for include_self in [false, true] {
        cases.push(Case::new(format!("scatter_reduce Prod with zeros {include_self}"), scattered(), move |x| {
            x[0].scatter_reduce(0, &x[1], &x[2], Combine::Prod, include_self)
        }));
    }
    cases
}
