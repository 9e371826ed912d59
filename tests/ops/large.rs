//! Reductions and scans over 2²⁴ elements and a few more, in one row, along rows and along columns: drivers may end long loops
//! silently, and sums of many terms lose digits.

use thalweg_graph::{DType, Device, Tensor};
use thalweg_tests::{cpu, test_gpu};

const N: usize = (1 << 24) + 3;

/// Multiples of 1/1024 between -1/2 and 1/2 in an order without pattern: exact in f32.
fn value(i: usize) -> f64 {
    (i as u32).wrapping_mul(2_654_435_761) as f64 / 4_294_967_296.0
}

fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((value(i) * 1024.0).floor() / 1024.0 - 0.5) as f32).collect()
}

/// Holds a result against a number computed here in f64.
#[track_caller]
fn close(device: &Device, what: &str, got: &Tensor, want: f64, tol: f64) {
    let got = got.to_vec::<f64>().unwrap_or_else(|e| panic!("{what} on {device}: {e}"));
    assert!(got.len() == 1 && (got[0] - want).abs() <= tol, "{what} on {device}: {got:?}, not {want} (± {tol:e})");
}

fn reductions(device: &Device) {
    let mut host = values(N);
    // The extremes stand at the end, behind whatever a loop that ends early would see.
    (host[N - 2], host[N - 3]) = (2.0, -2.0);
    let x = Tensor::from_slice(device, &host, [N]);
    let exact = |f: &dyn Fn(f64) -> f64| host.iter().map(|v| f(f64::from(*v))).sum::<f64>();
    let (sum, squares, n) = (exact(&|v| v), exact(&|v| v * v), N as f64);
    // A tree of sums of bounded length: some ε times the sum of magnitudes.
    let tol = exact(&f64::abs) * 1e-6;
    close(device, "sum", &x.sum(..), sum, tol);
    close(device, "mean", &x.mean(..), sum / n, tol / n);
    close(device, "max", &x.amax(..), 2.0, 0.0);
    close(device, "min", &x.amin(..), -2.0, 0.0);
    close(device, "argmax", &x.argmax(0), n - 2.0, 0.0);
    close(device, "argmin", &x.argmin(0), n - 3.0, 0.0);
    close(device, "variance", &x.var(.., 1), (squares - sum * sum / n) / (n - 1.0), 1e-6);
    close(device, "norm", &x.square().sum(..).sqrt(), squares.sqrt(), 1e-2);
    close(device, "logsumexp", &x.logsumexp(..), exact(&f64::exp).ln(), 1e-5);
    close(device, "any", &x.eq(2.0).any(..).cast(DType::F32), 1.0, 0.0);
    close(device, "all", &x.ne(2.0).all(..).cast(DType::F32), 0.0, 0.0);
    close(device, "count", &x.ge(0.0).cast(DType::I32).sum(..), exact(&|v| f64::from(u8::from(v >= 0.0))), 0.0);
    // Powers of two, so that the product is exact.
    let signs = x.lt(0.0).where_(0.5, 2.0);
    let log = exact(&|v| if v < 0.0 { -1.0 } else { 1.0 });
    let (up, down) = (signs.narrow(0, 0, N / 2).log2().sum(..), signs.narrow(0, N / 2, N - N / 2).log2().sum(..));
    close(device, "sum of logarithms", &(up + down), log, 0.0);
    let ones = x.eq(2.0).where_(-3.0, 1.0);
    close(device, "product", &ones.prod(..), -3.0, 0.0);
    close(device, "dot", &x.matmul(&x), squares, squares * 1e-5);
}

fn axes(device: &Device) {
    // As few long rows, as few long columns.
    let host = values(3 * (1 << 22));
    for (shape, axis) in [([3usize, 1 << 22], 1isize), ([1 << 22, 3], 0)] {
        let x = Tensor::from_slice(device, &host, shape);
        let at = |row: usize, i: usize| f64::from(host[if axis == 1 { row * (1 << 22) + i } else { i * 3 + row }]);
        let sums = x.sum(axis).to_vec::<f64>().unwrap();
        let tops = x.amax(axis).to_vec::<f64>().unwrap();
        let soft = x.softmax(axis).amax(axis).to_vec::<f64>().unwrap();
        for row in 0..3 {
            let all = || (0..1usize << 22).map(|i| at(row, i));
            let (sum, top) = (all().sum::<f64>(), all().fold(f64::MIN, f64::max));
            assert!(
                (sums[row] - sum).abs() < 1.0,
                "sum of row {row} along {axis} on {device}: {} not {sum}",
                sums[row]
            );
            assert_eq!(tops[row], top, "maximum of row {row} along {axis} on {device}");
            let want = top.exp() / all().map(f64::exp).sum::<f64>();
            assert!((soft[row] / want - 1.0).abs() < 1e-5, "softmax of row {row} along {axis} on {device}");
        }
    }
}

fn scans(device: &Device) {
    let host = values(N);
    let x = Tensor::from_slice(device, &host, [N]);
    let running = |f: fn(f64, f64) -> f64, start: f64| -> Vec<f64> {
        let next = |state: &mut f64, v: &f32| {
            *state = f(*state, f64::from(*v));
            Some(*state)
        };
        host.iter().scan(start, next).collect()
    };
    let (sums, tops) = (running(|a, b| a + b, 0.0), running(f64::max, f64::MIN));
    let check = |what: &str, got: Vec<f32>, want: &[f64], tol: f64| {
        assert_eq!(got.len(), want.len());
        let far = got.iter().zip(want).position(|(g, w)| (f64::from(*g) - w).abs() > tol);
        assert!(far.is_none(), "{what} on {device} is wrong at {far:?}: {:?}", far.map(|i| (got[i], want[i])));
    };
    check("cumsum", x.cumsum(0).to_vec().unwrap(), &sums, 0.05);
    check("cummax", x.cummax(0).0.to_vec().unwrap(), &tops, 0.0);
}

#[test]
fn reductions_of_16_million_on_cpu() {
    reductions(&cpu());
}

#[test]
fn reductions_of_16_million_on_gpu() {
    reductions(&test_gpu!());
}

#[test]
fn long_axes_on_cpu() {
    axes(&cpu());
}

#[test]
fn long_axes_on_gpu() {
    axes(&test_gpu!());
}

#[test]
fn scans_of_16_million_on_cpu() {
    scans(&cpu());
}

#[test]
fn scans_of_16_million_on_gpu() {
    scans(&test_gpu!());
}
