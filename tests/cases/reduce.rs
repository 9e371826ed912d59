use thalweg_graph::{Axes, Tensor, shape::count};

use crate::{Case, Draw, cases::floats};

/// Every reduction over every single axis, all axes, and the first with the last.
pub fn reduce(shapes: &[&[usize]]) -> Vec<Case> {
    type Reduction = fn(&Tensor, Axes) -> Tensor;
    let smooth: [(&str, Reduction); 6] = [
        ("sum", |x, a| x.sum(a)),
        ("sum_keepdim", |x, a| x.sum_keepdim(a)),
        ("mean", |x, a| x.mean(a)),
        ("var", |x, a| x.var(a, 1)),
        ("logsumexp", |x, a| x.logsumexp(a)),
        ("prod", |x, a| (x * 0.3 + 1.0).prod(a)),
    ];
    let kinked: [(&str, Reduction); 2] = [("amax", |x, a| x.amax(a)), ("amin", |x, a| x.amin(a))];
    let mut cases = Vec::new();
    for shape in shapes {
        let rank = shape.len() as isize;
        let mut sets: Vec<Axes> = (0..rank).map(Axes::from).collect();
        sets.push(Axes::All);
        if rank > 1 {
            sets.push(Axes::from([0, -1]));
        }
        for axes in sets {
            let terms = axes.of(shape).map_or(1, |a| a.iter().map(|a| shape[*a]).product());
            if terms < 2 {
                continue;
            }
            let name = |name: &str| format!("{name} over {axes:?} of {shape:?}");
            for (op, f) in smooth {
                // A long product underflows.
                if op == "prod" && terms > 64 {
                    continue;
                }
                let axes = axes.clone();
                cases.push(Case::new(name(op), vec![floats(shape)], move |x| f(&x[0], axes.clone())).terms(terms));
            }
            for (op, f) in kinked {
                let axes = axes.clone();
                cases.push(Case::new(name(op), vec![floats(shape)], move |x| f(&x[0], axes.clone())).kinked());
            }
        }
        for axis in 0..rank {
            let name = |name: &str| format!("{name} along {axis} of {shape:?}");
            cases.push(Case::new(name("max"), vec![floats(shape)], move |x| x[0].max(axis).0).kinked());
            cases.push(Case::new(name("min"), vec![floats(shape)], move |x| x[0].min(axis).0).kinked());
        }
    }
    cases
}

/// Sums of a strided view: nothing about the input is contiguous.
pub fn strided(rows: usize, cols: usize) -> Case {
    let inputs = vec![Draw::Uniform(vec![rows, cols], -1.0, 1.0)];
    Case::new(format!("sum of a strided view of [{rows}, {cols}]"), inputs, |x| {
        x[0].slice_step(0, 1.., 2).t().slice_step(0, .., 3).sum(0)
    })
    .terms(count(&[cols]))
}
