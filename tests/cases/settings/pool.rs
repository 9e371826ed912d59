use thalweg_graph::{GridSample, Outside, Pool, Resample, Resize, Target, Tensor};

use crate::{Case, Draw, cases::floats};

/// Pooling and sampling with the settings that the families leave out.
pub fn pool() -> Vec<Case> {
    let hanging = Pool { stride: vec![2], padding: vec![1], ceil_mode: true, ..Pool::new(&[3, 2]) };
    let uncounted = Pool { count_include_pad: false, ..hanging.clone() };
    let divided = Pool { divisor: Some(3), ..hanging.clone() };
    let sparse = Pool { stride: vec![3, 4], ..Pool::new(&[2, 1]) };
    let dilated = Pool { stride: vec![2], dilation: vec![2], padding: vec![1], ceil_mode: true, ..Pool::new(&[2, 3]) };
    let input = || vec![floats(&[2, 6, 7])];
    let mut cases = Vec::new();
    for pool in [hanging.clone(), uncounted, divided, sparse.clone()] {
        cases.push(Case::new(format!("avg_pool {pool:?}"), input(), move |x| x[0].square().avg_pool(&pool)));
    }
    for pool in [hanging.clone(), sparse, dilated] {
        // Distinct and positive, so that the largest of a window stays so.
        cases.push(Case::new(format!("max_pool {pool:?}"), input(), move |x| x[0].exp().max_pool(&pool)));
    }
    for p in [1.0, 2.0, 3.5, -1.0] {
        let (inputs, pool) = (vec![Draw::Uniform(vec![2, 6, 7], 0.5, 2.0)], hanging.clone());
        cases.push(Case::new(format!("lp_pool of p = {p}"), inputs, move |x| x[0].lp_pool(p, &pool)));
    }
    cases.extend([
        Case::new("max_pool2d", vec![floats(&[2, 4, 6])], |x| x[0].exp().max_pool2d(2)),
        Case::new("avg_pool2d", vec![floats(&[2, 5, 6])], |x| x[0].square().avg_pool2d(2)),
        Case::new("max_pool 3d", vec![floats(&[2, 4, 4, 3])], |x| x[0].exp().max_pool(&Pool::new(&[2, 2, 3]))),
        Case::new("max_pool of many axes", vec![floats(&[1, 2, 1, 2, 1, 4])], |x| {
            x[0].exp().max_pool(&Pool::new(&[1, 1, 2]))
        }),
        Case::new("adaptive_avg_pool to whole windows", vec![floats(&[2, 4, 6])], |x| {
            x[0].square().adaptive_avg_pool(&[2, 3])
        }),
        Case::new("adaptive_avg_pool to one", vec![floats(&[2, 4, 5])], |x| x[0].square().adaptive_avg_pool(&[1])),
        Case::new("adaptive_max_pool of a series", vec![floats(&[2, 7])], |x| x[0].exp().adaptive_max_pool(&[3])),
        Case::new("max_unpool of what was pooled", vec![floats(&[2, 4, 6])], |x| {
            let (y, at) = x[0].exp().max_pool_with_indices(&Pool::new(&[2, 3]));
            y.max_unpool(&at, &[4, 6])
        }),
    ]);
    cases.extend(sampling());
    cases
}

fn sampling() -> Vec<Case> {
    use Resample::*;
    let by = |factor: &[f64], mode| Resize { to: Target::Factor(factor.to_vec()), ..Resize::factor(1.0, mode) };
    let mut cases = Vec::new();
    for resize in [
        by(&[2.0, 3.0], Nearest),
        by(&[0.5, 1.3], NearestExact),
        Resize { align_corners: true, ..by(&[1.5, 0.7], Linear) },
        Resize { align_corners: true, ..Resize::size(&[1, 5], Cubic) },
        Resize { align_corners: true, antialias: true, ..Resize::size(&[2, 9], Linear) },
        Resize { antialias: true, ..by(&[0.4, 2.0], Cubic) },
    ] {
        let name = format!("interpolate {resize:?} of a small image");
        cases.push(Case::new(name, vec![floats(&[1, 2, 4, 6])], move |x| x[0].square().interpolate(&resize)));
    }
    for mode in [Nearest, Linear] {
        for outside in [Outside::Zeros, Outside::Border, Outside::Reflection] {
            let how = GridSample { mode, outside, align_corners: outside == Outside::Border };
            let inputs = vec![floats(&[1, 2, 2, 3, 2]), Draw::Uniform(vec![1, 2, 1, 2, 3], -1.7, 1.7)];
            cases.push(Case::new(format!("{how:?} of a volume"), inputs, move |x| {
                x[0].square().grid_sample(&x[1], &how)
            }));
        }
    }
    let map = |x: &[Tensor], align: bool| x[0].square().affine_grid(&[2, 1, 3], align);
    cases.push(Case::new("affine grid of a volume", vec![floats(&[1, 3, 4])], move |x| map(x, false)));
    cases.push(Case::new("affine grid of an image", vec![floats(&[2, 2, 3])], |x| {
        x[0].square().affine_grid(&[3, 1], true)
    }));
    cases
}
