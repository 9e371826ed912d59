use crate::{Case, Draw, cases::floats};

/// Gathers and scatters with repeated positions.
pub fn index() -> Vec<Case> {
    let mut cases = Vec::new();
    for axis in 0..3usize {
        let mut shape = vec![4, 5, 3];
        let extent = shape[axis] as u32;
        shape[axis] = 6;
        let positions = Draw::Index(shape.clone(), extent);
        let inputs = vec![floats(&[4, 5, 3]), positions.clone()];
        cases.push(
            Case::new(format!("gather along {axis}"), inputs, move |x| x[0].square().gather(axis, &x[1])).terms(16),
        );
        let inputs = vec![floats(&[4, 5, 3]), positions, floats(&shape)];
        let f = move |x: &[thalweg_graph::Tensor]| x[0].exp().scatter_add(axis, &x[1], &x[2].square());
        cases.push(Case::new(format!("scatter_add along {axis}"), inputs, f).terms(16));
        let inputs = vec![floats(&[4, 5, 3]), Draw::Index(vec![7], extent)];
        cases.push(
            Case::new(format!("index_select along {axis}"), inputs, move |x| x[0].square().index_select(axis, &x[1]))
                .terms(16),
        );
    }
    let inputs = vec![floats(&[4, 5, 3]), Draw::Index(vec![3, 6, 2], 5)];
    cases.push(Case::new("gather of a part", inputs, |x| x[0].square().gather(1, &x[1])).terms(16));
    let inputs = vec![floats(&[11, 6]), Draw::Index(vec![3, 8], 11)];
    cases.push(Case::new("embedding", inputs, |x| x[0].sin().embedding(&x[1])).terms(16));
    let at = || Draw::Index(vec![1], 6);
    for axis in 0..3usize {
        let f = move |x: &[thalweg_graph::Tensor]| x[0].square().dynamic_slice(axis, &x[1], 2);
        cases.push(Case::new(format!("dynamic slice along {axis}"), vec![floats(&[4, 5, 3]), at()], f));
        let mut shape = vec![4, 5, 3];
        shape[axis] = 2;
        let f = move |x: &[thalweg_graph::Tensor]| x[0].square().dynamic_update_slice(axis, &x[1], &x[2].exp());
        let inputs = vec![floats(&[4, 5, 3]), at(), floats(&shape)];
        cases.push(Case::new(format!("dynamic update along {axis}"), inputs, f));
    }
    let inputs = vec![floats(&[3]), Draw::Index(vec![64], 3), floats(&[64])];
    cases.push(Case::new("many writers", inputs, |x| x[0].scatter_add(0, &x[1], &x[2].square())).terms(64));
    let rows = || vec![floats(&[9, 4]), Draw::Index(vec![9], 5)];
    let case =
        |name: &str, f: fn(&[thalweg_graph::Tensor]) -> thalweg_graph::Tensor| Case::new(name, rows(), f).terms(16);
    // Of the four segments a row of the fifth belongs to none.
    cases.push(case("segment_sum", |x| x[0].square().segment_sum(&x[1], 4)));
    cases.push(case("segment_prod", |x| x[0].exp().segment_prod(&x[1], 4)));
    cases.push(case("segment_max", |x| x[0].exp().segment_max(&x[1], 5).maximum(-9.0)));
    cases.push(case("segment_min", |x| x[0].exp().segment_min(&x[1], 5).minimum(9.0)));
    cases
}
