//! What is no number stays none, on drivers too whose compilers take it that there is no such thing.
#![expect(clippy::eq_op, reason = "what a thing minus itself is, is the question")]

use thalweg_graph::{DType, Device, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

type Function = (&'static str, fn(&Tensor) -> Tensor);

/// Functions of a vector with ∞, -∞, NaN, 0, 1 and a large number in it, which algebra that knows no such numbers would simplify.
fn functions() -> Vec<Function> {
    let all: Vec<Function> = vec![
        ("0 x", |x| x * 0.0),
        ("x 0", |x| x.zeros_like() * x),
        ("0 (x 0)", |x| (x * 0.0) * 0.0),
        ("(x 0) e^x", |x| (x * 0.0) * x.exp()),
        ("(x 0) e^x + x", |x| (x * 0.0) * x.exp() + x),
        ("x - x", |x| x - x),
        ("x + -x", |x| x + &(-x)),
        ("(x + 1) - (x + 1)", |x| (x + 1.0) - (x + 1.0)),
        ("(x + 1) - x", |x| (x + 1.0) - x),
        ("x - (x - 1)", |x| x - &(x - 1.0)),
        ("2 x - x", |x| x * 2.0 - x),
        ("x / x", |x| x / x),
        ("0 / x", |x| x.zeros_like() / x),
        ("x / 0", |x| x / x.zeros_like()),
        ("(x / x) 0", |x| (x / x) * 0.0),
        ("x (1 / x)", |x| x * x.recip()),
        ("mask x", |x| x.gt(2.0).cast(DType::F32) * x),
        ("x mask", |x| x * x.eq(1.0).cast(DType::F32)),
        ("x² - x²", |x| x.square() - x.square()),
        ("e^x - e^x", |x| x.exp() - x.exp()),
        ("sqrt(-|x|) 0", |x| (-x.abs()).sqrt() * 0.0),
        ("log(-|x|) - log(-|x|)", |x| (-x.abs()).log() - (-x.abs()).log()),
        ("|x| 0", |x| x.abs() * 0.0),
        ("relu(x) 0", |x| x.relu() * 0.0),
        ("max(x, 0) - max(x, 0)", |x| x.maximum(0.0) - x.maximum(0.0)),
        ("-x 0", |x| -x * 0.0),
        ("0 - 0 x", |x| 0.0 - x * 0.0),
        ("x 0 + 1", |x| x * 0.0 + 1.0),
        ("x 0 + x 0", |x| x * 0.0 + x * 0.0),
        ("x + 0 x", |x| x + &(x * 0.0)),
        ("x - 0 x", |x| x - &(x * 0.0)),
        ("x^2 0", |x| x.powf(2.0) * 0.0),
        ("tanh(x) / 0 0", |x| x.tanh() / 0.0 * 0.0),
        ("where(x > 0, x, 0) 0", |x| x.gt(0.0).where_(x, 0.0) * 0.0),
        ("where(x > 0, 0, x) - x", |x| x.gt(0.0).where_(0.0, x) - x),
        ("Σ 0 x", |x| (x * 0.0).sum(..)),
        ("0 Σ x", |x| x.sum(..) * 0.0),
        ("Σ x - Σ x", |x| x.sum(..) - x.sum(..)),
        ("mean x - x", |x| x.mean(..) - x),
        ("max x - max x", |x| x.amax(..) - x.amax(..)),
        ("var of one", |x| x.unsqueeze(1).var(1, 1)),
        ("std of one", |x| x.unsqueeze(1).std(1, 1)),
        ("std of one, biased", |x| x.unsqueeze(1).std(1, 0)),
        ("std of one number", |x| Tensor::ones(x.device(), [1]).std(.., 1)),
        ("mean of nothing", |x| x.slice(0, ..0).mean(..)),
        ("var of nothing", |x| x.slice(0, ..0).var(.., 0)),
        ("mean of no ones", |x| Tensor::ones(x.device(), [0, 3]).mean(..)),
        ("mean over no rows", |x| Tensor::ones(x.device(), [0, 3]).mean(0)),
        ("0 · x matrix", |x| (x * 0.0).reshape([2, 4]).matmul(&x.reshape([4, 2]))),
        ("zeros · x", |x| Tensor::zeros(x.device(), [1, 8]).matmul(&x.unsqueeze(1))),
        ("x · zeros", |x| x.unsqueeze(0).matmul(&Tensor::zeros(x.device(), [8, 2]))),
        ("softmax", |x| x.softmax(0)),
        ("softmax rows", |x| x.reshape([8, 1]).softmax(1)),
        ("log softmax rows", |x| x.reshape([8, 1]).log_softmax(1)),
        ("layer norm of one", |x| x.reshape([8, 1]).layer_norm(&[1], None, None, 1e-5)),
        ("cumsum 0 x", |x| (x * 0.0).cumsum(0)),
        ("Π", |x| x.prod(..)),
        ("NaN > 0", |x| x.gt(0.0).cast(DType::F32)),
        ("x == x", |x| x.eq(x).cast(DType::F32)),
        ("x != x", |x| x.ne(x).cast(DType::F32)),
        ("x <= x", |x| x.le(x).cast(DType::F32)),
        ("not (x < 0)", |x| x.lt(0.0).not().cast(DType::F32)),
        ("0 x != 0", |x| (x * 0.0).ne(0.0).cast(DType::F32)),
        ("isnan(0 x)", |x| (x * 0.0).is_nan().cast(DType::F32)),
        ("isinf(2 x)", |x| (x * 2.0).is_inf().cast(DType::F32)),
        ("sign", |x| x.sign()),
        ("f16", |x| (x.cast(DType::F16) * 0.0).cast(DType::F32)),
        ("bf16", |x| (x.cast(DType::BF16) * 0.0).cast(DType::F32)),
        ("gradient of 0 x", |x| gradient(x, |x| (x * 0.0) * x)),
        ("gradient of x / x", |x| gradient(x, |x| x / x)),
        ("gradient of sqrt", |x| gradient(x, |x| (x * 0.0).sqrt())),
        ("gradient of where", |x| gradient(x, |x| x.gt(0.0).where_(x.recip(), 0.0))),
    ];
    all
}

fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let x = Tensor::from_slice(x.device(), &x.to_vec::<f32>().unwrap(), x.shape()).track();
    f(&x).sum(..).backward().unwrap().get(&x).unwrap().clone()
}

const VALUES: [f32; 8] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, 1.0, 1e38, -3.0, 200.0];

#[test]
fn algebra_knows_infinity() {
    let run = |device: &Device, f: fn(&Tensor) -> Tensor| {
        f(&Tensor::from_slice(device, &VALUES, [8])).to_vec::<f64>().unwrap_or_else(|e| panic!("{e}"))
    };
    let mut wrong = Vec::new();
    for device in [cpu(), test_gpu!(), test_gpu!().op_by_op()] {
        for (name, f) in functions() {
            let (got, want) = (run(&device, f), run(&strict(), f));
            let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-5 * b.abs();
            if !got.iter().zip(&want).all(same) {
                wrong.push(format!("{name} on {device}: {got:?}, not {want:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
