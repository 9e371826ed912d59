//! What the documentation says of NaN, infinities, zeros and nothing at all, on every device.

use thalweg_graph::{DType, Device, Interpolation, Pool, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

type Rows = Vec<(&'static str, Tensor, Vec<f64>)>;

/// A GPU may take it that no number is NaN or infinite, as `docs/limits.md` says, so it is asked only where ops see to it.
fn on_cpus(rows: impl Fn(&Device) -> Rows) {
    check(&[strict(), cpu()], rows);
}

fn on_every_device(rows: impl Fn(&Device) -> Rows) {
    check(&[strict(), cpu(), test_gpu!()], rows);
}

fn check(devices: &[Device], rows: impl Fn(&Device) -> Rows) {
    for device in devices {
        for (name, got, want) in rows(device) {
            let got = got.to_vec::<f64>().unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
            let same = |(a, b): (&f64, &f64)| a == b || (a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan());
            let all = got.len() == want.len() && got.iter().zip(&want).all(same);
            assert!(all, "{name} on {device}: {got:?}, not {want:?}");
        }
    }
}

#[test]
fn what_is_not_a_number() {
    let nan = f64::NAN;
    on_every_device(|device| {
        let of = |values: &[f32]| Tensor::from_slice(device, values, [values.len()]);
        let (x, all) = (of(&[1.0, NAN, 3.0, NAN]), of(&[NAN, NAN]));
        let linear = Interpolation::Linear;
        vec![
            ("amax", x.amax(0), vec![nan]),
            ("amin", x.amin(0), vec![nan]),
            ("max", x.max(0).0, vec![nan]),
            ("where the max stands", x.max(0).1, vec![1.0]),
            ("where the min stands", x.min(0).1, vec![1.0]),
            ("argmax", x.argmax(..), vec![1.0]),
            ("maximum", x.maximum(2.0), vec![2.0, nan, 3.0, nan]),
            ("minimum", x.minimum(2.0), vec![1.0, nan, 2.0, nan]),
            ("clamp", x.clamp(0.0, 2.0), vec![1.0, nan, 2.0, nan]),
            ("cummax", x.cummax(0).0, vec![1.0, nan, nan, nan]),
            ("cummin", x.cummin(0).0, vec![1.0, nan, nan, nan]),
            ("sort", x.sort(0, false).1, vec![0.0, 2.0, 1.0, 3.0]),
            ("sort descending", x.sort(0, true).1, vec![1.0, 3.0, 2.0, 0.0]),
            ("topk", x.topk(3, 0, true).0, vec![nan, nan, 3.0]),
            ("kthvalue", x.kthvalue(2, 0).0, vec![3.0]),
            ("median", x.median(0).1, vec![1.0]),
            ("nanmedian", x.nanmedian(0).0, vec![1.0]),
            ("nanmedian of none", all.nanmedian(0).0, vec![nan]),
            ("quantile", x.quantile(0.0, 0, linear), vec![nan]),
            ("nanquantile", x.nanquantile(0.5, 0, linear), vec![2.0]),
            ("nanquantile of none", all.nanquantile(0.5, 0, linear), vec![nan]),
        ]
    });
}

#[test]
fn what_is_not_a_number_on_cpus() {
    let nan = f64::NAN;
    on_cpus(|device| {
        let of = |values: &[f32]| Tensor::from_slice(device, values, [values.len()]);
        let x = of(&[1.0, NAN, 3.0, NAN]);
        vec![
            ("count_nonzero", of(&[0.0, NAN, -0.0]).count_nonzero(0), vec![1.0]),
            ("any", of(&[0.0, NAN]).any(0), vec![1.0]),
            ("searchsorted", of(&[1.0, 2.0]).searchsorted(&of(&[NAN, 1.0, 3.0]), false), vec![2.0, 0.0, 2.0]),
            ("max_pool", x.max_pool(&Pool::new(&[2])), vec![nan, nan]),
            ("nan_to_num", of(&[NAN, INF, -INF, 2.0]).nan_to_num(0.5, 8.0, -8.0), vec![0.5, 8.0, -8.0, 2.0]),
            ("pow", of(&[-1.0, 0.0]).pow(0.5), vec![nan, 0.0]),
        ]
    });
}

#[test]
fn infinities_and_zeros() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    on_every_device(|device| {
        let of = |values: &[f32]| Tensor::from_slice(device, values, [values.len()]);
        let (sevens, zeros) = (Tensor::from_slice(device, &[7, -7], [2]), Tensor::from_slice(device, &[0, 0], [2]));
        vec![
            ("logsumexp of -∞", of(&[-INF, -INF]).logsumexp(0), vec![-inf]),
            ("logsumexp of ∞", of(&[INF, 1.0, -INF]).logsumexp(0), vec![inf]),
            ("logcumsumexp", of(&[-INF, 0.0, 0.0]).logcumsumexp(0), vec![-inf, 0.0, 2f64.ln()]),
            (
                "logaddexp",
                of(&[1.0, -INF, -INF, INF]).logaddexp(of(&[-INF, 1.0, -INF, 1.0])),
                vec![1.0, 1.0, -inf, inf],
            ),
            ("hypot", of(&[INF, 1.0, 0.0]).hypot(of(&[1.0, -INF, 0.0])), vec![inf, inf, 0.0]),
            ("softmax of -∞", of(&[-INF, -INF]).softmax(0), vec![nan, nan]),
            ("powf(0)", of(&[0.0, -2.0]).powf(0.0), vec![1.0, 1.0]),
            ("clamp", of(&[0.0, 5.0]).clamp(2.0, 1.0), vec![1.0, 1.0]),
            ("clamp_between", of(&[0.0, 5.0]).clamp_between(2.0, 1.0), vec![1.0, 1.0]),
            ("copysign", of(&[1.0, 1.0]).copysign(of(&[0.0, -0.0])), vec![1.0, -1.0]),
            ("integers by 0", &sevens / &zeros, vec![0.0, 0.0]),
            ("fmod by 0", sevens.fmod(&zeros), vec![0.0, 0.0]),
            ("remainder by 0", sevens.remainder(&zeros), vec![0.0, 0.0]),
            ("floor_divide by 0", sevens.floor_divide(&zeros), vec![0.0, 0.0]),
            ("floor_divide", sevens.floor_divide(2), vec![3.0, -4.0]),
            ("remainder", sevens.remainder(2), vec![1.0, 1.0]),
            ("fmod", sevens.fmod(2), vec![1.0, -1.0]),
            ("shr", sevens.shr(33), vec![3.0, -4.0]),
            ("one_hot outside", sevens.one_hot(3), vec![0.0; 6]),
            ("vector_norm", of(&[0.0, -2.0]).vector_norm(0.0, 0), vec![1.0]),
        ]
    });
}

#[test]
fn nothing_at_all() {
    let nan = f64::NAN;
    on_cpus(|device| {
        let empty = Tensor::zeros(device, [2, 0]);
        let one = Tensor::from_slice(device, &[3.0f32], [1]);
        vec![
            ("sum", empty.sum(1), vec![0.0; 2]),
            ("prod", empty.prod(1), vec![1.0; 2]),
            ("mean", empty.mean(1), vec![nan; 2]),
            ("any", empty.any(1), vec![0.0; 2]),
            ("all", empty.all(1), vec![1.0; 2]),
            ("var of one", one.var(0, 1), vec![nan]),
            ("biased var of one", one.var(0, 0), vec![0.0]),
            ("std of one", one.std(0, 1), vec![nan]),
            ("truth in a sum", one.gt(0.0).sum(0), vec![1.0]),
            ("no axes", one.square().sum([] as [isize; 0]).cast(DType::F32), vec![9.0]),
        ]
    });
}
