//! The vectors of the specification, on the host in f64.

use super::*;

/// `θᵀ A θ / 2 - bᵀ θ` of a kind, with its minimum at `[0.6, -0.8]`: steps of `A = [[3, 1], [1, 2]]`, `b = [1, -1]`, from `[1, 2]`.
fn bowl(x: &[f64]) -> Result<(f64, Vec<f64>)> {
    let g = vec![3.0 * x[0] + x[1] - 1.0, x[0] + 2.0 * x[1] + 1.0];
    let f = 0.5 * (3.0 * x[0] * x[0] + 2.0 * x[0] * x[1] + 2.0 * x[1] * x[1]) - x[0] + x[1];
    Ok((f, g))
}

fn valley(x: &[f64]) -> Result<(f64, Vec<f64>)> {
    let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
    Ok((a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b]))
}

/// Direction, step, evaluations of the line search, θ and f after an iteration.
type Iteration = ([f64; 2], f64, u64, [f64; 2], f64);

type Function = fn(&[f64]) -> Result<(f64, Vec<f64>)>;

/// Iteration by iteration: a call of one iteration evaluates its first point, which the line search of a whole call has already.
#[track_caller]
fn assert_goes(settings: &Lbfgs, f: Function, start: [f64; 2], want: &[Iteration]) {
    let settings = Lbfgs { max_iter: 1, max_eval: Some(30), ..settings.clone() };
    let (mut memory, mut theta) = (Memory::default(), start.to_vec());
    for (i, (direction, t, evaluations, end, value)) in want.iter().enumerate() {
        let before = memory.evaluations + 1;
        settings.minimize(&mut memory, &mut theta, f).unwrap();
        let close = |got: f64, want: f64| (got - want).abs() <= 2e-9 * want.abs().max(1.0);
        let got = [memory.direction[0], memory.direction[1], memory.t, theta[0], theta[1], f(&theta).unwrap().0];
        let want = [direction[0], direction[1], *t, end[0], end[1], *value];
        assert!(
            got.iter().zip(want).all(|(got, want)| close(*got, want)),
            "iteration {}: {got:?}, not {want:?}",
            i + 1
        );
        if settings.line_search.is_some() {
            assert_eq!(memory.evaluations - before, *evaluations, "iteration {}", i + 1);
        }
    }
}

#[test]
fn follows_the_specification_on_a_quadratic() {
    let plain = [
        ([-4.0, -6.0], 0.1, 1, [0.6, 1.4], 4.14),
        ([-0.462_397_372_7, -1.679_802_956], 1.0, 1, [0.137_602_627_3, -0.279_802_955_7], -0.349_215_786_2),
        ([0.231_444_657_4, -0.334_867_313_4], 1.0, 1, [0.369_047_284_6, -0.614_670_269], -0.628_446_560_3),
    ];
    let exact = [
        ([-4.0, -6.0], 0.309_523_809_5, 2, [-0.238_095_238_1, 0.142_857_142_9], 0.452_380_952_4),
        ([0.375_697_865_4, -0.422_660_098_5], 2.230_769_231, 2, [0.6, -0.8], -0.7),
    ];
    let start = [1.0, 2.0];
    let wolfe =
        |lr, c2| Lbfgs { lr, line_search: Some(StrongWolfe { c2, ..StrongWolfe::default() }), ..Lbfgs::default() };
    assert_goes(&wolfe(1.0, 0.9), bowl, start, &plain);
    assert_goes(&wolfe(1.0, 0.1), bowl, start, &exact);
    assert_goes(&wolfe(10.0, 0.9), bowl, start, &exact);
    assert_goes(&Lbfgs { line_search: None, ..Lbfgs::default() }, bowl, start, &plain);
}

#[test]
fn follows_the_specification_through_the_valley() {
    let iterations = [
        ([215.6, 88.0], 0.000_813_859_321_2, 2, [-1.024_531_93, 1.071_619_62], 4.146_927_103),
        ([-0.003_924_644_21, -0.003_432_164_518], 1.0, 1, [-1.028_456_575, 1.068_187_456], 4.125_586_714),
        ([-0.000_422_960_275_7, -0.002_684_504_064], 1.0, 1, [-1.028_879_535, 1.065_502_952], 4.121_126_776),
        ([0.001_261_768_449, -0.007_090_873_419], 1.0, 1, [-1.027_617_766, 1.058_412_078], 4.111_816_452),
        ([0.007_309_285_989, -0.023_135_091_62], 1.0, 1, [-1.020_308_48, 1.035_276_987], 4.084_955_376),
    ];
    assert_goes(&Lbfgs::default(), valley, [-1.2, 1.0], &iterations);
    let whole = Lbfgs { max_iter: 100, max_eval: Some(1000), tolerance_change: 1e-9, ..Lbfgs::default() };
    let (mut memory, mut theta) = (Memory::default(), vec![-1.2, 1.0]);
    whole.minimize(&mut memory, &mut theta, valley).unwrap();
    let f = valley(&theta).unwrap().0;
    assert!((34..=36).contains(&memory.iterations) && f < 1e-9, "{memory:?} {theta:?} {f:e}");
}

/// A wall on the way: the search comes back from where the function has no value.
#[test]
fn comes_back_from_what_is_no_number() {
    let wall = |x: &[f64]| Ok((if x[0] > 1.5 { f64::NAN } else { -x[0] + 0.4 * x[0] * x[0] }, vec![-1.0 + 0.8 * x[0]]));
    let settings = Lbfgs { lr: 50.0, ..Lbfgs::default() };
    let (mut memory, mut theta) = (Memory::default(), vec![0.0]);
    settings.minimize(&mut memory, &mut theta, wall).unwrap();
    assert!((theta[0] - 1.25).abs() < 1e-4, "{theta:?}");
    let error = settings.minimize(&mut memory, &mut [2.0], wall).unwrap_err().to_string();
    assert!(error.contains("the loss is NaN where the search begins"), "{error}");
}
