//! Gradients where there is more than one, or none: what the documentation says of them.

use thalweg::nn::Losses;
use thalweg_graph::{Combine, Interpolation, Pool, Tensor};
use thalweg_tests::strict;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// The gradients of the sum of a function of vectors.
fn gradients(inputs: &[&[f64]], f: impl Fn(&[Tensor]) -> Tensor) -> Vec<Vec<f64>> {
    let device = strict();
    let inputs: Vec<Tensor> = inputs.iter().map(|x| Tensor::from_slice(&device, x, [x.len()]).track()).collect();
    let grads = f(&inputs).sum(..).backward().unwrap_or_else(|e| panic!("{e}"));
    let of = |x: &Tensor| match grads.get(x) {
        Some(g) => g.to_vec::<f64>().unwrap_or_else(|e| panic!("{e}")),
        None => vec![0.0; x.count()],
    };
    inputs.iter().map(of).collect()
}

#[test]
fn of_one_number() {
    type One = fn(&Tensor) -> Tensor;
    let rows: [(&str, One, &[f64], &[f64]); 27] = [
        ("abs", |x| x.abs(), &[0.0, -0.0, NAN], &[0.0, 0.0, NAN]),
        ("relu", |x| x.relu(), &[0.0, -0.0, 1.0], &[0.0, 0.0, 1.0]),
        ("sign", |x| x.sign() + x * 0.0, &[0.0, 2.0], &[0.0, 0.0]),
        ("floor", |x| x.floor() + x * 0.0, &[1.0, 2.5], &[0.0, 0.0]),
        ("clamp", |x| x.clamp(-1.0, 1.0), &[-1.0, 1.0, 0.5], &[0.0, 0.0, 1.0]),
        ("clamp_min", |x| x.clamp_min(0.5), &[0.5, 0.6], &[0.0, 1.0]),
        ("clamp_max", |x| x.clamp_max(0.5), &[0.5, 0.4], &[0.0, 1.0]),
        ("leaky_relu", |x| x.leaky_relu(0.1), &[0.0], &[0.1]),
        ("elu", |x| x.elu(1.5), &[0.0], &[1.5]),
        ("celu", |x| x.celu(1.5), &[0.0], &[1.0]),
        ("relu6", |x| x.relu6(), &[0.0, 6.0], &[0.0, 0.0]),
        ("hardsigmoid", |x| x.hardsigmoid(), &[-3.0, 3.0], &[0.0, 0.0]),
        ("hardswish", |x| x.hardswish(), &[-3.0, 3.0], &[0.0, 1.0]),
        ("hardshrink", |x| x.hardshrink(0.5), &[-0.5, 0.5, 0.6], &[0.0, 0.0, 1.0]),
        ("softshrink", |x| x.softshrink(0.5), &[-0.5, 0.5, 0.6], &[0.0, 0.0, 1.0]),
        ("threshold", |x| x.threshold(0.5, 2.0), &[0.5, 0.6], &[0.0, 1.0]),
        ("softsign", |x| x.softsign(), &[0.0], &[1.0]),
        ("logit", |x| x.logit(0.25), &[0.25, 0.75, 0.5], &[0.0, 0.0, 4.0]),
        ("sqrt", |x| x.sqrt(), &[0.0], &[INF]),
        ("powf", |x| x.powf(0.0), &[0.0, 2.0], &[0.0, 0.0]),
        ("pow of 0", |x| x.pow(1.0), &[0.0], &[1.0]),
        ("nan_to_num", |x| x.nan_to_num(0.0, 1.0, -1.0), &[NAN, INF, -INF, 2.0], &[0.0, 0.0, 0.0, 1.0]),
        ("frac", |x| x.frac(), &[1.0], &[1.0]),
        ("std", |x| x.std(0, 0), &[2.0, 2.0], &[0.0, 0.0]),
        ("vector_norm", |x| x.vector_norm(2.0, 0), &[0.0, 0.0], &[0.0, 0.0]),
        ("vector_norm of p = 1", |x| x.vector_norm(1.0, 0), &[0.0, -2.0], &[0.0, -1.0]),
        ("vector_norm of p = ∞", |x| x.vector_norm(INF, 0), &[-2.0, 2.0, 1.0], &[-0.5, 0.5, 0.0]),
    ];
    for (name, f, x, want) in rows {
        same(name, &gradients(&[x], |x| f(&x[0]))[0], want);
    }
}

#[test]
fn of_equal_elements() {
    type One = fn(&Tensor) -> Tensor;
    let x: &[f64] = &[1.0, 3.0, 3.0, 0.0, 0.0];
    let rows: [(&str, One, &[f64]); 18] = [
        ("amax", |x| x.amax(0), &[0.0, 0.5, 0.5, 0.0, 0.0]),
        ("amin", |x| x.amin(0), &[0.0, 0.0, 0.0, 0.5, 0.5]),
        ("max", |x| x.max(0).0, &[0.0, 1.0, 0.0, 0.0, 0.0]),
        ("min", |x| x.min(0).0, &[0.0, 0.0, 0.0, 1.0, 0.0]),
        ("cummax", |x| x.cummax(0).0, &[1.0, 1.0, 3.0, 0.0, 0.0]),
        ("cummin", |x| x.cummin(0).0, &[3.0, 0.0, 0.0, 1.0, 1.0]),
        ("sort", |x| x.sort(0, false).0.select(0, 0), &[0.0, 0.0, 0.0, 1.0, 0.0]),
        ("sort descending", |x| x.sort(0, true).0.select(0, 0), &[0.0, 1.0, 0.0, 0.0, 0.0]),
        ("topk", |x| x.topk(1, 0, true).0, &[0.0, 1.0, 0.0, 0.0, 0.0]),
        ("kthvalue", |x| x.kthvalue(5, 0).0, &[0.0, 0.0, 1.0, 0.0, 0.0]),
        ("median", |x| x.slice(0, 1..).median(0).0, &[0.0, 0.0, 0.0, 0.0, 1.0]),
        ("quantile", |x| x.quantile(0.0, 0, Interpolation::Lower), &[0.0, 0.0, 0.0, 1.0, 0.0]),
        ("max_pool", |x| x.max_pool(&Pool::new(&[5])), &[0.0, 1.0, 0.0, 0.0, 0.0]),
        ("adaptive_max_pool", |x| x.adaptive_max_pool(&[1]), &[0.0, 1.0, 0.0, 0.0, 0.0]),
        ("logsumexp", |x| x.slice(0, 1..3).logsumexp(0), &[0.0, 0.5, 0.5, 0.0, 0.0]),
        ("prod", |x| x.prod(0), &[0.0; 5]),
        ("prod of one zero", |x| x.slice(0, ..4).prod(0), &[0.0, 0.0, 0.0, 9.0, 0.0]),
        ("cdist", |x| x.unsqueeze(0).cdist(&x.unsqueeze(0), 2.0), &[0.0; 5]),
    ];
    for (name, f, want) in rows {
        same(name, &gradients(&[x], |x| f(&x[0]))[0], want);
    }
    // What is not a number is the extreme; nothing is equal to it.
    same("amax of NaN", &gradients(&[&[1.0, NAN]], |x| x[0].amax(0))[0], &[0.0, 0.0]);
    same("max of NaN", &gradients(&[&[1.0, NAN]], |x| x[0].max(0).0)[0], &[0.0, 1.0]);
}

#[test]
fn of_two() {
    type Two = fn(&Tensor, &Tensor) -> Tensor;
    let rows: [(&str, Two, [&[f64]; 2], [&[f64]; 2]); 13] = [
        ("maximum", |a, b| a.maximum(b), [&[1.0, 2.0], &[1.0, NAN]], [&[0.5, 0.0], &[0.5, 0.0]]),
        ("minimum", |a, b| a.minimum(b), [&[1.0, 2.0], &[1.0, 3.0]], [&[0.5, 1.0], &[0.5, 0.0]]),
        (
            "clamp_between",
            |a, b| a.clamp_between(b, b + 1.0) + a.clamp_between(b - 1.0, b),
            [&[1.0, 2.0, 0.0], &[1.0, 1.0, 1.0]],
            [&[1.0, 0.5, 0.5], &[1.0, 1.5, 1.5]],
        ),
        ("prelu", |a, b| a.prelu(b), [&[0.0, -2.0], &[0.5, 0.5]], [&[0.5, 0.5], &[0.0, -2.0]]),
        ("pow", |a, b| a.pow(b), [&[0.0, 0.0], &[0.0, 2.0]], [&[0.0, 0.0], &[0.0, 0.0]]),
        ("copysign", |a, b| a.copysign(b), [&[0.0, 2.0], &[1.0, -0.0]], [&[0.0, -1.0], &[0.0, 0.0]]),
        ("hypot", |a, b| a.hypot(b), [&[3.0, INF], &[4.0, 1.0]], [&[0.6, NAN], &[0.8, 0.0]]),
        (
            "logaddexp",
            |a, b| a.logaddexp(b),
            [&[1.0, 1.0, -INF], &[1.0, -INF, 1.0]],
            [&[0.5, 1.0, 0.0], &[0.5, 0.0, 1.0]],
        ),
        ("floor_divide", |a, b| a.floor_divide(b) + a * 0.0, [&[7.0], &[2.0]], [&[0.0], &[0.0]]),
        ("l1", |a, b| a.l1_loss(b), [&[1.0], &[1.0]], [&[0.0], &[0.0]]),
        ("smooth l1", |a, b| a.smooth_l1_loss(b), [&[2.0], &[1.0]], [&[1.0], &[-1.0]]),
        ("huber", |a, b| a.huber_loss(b), [&[2.0], &[1.0]], [&[1.0], &[-1.0]]),
        ("pairwise_distance", |a, b| a.pairwise_distance(b, 2.0, 0.0), [&[1.0], &[1.0]], [&[0.0], &[0.0]]),
    ];
    for (name, f, inputs, want) in rows {
        let got = gradients(&inputs, |x| f(&x[0], &x[1]));
        same(&format!("{name}, left"), &got[0], want[0]);
        same(&format!("{name}, right"), &got[1], want[1]);
    }
}

/// What the smaller one adds is far below the digits of 1, and has all of its own.
#[test]
fn of_shares() {
    let got = gradients(&[&[40.0, -7.0], &[0.0, 33.0]], |x| x[0].logaddexp(&x[1]));
    let share = (-40.0f64).exp();
    assert!((got[1][0] / share - 1.0).abs() < 1e-9 && (got[0][1] / share - 1.0).abs() < 1e-9, "{got:?}");
    assert_eq!((got[0][0], got[1][1]), (1.0, 1.0));
}

#[test]
fn of_positions() {
    let at = |x: &[Tensor], values: &[i32]| Tensor::from_slice(x[0].device(), values, [values.len()]);
    let pair: [&[f64]; 2] = [&[3.0, 1.0], &[3.0, 2.0, 3.0]];
    // What a slot holds, and each source that names it, share where they are equal.
    let got = gradients(&pair, |x| x[0].scatter_reduce(0, &at(x, &[0, 0, 0]), &x[1], Combine::Max, true));
    same("scatter_reduce, self", &got[0], &[1.0 / 3.0, 1.0]);
    same("scatter_reduce, sources", &got[1], &[1.0 / 3.0, 0.0, 1.0 / 3.0]);
    let got = gradients(&pair, |x| x[0].scatter(0, &at(x, &[1, 1, 1]), &x[1]));
    same("scatter", &got[0], &[1.0, 0.0]);
    same("scatter, sources", &got[1], &[0.0, 0.0, 1.0]);
    let got = gradients(&[&[1.0, 2.0, 3.0]], |x| x[0].unsqueeze(1).embedding_padded(&at(x, &[0, 2, 2, 1, 1]), 1));
    same("embedding_padded", &got[0], &[1.0, 0.0, 2.0]);
}

/// A product's slope at zeros has a slope of its own.
#[test]
fn the_second_derivative_of_a_product_at_zeros() {
    for (x, want) in [([2.0, 0.0], [1.0, 1.0]), ([0.0, 0.0], [1.0, 1.0])] {
        let got = gradients(&[&x], |x| {
            let grads = x[0].prod(0).backward().unwrap_or_else(|e| panic!("{e}"));
            grads.get(&x[0]).cloned().unwrap_or_else(|| x[0].clone())
        });
        same("prod", &got[0], &want);
    }
}

fn same(name: &str, got: &[f64], want: &[f64]) {
    let equal =
        |(got, want): (&f64, &f64)| (got - want).abs() < 1e-12 || got == want || (got.is_nan() && want.is_nan());
    assert!(got.len() == want.len() && got.iter().zip(want).all(equal), "{name}: {got:?}, not {want:?}");
}
