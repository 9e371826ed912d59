//! `common/math.wgsl` on the device against f64: the largest error of each function, in units in the last place.

mod support;

use support::Bare;
use thalweg_graph::ops::{binary::BinaryOp, unary::UnaryOp};

/// Units in the last place of f32 between `got` and `want`; a result that is subnormal may be flushed to zero.
fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if rounded.is_nan() || got.is_nan() {
        return if rounded.is_nan() == got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got == rounded || (rounded.is_infinite() && got.is_infinite() && got.signum() == rounded.signum()) {
        return 0.0;
    }
    let size = want.abs().max(f64::from(f32::MIN_POSITIVE));
    let ulp = 2f64.powi(size.log2().floor() as i32 - 23);
    (f64::from(got) - want).abs() / ulp
}

/// A sweep over every magnitude, both signs, with the ends of each function's domain among it.
fn sweep(lo: f64, hi: f64) -> Vec<f32> {
    let mut x: Vec<f32> = (0..4000).map(|i| (lo + (hi - lo) * f64::from(i) / 3999.0) as f32).collect();
    for i in 0..2000 {
        let size = 10f64.powf(-20.0 + 21.0 * f64::from(i) / 1999.0);
        x.extend([size as f32, -size as f32]);
    }
    x.extend([0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 1e9, -1e9, 3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    x
}

fn eval(gpu: &Bare, expr: &str, vector: bool, a: &[f32], b: &[f32]) -> Vec<f32> {
    let t = if vector { "vec4<f32>" } else { "f32" };
    let lanes = if vector { 4 } else { 1 };
    let main = format!(
        "@group(0) @binding(0) var<storage, read> sa: array<{t}>;
         @group(0) @binding(1) var<storage, read> sb: array<{t}>;
         @group(0) @binding(2) var<storage, read_write> y: array<{t}>;
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {{
             let i = id.x;
             if i >= arrayLength(&y) {{ return; }}
             let a = sa[i]; let x = a; let b = sb[i];
             y[i] = {expr};
         }}\n"
    );
    let pad = |v: &[f32]| {
        let mut v = v.to_vec();
        v.resize(v.len().next_multiple_of(4), 0.0);
        v
    };
    let (pa, pb) = (pad(a), pad(b));
    let pipeline = gpu.pipeline(&format!("{main}{}", thalweg_shaders::common_for(&main)));
    let buffers = [&pa, &pb, &pa].map(|v| gpu.buffer(bytemuck::cast_slice(v)));
    let group = gpu.bind(&pipeline, &buffers.each_ref());
    gpu.run(&[(&pipeline, &group, [(pa.len() / lanes).div_ceil(64) as u32, 1, 1])]);
    let bytes = gpu.read(&buffers[2]);
    bytemuck::cast_slice::<u8, f32>(&bytes)[..a.len()].to_vec()
}

/// A table expression with `x`, made to call the vector instances of the functions in `math.wgsl`.
fn vectorised(expr: &str) -> String {
    let name = expr.split('(').next().unwrap_or("");
    expr.replacen(name, &format!("{name}_v4"), 1)
}

#[test]
fn unary_functions_hold_their_relative_accuracy() {
    let gpu = Bare::open();
    // Function, ends of the sweep, and the error allowed in ulps.
    let table = [
        (UnaryOp::Expm1, "expm1(x)", -20.0, 88.0, 4.0),
        (UnaryOp::Exp, "exp_f32(x)", -87.0, 89.0, 3.0),
        (UnaryOp::Log, "log_f32(x)", 0.0, 5.0, 3.0),
        (UnaryOp::Exp2, "exp2_f32(x)", -125.0, 127.0, 3.0),
        (UnaryOp::Log2, "log2_f32(x)", 0.0, 5.0, 4.0),
        (UnaryOp::Log1p, "log1p(x)", -1.1, 5.0, 5.0),
        (UnaryOp::Sin, "sin_f32(x)", -100.0, 100.0, 4.0),
        (UnaryOp::Cos, "cos_f32(x)", -100.0, 100.0, 4.0),
        (UnaryOp::Tan, "tan_f32(x)", -1.5, 1.5, 6.0),
        (UnaryOp::Asin, "asin_f32(x)", -1.1, 1.1, 4.0),
        (UnaryOp::Acos, "acos_f32(x)", -1.1, 1.1, 4.0),
        (UnaryOp::Atan, "atan_f32(x)", -10.0, 10.0, 4.0),
        (UnaryOp::Sinh, "sinh_f32(x)", -89.0, 89.0, 5.0),
        (UnaryOp::Cosh, "cosh_f32(x)", -89.0, 89.0, 5.0),
        (UnaryOp::Tanh, "tanh_f32(x)", -10.0, 10.0, 4.0),
        (UnaryOp::Asinh, "asinh_f32(x)", -10.0, 10.0, 5.0),
        (UnaryOp::Acosh, "acosh_f32(x)", 0.9, 10.0, 5.0),
        (UnaryOp::Atanh, "atanh_f32(x)", -1.1, 1.1, 6.0),
        (UnaryOp::Erf, "erf(x)", -5.0, 5.0, 4.0),
        (UnaryOp::Erfc, "erfc(x)", -5.0, 9.0, 10.0),
        (UnaryOp::Sigmoid, "sigmoid(x)", -87.0, 30.0, 5.0),
        (UnaryOp::Erfinv, "erfinv(x)", -1.1, 1.1, 18.0),
        (UnaryOp::Lgamma, "lgamma(x)", -12.0, 20.0, 8.0),
        (UnaryOp::Digamma, "digamma(x)", -12.0, 20.0, 8.0),
    ];
    for (op, expr, lo, hi, allowed) in table {
        let mut x = sweep(lo, hi);
        if matches!(op, UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan) {
            x.retain(|x| x.abs() <= 2e4 || !x.is_finite());
        }
        for expr in [expr.to_string(), vectorised(expr)] {
            let y = eval(&gpu, &expr, expr.contains("_v4"), &x, &x);
            let mut worst = (0.0, 0.0, 0.0);
            for (x, y) in x.iter().zip(&y) {
                let want = op.reference(f64::from(*x));
                let mut error = ulps(*y, want);
                // Near the zeros of sine and cosine the reduction's absolute error counts.
                if matches!(op, UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan) && x.is_finite() {
                    error = error.min((f64::from(*y) - want).abs() * 2f64.powi(24));
                }
                // As near the zeros between the poles of the gamma function, with terms of a few units.
                if matches!(op, UnaryOp::Lgamma | UnaryOp::Digamma) && *x < 0.0 && want.is_finite() {
                    error = error.min((f64::from(*y) - want).abs() * 2f64.powi(20));
                }
                if error > worst.0 {
                    worst = (error, *x, *y);
                }
            }
            println!("{expr:16} {:8.2} ulp at {:e}: {:e}", worst.0, worst.1, worst.2);
            let want = op.reference(f64::from(worst.1));
            assert!(worst.0 <= allowed, "{expr}: {} ulp at {:e}: {:e}, not {want:e}", worst.0, worst.1, worst.2);
        }
    }
}

#[test]
fn binary_functions_hold_their_relative_accuracy() {
    let gpu = Bare::open();
    let special =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0, -3.0, 7.5, 1e-5, 100.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut pairs: Vec<(f32, f32)> = special.iter().flat_map(|a| special.iter().map(move |b| (*a, *b))).collect();
    for i in 0..8000 {
        let a = 10f64.powf(-3.0 + 6.0 * f64::from(i % 89) / 88.0) as f32;
        let b = (-12.0 + 24.0 * f64::from(i % 97) / 96.0) as f32;
        pairs.push((if i % 3 == 0 { -a } else { a }, if i % 5 == 0 { b.round() } else { b }));
    }
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
    let table = [
        (BinaryOp::Pow, "pow_f32(a, b)", 16.0),
        (BinaryOp::Max, "max_f32(a, b)", 0.0),
        (BinaryOp::Min, "min_f32(a, b)", 0.0),
        (BinaryOp::Atan2, "atan2_f32(a, b)", 4.0),
    ];
    for (op, expr, allowed) in table {
        for expr in [expr.to_string(), vectorised(expr)] {
            let y = eval(&gpu, &expr, expr.contains("_v4"), &a, &b);
            let worst = (0..a.len())
                .map(|i| (ulps(y[i], op.reference(f64::from(a[i]), f64::from(b[i]))), a[i], b[i], y[i]))
                .fold((0.0, 0.0, 0.0, 0.0), |w, e| if e.0 > w.0 { e } else { w });
            println!("{expr:16} {:8.2} ulp at {:e}, {:e}: {:e}", worst.0, worst.1, worst.2, worst.3);
            let want = op.reference(f64::from(worst.1), f64::from(worst.2));
            assert!(worst.0 <= allowed, "{expr}: {:?}, not {want:e}", worst);
        }
    }
}

#[test]
fn remainders_have_the_sign_of_the_dividend_and_are_below_the_divisor() {
    let gpu = Bare::open();
    let a: Vec<f32> = (0..4001).map(|i| (i - 2000) as f32 * 0.013).collect();
    let b: Vec<f32> = (0..4001).map(|i| if i % 2 == 0 { 0.7 } else { -1.3 }).collect();
    for expr in ["fmod_f32(a, b)", "fmod_f32_v4(a, b)"] {
        let y = eval(&gpu, expr, expr.contains("_v4"), &a, &b);
        for i in 0..a.len() {
            let want = f64::from(a[i]) % f64::from(b[i]);
            // A quotient rounded to an integer may move a result between the two ends of its range.
            let distance = (f64::from(y[i]) - want).abs();
            let distance = distance.min((distance - f64::from(b[i]).abs()).abs());
            assert!(distance < 4e-6 && y[i].abs() < b[i].abs(), "{expr} of {}, {}: {} not {want}", a[i], b[i], y[i]);
            assert!(y[i] == 0.0 || y[i].signum() == a[i].signum(), "{expr} of {}, {}: {}", a[i], b[i], y[i]);
        }
    }
}

#[test]
fn tests_by_bits() {
    let gpu = Bare::open();
    let x = [0.0, 1.0, -3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 1e-40];
    let nan = eval(&gpu, "select(0.0, 1.0, is_nan_bits(x))", false, &x, &x);
    let inf = eval(&gpu, "select(0.0, 1.0, is_inf_bits(x))", false, &x, &x);
    assert_eq!(nan, x.map(|x| f32::from(u8::from(x.is_nan()))));
    assert_eq!(inf, x.map(|x| f32::from(u8::from(x.is_infinite()))));
    let xor =
        eval(&gpu, "select(0.0, 1.0, xor(x == 1.0, b == 1.0))", false, &[0.0, 1.0, 0.0, 1.0], &[0.0, 0.0, 1.0, 1.0]);
    assert_eq!(xor, [0.0, 1.0, 1.0, 0.0]);
}
