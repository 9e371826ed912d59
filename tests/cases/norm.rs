use crate::{Case, Draw, cases::floats};

/// Softmax, normalisation and cross-entropy written out: rows that are swept several times.
pub fn norm(shapes: &[&[usize]]) -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in shapes {
        let (rows, cols) = (shape[0], shape[1]);
        let name = |name: &str| format!("{name} {shape:?}");
        for axis in [0isize, 1] {
            let name = |name: &str| format!("{name} along {axis} of {shape:?}");
            let terms = shape[axis as usize];
            cases.push(Case::new(name("softmax"), vec![floats(shape)], move |x| x[0].softmax(axis)).terms(terms));
            cases.push(
                Case::new(name("log_softmax"), vec![floats(shape)], move |x| x[0].log_softmax(axis)).terms(terms),
            );
        }
        let inputs = vec![floats(shape), floats(&[cols]), floats(&[cols])];
        cases.push(
            Case::new(name("layer norm"), inputs.clone(), |x| {
                let centred = &x[0] - x[0].mean_keepdim(-1);
                let var = centred.square().mean_keepdim(-1);
                centred * (var + 1e-5).rsqrt() * &x[1] + &x[2]
            })
            .terms(cols.max(rows)),
        );
        cases.push(
            Case::new(name("batch norm"), inputs, |x| {
                let centred = &x[0] - x[0].mean_keepdim(0);
                let var = centred.square().mean_keepdim(0);
                centred * (var + 1e-5).rsqrt() * &x[1] + &x[2]
            })
            .terms(4 * rows),
        );
        let inputs = vec![floats(shape), Draw::Index(vec![rows, 1], cols as u32)];
        cases.push(
            Case::new(name("cross-entropy"), inputs, |x| -x[0].log_softmax(1).gather(1, &x[1]).mean(..))
                .terms(rows * cols),
        );
    }
    cases
}

/// Normalisations of images, and norms and distances of vectors.
pub fn distance() -> Vec<Case> {
    let image = || vec![floats(&[2, 6, 3, 2]), floats(&[6]), floats(&[6])];
    let pair = || vec![floats(&[3, 5]), floats(&[3, 5])];
    let mut cases = vec![
        Case::new("layer norm over two axes", vec![floats(&[4, 3, 5]), floats(&[3, 5]), floats(&[3, 5])], |x| {
            x[0].layer_norm(&[3, 5], Some(&x[1]), Some(&x[2]), 1e-5)
        })
        .terms(60),
        Case::new("rms norm", vec![floats(&[4, 7]), floats(&[7])], |x| x[0].rms_norm(&[7], Some(&x[1]), 1e-6))
            .terms(28),
        Case::new("group norm", image(), |x| x[0].group_norm(3, Some(&x[1]), Some(&x[2]), 1e-5)).terms(144),
        Case::new("instance norm", image(), |x| x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-5)).terms(144),
        Case::new("local response norm", vec![floats(&[2, 6, 3])], |x| x[0].local_response_norm(4, 0.3, 0.75, 1.0))
            .terms(4),
        Case::new("weight norm", vec![floats(&[3, 2, 4]), floats(&[1, 2, 1])], |x| x[0].weight_norm(&x[1], Some(1)))
            .terms(24),
        Case::new("cosine similarity", pair(), |x| x[0].cosine_similarity(&x[1], 1, 1e-8)).terms(20),
    ];
    for p in [1.0, 1.5, 2.0, 3.0, f64::INFINITY] {
        let name = |name: &str| format!("{name} of p = {p}");
        cases.extend([
            Case::new(name("normalize"), vec![floats(&[3, 5])], move |x| x[0].normalize(p, 0, 1e-12))
                .terms(20)
                .kinked(),
            Case::new(name("pairwise distance"), pair(), move |x| x[0].pairwise_distance(&x[1], p, 1e-6))
                .terms(20)
                .kinked(),
            Case::new(name("cdist"), vec![floats(&[2, 3, 4]), floats(&[5, 4])], move |x| x[0].cdist(&x[1], p))
                .terms(40)
                .kinked(),
        ]);
    }
    cases
}
