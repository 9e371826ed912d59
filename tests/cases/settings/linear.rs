use thalweg_graph::{ConvConfig, NewtonSchulz, Tensor};

use crate::{Case, cases::floats};

/// Products of every rank, sums over named axes, convolutions with uneven borders.
pub fn linear() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[4], &[2, 4, 3]),
        (&[2, 3, 4], &[4]),
        (&[1, 3, 4], &[2, 4, 2]),
        (&[2, 1, 3, 4], &[1, 4, 2]),
        (&[2, 3, 4], &[1, 1, 4, 2]),
        (&[3, 0], &[0, 2]),
    ];
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(a, b)| {
            Case::new(format!("matmul {a:?} {b:?}"), vec![floats(a), floats(b)], |x| {
                x[0].matmul(&x[1]) + x[0].square().sum(..)
            })
        })
        .collect();
    let equations: [(&str, &[&[usize]]); 14] = [
        ("ij,jkl->ik", &[&[2, 3], &[3, 4, 2]]),
        ("ijm,jk->ik", &[&[2, 3, 2], &[3, 4]]),
        ("i,i", &[&[4], &[4]]),
        ("i,i->i", &[&[4], &[1]]),
        ("ij->", &[&[2, 3]]),
        ("ii->i", &[&[3, 3]]),
        ("iij->i", &[&[3, 3, 2]]),
        ("aab,b->a", &[&[3, 3, 2], &[2]]),
        ("ij,kl->ijkl", &[&[2, 3], &[2, 2]]),
        (",ij->ji", &[&[], &[2, 3]]),
        ("...j,...j->...", &[&[2, 3, 4], &[3, 4]]),
        ("i...,i...->...", &[&[3, 2, 2], &[3, 1, 2]]),
        ("bij,bjk,bk->bi", &[&[2, 3, 4], &[2, 4, 2], &[2, 2]]),
        ("ab,ab,ab->", &[&[2, 3], &[2, 3], &[2, 3]]),
    ];
    for (equation, shapes) in equations {
        let inputs = shapes.iter().map(|s| floats(s)).collect();
        let f = move |x: &[Tensor]| x[0].einsum(equation, &x[1..].iter().collect::<Vec<_>>());
        cases.push(Case::new(format!("einsum {equation}"), inputs, f));
    }
    cases.push(Case::new("bilinear without a bias", vec![floats(&[2]), floats(&[3]), floats(&[4, 2, 3])], |x| {
        x[0].bilinear(&x[1], &x[2], None)
    }));
    for (m, n) in [(3, 5), (5, 3), (3, 3)] {
        let how = NewtonSchulz { steps: 2, ..NewtonSchulz::default() };
        cases.push(Case::new(format!("orthogonalise {m} by {n}"), vec![floats(&[2, m, n])], move |x| {
            x[0].orthogonalise(&how)
        }));
    }
    cases.push(Case::new("orthogonalise exactly", vec![floats(&[2, 4])], |x| {
        x[0].orthogonalise(&NewtonSchulz::exact(3))
    }));
    cases.extend(convolutions());
    cases
}

fn convolutions() -> Vec<Case> {
    let config = |stride: usize, padding: usize, dilation: usize, groups: usize| ConvConfig {
        stride: vec![stride],
        padding: vec![padding],
        dilation: vec![dilation],
        groups,
    };
    let padded = vec![floats(&[2, 2, 5, 4]), floats(&[3, 2, 2, 3])];
    let transposed = || vec![floats(&[2, 4, 3, 3]), floats(&[4, 3, 3, 2])];
    vec![
        Case::new("conv_padded", padded.clone(), move |x| {
            x[0].conv_padded(&x[1], &config(2, 0, 1, 1), &[(0, 2), (3, 1)])
        }),
        Case::new("conv2d", padded, move |x| x[0].conv2d(&x[1], &config(1, 1, 1, 1))),
        Case::new("conv of two outputs of itself", vec![floats(&[2, 2, 3])], |x| {
            x[0].conv(&x[0], &ConvConfig::default())
        }),
        Case::new("conv_transpose with output padding", transposed(), move |x| {
            x[0].conv_transpose(&x[1], &config(3, 1, 1, 1), &[2, 1])
        }),
        Case::new("conv_transpose of groups", transposed(), move |x| {
            x[0].conv_transpose(&x[1], &config(2, 1, 2, 2), &[1])
        }),
        Case::new("conv of groups, strided and dilated", vec![floats(&[1, 4, 9]), floats(&[4, 2, 3])], move |x| {
            x[0].conv(&x[1], &config(2, 2, 2, 2))
        }),
    ]
}
