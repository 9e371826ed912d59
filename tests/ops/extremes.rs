//! Functions far from 0, next to it, at it and at infinity: values and slopes that stay numbers, as PyTorch has them.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use thalweg_graph::{DType, Tensor, ops::unary::UnaryOp};
use thalweg_tests::{cpu, strict, test_gpu};

const INF: f64 = f64::INFINITY;
/// Where PyTorch's is not a number, ours may be anything.
const ANY: f64 = f64::NAN;

/// A function, its definition with its slope, and both at -∞ and ∞, as PyTorch 2.15 has them.
struct Row {
    name: &'static str,
    f: fn(&Tensor) -> Tensor,
    exact: fn(f64) -> [f64; 2],
    below: [f64; 2],
    above: [f64; 2],
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `f` where x is positive, else `g`.
fn if_positive(x: f64, f: [f64; 2], g: [f64; 2]) -> [f64; 2] {
    if x > 0.0 { f } else { g }
}

macro_rules! rows {
    ($($name:ident: $f:expr, |$x:ident| $exact:expr, $below:expr, $above:expr;)*) => {
        [$(Row { name: stringify!($name), f: $f, exact: |$x| $exact, below: $below, above: $above }),*]
    };
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    rows! {
        gelu: |x| x.gelu(), |x| {
            let cdf = 0.5 * UnaryOp::Erfc.reference(-x * FRAC_1_SQRT_2);
            let bell = (-0.5 * x * x).exp();
            [x * cdf, cdf + if bell > 0.0 { x * bell / (2.0 * PI).sqrt() } else { 0.0 }]
        }, [ANY, ANY], [ANY, ANY];
        gelu_tanh: |x| x.gelu_tanh(), |x| {
            // Beyond 30 it is 0 or x.
            let c = 2.0 * (2.0 / PI).sqrt();
            let near = x.clamp(-30.0, 30.0);
            let (s, slope) = (sigmoid(c * (near + 0.044715 * near.powi(3))), c * (1.0 + 3.0 * 0.044715 * near * near));
            [x * s, s + near * s * (1.0 - s) * slope]
        }, [ANY, ANY], [INF, ANY];
        silu: |x| x.silu(), |x| {
            let s = sigmoid(x);
            [x * s, s + x * s * (1.0 - s)]
        }, [ANY, ANY], [ANY, ANY];
        mish: |x| x.mish(), |x| {
            let t = softplus(x).tanh();
            [x * t, t + x * (1.0 - t * t) * sigmoid(x)]
        }, [ANY, ANY], [ANY, ANY];
        softplus: |x| x.softplus(), |x| [softplus(x), sigmoid(x)], [0.0, 0.0], [INF, 1.0];
        log_sigmoid: |x| x.log_sigmoid(), |x| [-softplus(-x), sigmoid(-x)], [-INF, 1.0], [0.0, 0.0];
        sigmoid: |x| x.sigmoid(), |x| [sigmoid(x), sigmoid(x) * sigmoid(-x)], [0.0, 0.0], [1.0, 0.0];
        tanh: |x| x.tanh(), |x| [x.tanh(), 1.0 - x.tanh() * x.tanh()], [-1.0, 0.0], [1.0, 0.0];
        tanhshrink: |x| x.tanhshrink(), |x| [x - x.tanh(), x.tanh() * x.tanh()], [-INF, 1.0], [INF, 1.0];
        softsign: |x| x.softsign(), |x| [x / (1.0 + x.abs()), (1.0 + x.abs()).powi(-2)], [ANY, ANY], [ANY, ANY];
        elu: |x| x.elu(1.5), |x| if_positive(x, [x, 1.0], [1.5 * x.exp_m1(), 1.5 * x.exp()]), [-1.5, 0.0], [INF, 1.0];
        celu: |x| x.celu(2.0), |x| if_positive(x, [x, 1.0], [2.0 * (x / 2.0).exp_m1(), (x / 2.0).exp()]), [-2.0, 0.0], [INF, 1.0];
        hardswish: |x| x.hardswish(), |x| match x {
            x if x <= -3.0 => [0.0, 0.0],
            x if x >= 3.0 => [x, 1.0],
            x => [x * (x + 3.0) / 6.0, (2.0 * x + 3.0) / 6.0],
        }, [ANY, 0.0], [INF, 1.0];
        hardsigmoid: |x| x.hardsigmoid(), |x| [((x + 3.0) / 6.0).clamp(0.0, 1.0), if x.abs() < 3.0 { 1.0 / 6.0 } else { 0.0 }],
            [0.0, 0.0], [1.0, 0.0];
        relu: |x| x.relu(), |x| if_positive(x, [x, 1.0], [0.0, 0.0]), [0.0, 0.0], [INF, 1.0];
        relu6: |x| x.relu6(), |x| [x.clamp(0.0, 6.0), if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 }], [0.0, 0.0], [6.0, 0.0];
        leaky_relu: |x| x.leaky_relu(0.01), |x| if_positive(x, [x, 1.0], [0.01 * x, 0.01]), [-INF, 0.01], [INF, 1.0];
        softshrink: |x| x.softshrink(0.5), |x| [x - x.clamp(-0.5, 0.5), if x.abs() > 0.5 { 1.0 } else { 0.0 }], [-INF, 1.0], [INF, 1.0];
        hardshrink: |x| x.hardshrink(0.5), |x| if x.abs() > 0.5 { [x, 1.0] } else { [0.0, 0.0] }, [-INF, 1.0], [INF, 1.0];
        erf: |x| x.erf(), |x| [UnaryOp::Erf.reference(x), FRAC_2_SQRT_PI * (-x * x).exp()], [-1.0, 0.0], [1.0, 0.0];
        erfc: |x| x.erfc(), |x| [UnaryOp::Erfc.reference(x), -FRAC_2_SQRT_PI * (-x * x).exp()], [2.0, 0.0], [0.0, 0.0];
        exp: |x| x.exp(), |x| [x.exp(), x.exp()], [0.0, 0.0], [INF, INF];
        expm1: |x| x.expm1(), |x| [x.exp_m1(), x.exp()], [-1.0, 0.0], [INF, INF];
        abs: |x| x.abs(), |x| [x.abs(), if x == 0.0 { 0.0 } else { x.signum() }], [INF, -1.0], [INF, 1.0];
        atan: |x| x.atan(), |x| [x.atan(), 1.0 / (1.0 + x * x)], [-PI / 2.0, 0.0], [PI / 2.0, 0.0];
        square: |x| x.square(), |x| [x * x, 2.0 * x], [INF, -INF], [INF, INF];
        cube: |x| x.powf(3.0), |x| [x * x * x, 3.0 * x * x], [-INF, INF], [INF, INF];
        nothing: |x| x.powf(0.0), |_x| [1.0, 0.0], [1.0, 0.0], [1.0, 0.0];
        itself: |x| x.powf(1.0), |x| [x, 1.0], [-INF, 1.0], [INF, 1.0];
        recip: |x| x.recip(), |x| [1.0 / x, -1.0 / (x * x)], [0.0, 0.0], [0.0, 0.0];
    }
    .into()
}

/// A function of what is not negative.
#[rustfmt::skip]
fn roots() -> Vec<Row> {
    rows! {
        log: |x| x.log(), |x| [x.ln(), 1.0 / x], [ANY, ANY], [INF, 0.0];
        log1p: |x| x.log1p(), |x| [x.ln_1p(), 1.0 / (1.0 + x)], [ANY, ANY], [INF, 0.0];
        sqrt: |x| x.sqrt(), |x| [x.sqrt(), 0.5 / x.sqrt()], [ANY, ANY], [INF, 0.0];
        rsqrt: |x| x.rsqrt(), |x| [1.0 / x.sqrt(), -0.5 / (x * x.sqrt())], [ANY, ANY], [0.0, 0.0];
        power: |x| x.pow(1.5), |x| [x * x.sqrt(), 1.5 * x.sqrt()], [ANY, ANY], [INF, INF];
    }
    .into()
}

#[test]
fn values_and_slopes() {
    // 1e-30 is normal in f32, and its square is not.
    let finite = [0.0, 1e-30, 1.0, 30.0, 1e4, 1e19, 1e20, 1e38];
    for device in [strict(), cpu(), cpu().op_by_op(), test_gpu!()] {
        for (rows, signs) in [(rows(), &[1.0, -1.0][..]), (roots(), &[1.0])] {
            let xs: Vec<f64> =
                signs.iter().flat_map(|s| finite.iter().map(move |x| s * DType::F32.round(*x))).collect();
            let all: Vec<f32> = xs.iter().chain(&[INF, -INF]).map(|x| *x as f32).collect();
            for Row { name, f, exact, below, above } in rows {
                let x = Tensor::from_slice(&device, &all, [all.len()]).track();
                let y = f(&x);
                let slope = y.sum(..).backward().unwrap().get(&x).map(|g| g.to_vec::<f64>().unwrap());
                let got = [y.to_vec::<f64>().unwrap(), slope.unwrap_or(vec![0.0; all.len()])];
                let want: Vec<[f64; 2]> = xs.iter().map(|x| exact(*x)).chain([above, below]).collect();
                for (i, x) in all.iter().enumerate() {
                    for (what, (got, want)) in
                        ["value", "slope"].iter().zip([(got[0][i], want[i][0]), (got[1][i], want[i][1])])
                    {
                        // f32 ends where f64 does not, and drivers flush what is not normal.
                        let want = DType::F32.round(want);
                        // A slope that is made of the value has its digits.
                        let digit = if *what == "slope" { 2.5e-7 } else { 2e-38 };
                        let close = got == want || (got - want).abs() <= 2e-5 * want.abs() + digit;
                        assert!(want.is_nan() || close, "{what} of {name}({x:e}) on {device}: {got:e}, not {want:e}");
                    }
                }
            }
        }
    }
}

/// PyTorch's slopes of the angle of nothing.
#[test]
fn the_angle_of_the_origin() {
    for device in [strict(), cpu(), test_gpu!()] {
        let point = |v: &[f32]| Tensor::from_slice(&device, v, [v.len()]).track();
        let (y, x) = (point(&[0.0, -0.0, 1.0]), point(&[0.0, 0.0, 0.0]));
        let grads = y.atan2(&x).sum(..).backward().unwrap();
        let of = |t: &Tensor| grads.get(t).unwrap().to_vec::<f64>().unwrap();
        assert_eq!((of(&y), of(&x)), (vec![0.0, 0.0, 0.0], vec![0.0, 0.0, -1.0]), "on {device}");
    }
}

/// Composed functions of 16-bit floats neither overflow on the way nor round there.
#[test]
fn of_halves() {
    let xs: [f32; 8] = [-60000.0, -300.0, -1.3, -0.1, 0.7, 3.3, 300.0, 60000.0];
    for device in [strict(), cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()] {
        for Row { name, f, exact, .. } in rows() {
            // Whose results, or slopes, are beyond f16.
            if ["exp", "expm1", "square", "cube", "recip"].contains(&name) {
                continue;
            }
            let x = Tensor::from_slice(&device, &xs, [8]).cast(DType::F16).track();
            let y = f(&x);
            assert_eq!(y.dtype(), DType::F16);
            let slope = y.sum(..).backward().unwrap().get(&x).map(|g| g.to_vec::<f64>().unwrap());
            let (values, slopes) = (y.to_vec::<f64>().unwrap(), slope.unwrap_or(vec![0.0; 8]));
            for (i, x) in xs.iter().enumerate() {
                let [value, slope] = exact(DType::F16.round(f64::from(*x))).map(|want| DType::F16.round(want));
                // The last digit, for what an approximated function is off where it is halfway between two.
                let close =
                    |got: f64, want: f64, digit: f64| (got - want).abs() <= 1.01 * 2f64.powi(-10) * want.abs() + digit;
                assert!(close(values[i], value, 6.2e-8), "{name}({x}) on {device}: {}, not {value}", values[i]);
                // A slope that is made of the value has its digits.
                assert!(
                    close(slopes[i], slope, 2f64.powi(-11)),
                    "slope of {name} at {x} on {device}: {}, not {slope}",
                    slopes[i]
                );
            }
        }
    }
}
