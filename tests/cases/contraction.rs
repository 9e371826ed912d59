use thalweg_graph::ConvConfig;

use crate::{Case, cases::floats};

/// Matrix products of these shapes, also with either side transposed.
pub fn matmul(shapes: &[(&[usize], &[usize])]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (a, b) in shapes {
        let k = a[a.len() - 1];
        let turned = |s: &[usize]| {
            let mut s = s.to_vec();
            let n = s.len();
            s.swap(n - 1, n - 2);
            s
        };
        let pair = |a: &[usize], b: &[usize]| vec![floats(a), floats(b)];
        let name = |kind: &str| format!("matmul{kind} {a:?} {b:?}");
        cases.push(Case::new(name(""), pair(a, b), |x| x[0].matmul(&x[1])).terms(16 * k));
        cases.push(Case::new(name(" tn"), pair(&turned(a), b), |x| x[0].t().matmul(&x[1])).terms(16 * k));
        cases.push(Case::new(name(" nt"), pair(a, &turned(b)), |x| x[0].matmul(&x[1].t())).terms(16 * k));
    }
    cases.push(Case::new("dot", vec![floats(&[9]), floats(&[9])], |x| x[0].matmul(&x[1])).terms(9));
    cases.push(Case::new("matrix by vector", vec![floats(&[3, 9]), floats(&[9])], |x| x[0].matmul(&x[1])).terms(9));
    cases.push(Case::new("vector by matrix", vec![floats(&[9]), floats(&[9, 2])], |x| x[0].matmul(&x[1])).terms(9));
    cases.push(Case::new("x xᵀ", vec![floats(&[5, 7])], |x| x[0].matmul(&x[0].t())).terms(16 * 7));
    cases
}

/// Sums of products over named indices, and the products that have names.
pub fn einsum() -> Vec<Case> {
    let equations: [(&str, &[&[usize]]); 16] = [
        ("ij,jk->ik", &[&[3, 4], &[4, 2]]),
        ("bhid,bhjd->bhij", &[&[2, 3, 4, 5], &[2, 3, 2, 5]]),
        ("nchw,oc->nohw", &[&[2, 3, 4, 2], &[4, 3]]),
        ("bij,jk,bkl->bil", &[&[2, 3, 4], &[4, 5], &[2, 5, 2]]),
        ("i,j,k->kji", &[&[2], &[3], &[4]]),
        ("...ij,...jk->...ik", &[&[2, 3, 4], &[1, 4, 2]]),
        ("i...,ij->...j", &[&[3, 2, 2], &[3, 4]]),
        ("...i->...", &[&[2, 3, 4]]),
        ("b...,b...->b", &[&[2, 3, 4], &[2, 3, 4]]),
        ("iij->ji", &[&[3, 3, 2]]),
        ("iii,i", &[&[3, 3, 3], &[3]]),
        ("ii", &[&[4, 4]]),
        ("ij,ij->ij", &[&[3, 4], &[3, 1]]),
        ("ab,cd->", &[&[2, 3], &[3, 2]]),
        ("ba", &[&[2, 3]]),
        ("ik,jk,ij->k", &[&[2, 4], &[3, 4], &[2, 3]]),
    ];
    let mut cases = Vec::new();
    for (equation, shapes) in equations {
        let inputs = shapes.iter().map(|s| floats(s)).collect();
        let f = move |x: &[thalweg_graph::Tensor]| x[0].einsum(equation, &x[1..].iter().collect::<Vec<_>>());
        cases.push(Case::new(format!("einsum {equation}"), inputs, f).terms(512));
    }
    cases.push(Case::new("dot", vec![floats(&[7]), floats(&[7])], |x| x[0].dot(&x[1])).terms(7));
    cases.push(Case::new("outer", vec![floats(&[3]), floats(&[4])], |x| x[0].outer(&x[1])).terms(4));
    let inputs = vec![floats(&[2, 3]), floats(&[5, 2, 4]), floats(&[6, 3, 4]), floats(&[6])];
    cases.push(Case::new("bilinear", inputs, |x| x[0].bilinear(&x[1], &x[2], Some(&x[3]))).terms(512));
    cases
}

/// Convolutions over one to three axes with strides, padding, dilation and groups.
pub fn conv() -> Vec<Case> {
    let config = |stride: &[usize], padding: &[usize], dilation: &[usize], groups: usize| ConvConfig {
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
    };
    let settings: [(&[usize], &[usize], ConvConfig); 8] = [
        (&[2, 3, 9], &[4, 3, 3], config(&[2], &[1], &[1], 1)),
        (&[2, 3, 7, 8], &[4, 3, 3, 3], ConvConfig::default()),
        (&[1, 2, 9, 8], &[3, 2, 3, 2], config(&[2, 1], &[2, 0], &[1, 3], 1)),
        (&[2, 4, 6, 6], &[6, 2, 3, 3], config(&[1], &[1], &[1], 2)),
        (&[1, 4, 7, 5], &[8, 1, 3, 3], config(&[2], &[1], &[1], 4)),
        (&[2, 5, 4, 5], &[3, 5, 1, 1], ConvConfig::default()),
        (&[1, 3, 5, 5], &[2, 3, 5, 5], config(&[3], &[2], &[1], 1)),
        (&[1, 2, 4, 5, 3], &[2, 2, 2, 3, 2], config(&[1, 2, 1], &[1], &[1], 1)),
    ];
    let mut cases = Vec::new();
    for (x, w, config) in settings {
        let terms = 64 * w[1..].iter().product::<usize>();
        let name = format!("conv {x:?} {w:?} {config:?}");
        let c = config.clone();
        cases.push(Case::new(name, vec![floats(x), floats(w)], move |x| x[0].conv(&x[1], &c)).terms(terms));
        // The same setting the other way round: output channels of the weight are channels of the input.
        let mut y = x.to_vec();
        y[1] = w[0];
        let name = format!("conv_transpose {y:?} {w:?} {config:?}");
        cases.push(
            Case::new(name, vec![floats(&y), floats(w)], move |x| x[0].conv_transpose(&x[1], &config, &[0]))
                .terms(terms),
        );
    }
    cases
}
