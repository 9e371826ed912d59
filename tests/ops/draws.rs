//! Draws: their moments, what they cannot be, and that devices agree.

use thalweg_graph::{Device, Result, Rng, Stream, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

const N: usize = 100_000;

fn stream(seed: u64) -> Stream {
    Rng::seed(seed).stream()
}

/// Mean and variance against these, within five of their standard errors (of the variance about, from the kurtosis).
#[track_caller]
fn moments(draws: &Tensor, mean: f64, var: f64, kurtosis: f64) {
    let x = draws.to_vec::<f64>().unwrap();
    let n = x.len() as f64;
    let m = x.iter().sum::<f64>() / n;
    let v = x.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n;
    assert!(x.iter().all(|x| x.is_finite()));
    assert!((m - mean).abs() < 5.0 * (var / n).sqrt(), "mean {m}, not {mean}");
    assert!((v / var - 1.0).abs() < 5.0 * ((kurtosis - 1.0) / n).sqrt(), "variance {v}, not {var}");
}

fn check(device: &Device) {
    let pi2 = std::f64::consts::PI.powi(2);
    moments(&stream(1).uniform(device, [N]), 0.5, 1.0 / 12.0, 1.8);
    moments(&stream(2).uniform_in(device, -3.0, 1.0, [N]), -1.0, 16.0 / 12.0, 1.8);
    moments(&stream(3).normal_of(device, 2.0, 0.5, [N]), 2.0, 0.25, 3.0);
    moments(&stream(4).exponential(device, 4.0, [N]), 0.25, 1.0 / 16.0, 9.0);
    moments(&stream(5).gumbel(device, [N]), 0.577_215_664_9, pi2 / 6.0, 5.4);
    // Between -1 and 1 a standard normal has variance 1 - 2 φ(1) / (2 Φ(1) - 1).
    let truncated = stream(6).truncated_normal(device, 0.0, 1.0, (-1.0, 1.0), [N]);
    moments(&truncated, 0.0, 1.0 - 2.0 * 0.241_970_724_5 / 0.682_689_492_1, 2.0);
    assert!(truncated.abs().amax(..).item().unwrap() <= 1.0);
    let p = Tensor::from_slice(device, &[0.0f32, 0.3, 1.0], [3, 1]).broadcast_to([3, N]);
    let hits = stream(7).bernoulli_of(&p).cast(thalweg_graph::DType::F32).mean(1).to_vec::<f64>().unwrap();
    assert!(hits[0] == 0.0 && hits[2] == 1.0 && (hits[1] - 0.3).abs() < 0.01, "{hits:?}");
}

#[test]
fn moments_on_cpu() {
    check(&strict());
    check(&cpu());
}

#[test]
fn moments_on_gpu() {
    check(&test_gpu!());
}

#[test]
fn devices_draw_the_same() -> Result<()> {
    let draws = |device: &Device| -> Result<[Vec<f64>; 4]> {
        let s = stream(9);
        let p = s.uniform(device, [1000]);
        Ok([
            p.to_vec()?,
            s.bernoulli(device, 0.3, [1000]).to_vec()?,
            s.bernoulli_of(&p).to_vec()?,
            s.permutation(device, 1000).to_vec()?,
        ])
    };
    let want = draws(&strict())?;
    for device in [cpu(), test_gpu!()] {
        assert_eq!(draws(&device)?, want, "{device}");
    }
    let mut order = want[3].clone();
    assert_ne!(order, (0..1000).map(f64::from).collect::<Vec<_>>());
    order.sort_unstable_by(f64::total_cmp);
    assert_eq!(order, (0..1000).map(f64::from).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn classes_come_in_proportion() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let weights = Tensor::from_slice(&device, &[0.0f32, 1.0, 0.0, 3.0, 0.0], [5]);
        let drawn = stream(5).multinomial(&weights, 4000, true).to_vec::<i32>()?;
        let share = drawn.iter().filter(|c| **c == 3).count() as f64 / 4000.0;
        assert!(drawn.iter().all(|c| *c == 1 || *c == 3) && (share - 0.75).abs() < 0.04, "{device}: {share}");
        // First of two without replacement: in proportion; both, for there are no others.
        let rows = weights.unsqueeze(0).broadcast_to([2000, 5]);
        let drawn = stream(6).multinomial(&rows, 2, false);
        assert_eq!(drawn.shape(), [2000, 2]);
        let drawn = drawn.to_vec::<i32>()?;
        let share = drawn.chunks(2).filter(|c| c[0] == 3).count() as f64 / 2000.0;
        assert!(drawn.chunks(2).all(|c| c[0] + c[1] == 4 && c[0] != 2), "{device}");
        assert!((share - 0.75).abs() < 0.05, "{device}: {share}");
    }
    Ok(())
}

#[test]
fn messages() {
    let device = strict();
    let text = |t: Tensor| t.to_vec::<f64>().unwrap_err().to_string();
    let error = text(stream(0).truncated_normal(&device, 0.0, 1.0, (1.0, -1.0), [3]));
    assert!(error.contains("truncated_normal") && error.contains("between 1 and -1"), "{error}");
    let error = text(stream(0).multinomial(&Tensor::ones(&device, [2, 3]), 4, false));
    assert!(error.contains("multinomial") && error.contains("[2, 3]") && error.contains("4 draws"), "{error}");
}
