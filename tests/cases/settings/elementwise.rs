use thalweg_graph::{DType, Tensor};

use super::constant::constant;
use crate::{Case, Draw, cases::floats};

/// Functions composed of the tables' rows: activations, bounds, quotients.
pub fn elementwise() -> Vec<Case> {
    type One = fn(&Tensor) -> Tensor;
    let smooth: [(&str, (f64, f64), One); 15] = [
        ("mish", (-3.0, 3.0), |x| x.mish()),
        ("logit", (0.1, 0.9), |x| x.logit(0.0)),
        ("softsign above 0", (0.1, 2.0), |x| x.softsign()),
        ("tanhshrink", (-2.0, 2.0), |x| x.tanhshrink()),
        ("selu below 0", (-2.0, -0.1), |x| x.selu()),
        ("celu below 0", (-2.0, -0.1), |x| x.celu(0.7)),
        ("hardswish between its pieces", (-2.9, 2.9), |x| x.hardswish()),
        ("log10", (0.3, 3.0), |x| x.log10()),
        ("powf(-1)", (0.3, 3.0), |x| x.powf(-1.0)),
        ("powf(-2)", (0.3, 3.0), |x| x.powf(-2.0)),
        ("powf(0.5)", (0.3, 3.0), |x| x.powf(0.5)),
        ("powf(-0.5)", (0.3, 3.0), |x| x.powf(-0.5)),
        ("powf(4) of negatives", (-2.0, 2.0), |x| x.powf(4.0)),
        ("powf(0)", (-2.0, 2.0), |x| x.powf(0.0) + x),
        ("trigamma below 0", (-0.8, -0.2), |x| x.trigamma()),
    ];
    let kinked: [(&str, One); 19] = [
        ("logit of what is limited", |x| (x * 0.25 + 0.5).logit(0.2)),
        ("softsign", |x| x.softsign()),
        ("celu", |x| x.celu(0.7)),
        ("selu", |x| x.selu()),
        ("hardtanh", |x| x.hardtanh(-0.6, 1.1)),
        ("relu6", |x| (x * 5.0).relu6()),
        ("hardsigmoid", |x| (x * 2.0).hardsigmoid()),
        ("hardswish", |x| (x * 2.0).hardswish()),
        ("hardshrink", |x| x.hardshrink(0.5)),
        ("softshrink", |x| x.softshrink(0.5)),
        ("threshold", |x| x.threshold(0.3, -1.5)),
        ("clamp_max", |x| x.clamp_max(0.4)),
        ("clamp without an inside", |x| x.clamp(1.0, -1.0) + x),
        ("frac", |x| (x * 3.0).frac()),
        ("nan_to_num", |x| x.nan_to_num(0.0, 1.0, -1.0).square()),
        ("floor_divide", |x| x.floor_divide(0.7) * x),
        ("remainder of a number", |x| x.remainder(-0.7) * x),
        ("fmod of a number", |x| x.fmod(0.7) * x),
        ("cast of a comparison", |x| x.gt(0.3).cast(x.dtype()) * x),
    ];
    let range = |low, high| vec![Draw::Uniform(vec![3, 7], low, high)];
    let mut cases: Vec<Case> =
        smooth.into_iter().map(|(name, (low, high), f)| Case::new(name, range(low, high), move |x| f(&x[0]))).collect();
    cases.extend(kinked.into_iter().map(|(name, f)| Case::new(name, range(-2.0, 2.0), move |x| f(&x[0])).kinked()));
    cases.extend(pairs());
    cases
}

/// Functions of two and three operands.
fn pairs() -> Vec<Case> {
    let pair = || vec![floats(&[2, 1, 5]), floats(&[3, 1])];
    let halves = || vec![floats(&[2, 6])];
    let bounds = vec![floats(&[3, 5]), Draw::Uniform(vec![5], -1.5, 0.2), Draw::Uniform(vec![3, 1], -0.3, 1.4)];
    let masked = || vec![floats(&[3, 5]), Draw::Bools(vec![5])];
    vec![
        Case::new("glu", halves(), |x| x[0].glu(-1)),
        Case::new("swiglu", halves(), |x| x[0].swiglu(0)),
        Case::new("prelu", pair(), |x| x[0].prelu(&x[1])).kinked(),
        Case::new("hypot", pair(), |x| x[0].hypot(&x[1])).kinked(),
        Case::new(
            "hypot of positives",
            vec![Draw::Uniform(vec![4], 1.0, 2.0), Draw::Uniform(vec![4], 0.1, 0.9)],
            |x| x[0].hypot(&x[1]),
        ),
        Case::new("logaddexp", pair(), |x| (&x[0] * 4.0).logaddexp(&x[1])),
        Case::new("logaddexp of itself", vec![floats(&[5])], |x| x[0].logaddexp(&x[0])),
        Case::new("logaddexp of nothing", vec![floats(&[5])], |x| {
            let none = constant(&x[0], f64::NEG_INFINITY);
            x[0].square().logaddexp(&none) + none.logaddexp(x[0].exp())
        }),
        Case::new("copysign", pair(), |x| x[0].copysign(&x[1])).kinked(),
        Case::new("clamp_between", bounds, |x| x[0].clamp_between(&x[1], &x[2])).kinked(),
        Case::new("masked_fill", masked(), |x| x[0].square().masked_fill(&x[1], 2.0)),
        Case::new("where of numbers", masked(), |x| x[1].where_(2.0, -1.0) * x[0].square()),
        Case::new("pow of a number", vec![floats(&[5])], |x| {
            Tensor::scalar(x[0].device(), 1.7, x[0].dtype()).pow(&x[0])
        }),
        Case::new("pow of negatives by whole numbers", vec![floats(&[5]), Draw::Index(vec![5], 4)], |x| {
            x[0].pow(x[1].cast(DType::F32))
        }),
        Case::new("pow at 0", vec![Draw::Given(vec![3], vec![0.0, 0.0, 1.5])], |x| x[0].pow(2.0) + x[0].pow(1.0)),
    ]
}
