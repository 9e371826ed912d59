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
