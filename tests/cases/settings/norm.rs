use crate::{Case, Draw, cases::floats};

/// Normalisations without parameters, and norms of every order.
pub fn norm() -> Vec<Case> {
    let image = || vec![floats(&[2, 4, 3]), floats(&[4])];
    let mut cases = vec![
        Case::new("layer norm alone", vec![floats(&[3, 5])], |x| x[0].layer_norm(&[5], None, None, 1e-5)),
        Case::new("layer norm with a bias", vec![floats(&[3, 5]), floats(&[5])], |x| {
            x[0].layer_norm(&[5], None, Some(&x[1]), 1e-5)
        }),
        Case::new("rms norm alone", vec![floats(&[2, 3, 5])], |x| x[0].rms_norm(&[3, 5], None, 1e-6)),
        Case::new("group norm alone", image(), |x| x[0].group_norm(2, None, None, 1e-5) * x[1].sum(..)),
        Case::new("group norm of one group", image(), |x| x[0].group_norm(1, Some(&x[1]), None, 1e-5)),
        Case::new("instance norm with a bias", image(), |x| x[0].instance_norm(None, Some(&x[1]), 1e-5)),
        Case::new("local response norm of an odd window", vec![floats(&[2, 5, 2])], |x| {
            x[0].local_response_norm(3, 0.5, 1.5, 2.0)
        }),
        Case::new("local response norm of one", vec![floats(&[2, 3])], |x| x[0].local_response_norm(1, 0.5, 0.75, 1.0)),
        Case::new("weight norm of all", vec![floats(&[3, 4]), floats(&[1, 1])], |x| x[0].weight_norm(&x[1], None)),
        Case::new("weight norm of rows", vec![floats(&[3, 4]), floats(&[3, 1])], |x| x[0].weight_norm(&x[1], Some(0))),
        Case::new("cosine similarity of broadcast vectors", vec![floats(&[3, 1, 4]), floats(&[2, 4])], |x| {
            x[0].cosine_similarity(&x[1], -1, 1e-8)
        }),
        // Divided by ε, not by the norm.
        Case::new("normalize of the short", vec![floats(&[3, 5])], |x| x[0].normalize(2.0, 1, 100.0)),
        Case::new("cosine similarity of the short", vec![floats(&[3, 5]), floats(&[3, 5])], |x| {
            x[0].cosine_similarity(&x[1], 1, 100.0)
        }),
    ];
    // Apart, so that no difference changes its sign.
    let apart = || vec![Draw::Uniform(vec![3, 4], 1.0, 2.0), Draw::Uniform(vec![3, 4], -2.0, -1.0)];
    for p in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
        let name = |name: &str| format!("{name} of p = {p}, apart");
        let of_p = [
            Case::new(name("normalize"), apart(), move |x| x[0].normalize(p, 1, 1e-12) * &x[1]),
            Case::new(name("pairwise distance"), apart(), move |x| x[0].pairwise_distance(&x[1], p, 1e-6)),
            Case::new(name("cdist"), apart(), move |x| x[0].cdist(&x[1], p)),
        ];
        // A number of elements has no gradient.
        cases.extend(of_p.into_iter().map(|case| if p == 0.0 { case.kinked() } else { case }));
    }
    // Rows that are their own neighbours: the distance 0 has the slope 0 for every order.
    cases.push(Case::new("cdist of rows and themselves", vec![floats(&[3, 4])], |x| x[0].cdist(&x[0], 2.0)).kinked());
    cases
}
