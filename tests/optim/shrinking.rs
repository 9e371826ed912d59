//! Penalties, clipping by any norm, and averages of weights, by numbers.

use thalweg::{
    optim::{Average, Penalty},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

fn devices() -> [Device; 3] {
    [strict(), cpu(), test_gpu!()]
}

fn sgd(lr: f64) -> Sgd {
    Sgd { lr, ..Sgd::default() }
}

fn vector(device: &Device, values: &[f32]) -> Tensor {
    Tensor::from_slice(device, values, [values.len()])
}

#[track_caller]
fn near(what: &str, got: &Tensor, want: &[f64]) {
    let got = got.to_vec::<f64>().unwrap_or_else(|error| panic!("{what}: {error}"));
    let is = |(g, w): (&f64, &f64)| (g - w).abs() <= 2e-6 * w.abs().max(1e-3);
    assert!(got.len() == want.len() && got.iter().zip(want).all(is), "{what}: {got:?}, not {want:?}");
}

/// θ after a step by nothing but a penalty.
fn penalised(device: &Device, lr: f64, penalty: Penalty) -> Result<Tensor> {
    let p = Param::new(vector(device, &[1.0, -2.0, 0.5, 0.0]))?;
    sgd(lr).penalized(penalty).init(&p)?.step(&(p.tensor() * 0.0).sum(..))?;
    Ok(p.tensor())
}

#[test]
fn penalties() -> Result<()> {
    for device in devices() {
        let p = Param::new(vector(&device, &[1.0, -2.0, 0.5]))?;
        for (penalty, value) in
            [(Penalty::l1(0.01), 0.035), (Penalty::l2(0.01), 0.02625), (Penalty::elastic_net(0.01, 0.01), 0.06125)]
        {
            near("the value", &penalty.of(&p)?, &[value]);
        }
        near("l1", &penalised(&device, 1.0, Penalty::l1(0.01))?, &[0.99, -1.99, 0.49, 0.0]);
        near("l2", &penalised(&device, 1.0, Penalty::l2(0.01))?, &[0.99, -1.98, 0.495, 0.0]);
        near("both", &penalised(&device, 1.0, Penalty::elastic_net(0.01, 0.01))?, &[0.98, -1.97, 0.485, 0.0]);
        let exact = penalised(&device, 2.0, Penalty::l1(0.3).proximal())?;
        near("the proximal step", &exact, &[0.4, -1.4, 0.0, 0.0]);
        assert_eq!(exact.to_vec::<f32>()?[2], 0.0, "{device}");
        // The squares are in the gradient either way.
        let both = penalised(&device, 0.5, Penalty::elastic_net(0.2, 1.0).proximal())?;
        near("the proximal step of both", &both, &[0.4, -0.9, 0.15, 0.0]);
        let refused = sgd(0.1).penalized(Penalty::l1(-1.0)).init(&p).expect_err("less than nothing");
        assert!(refused.to_string().contains("l1 = -1 is not in [0, inf)"), "{refused}");
    }
    Ok(())
}

/// A model of which most is noise: the proximal step finds the zeros.
#[test]
fn what_does_not_matter_becomes_zero() -> Result<()> {
    for device in devices() {
        let mut rng = Rng::seed(9);
        let x: Vec<f32> = (0..64 * 16).map(|_| rng.normal() as f32).collect();
        let x = Tensor::from_slice(&device, &x, [64, 16]);
        let y = (x.slice(1, 0..2) * vector(&device, &[2.0, -3.0])).sum_keepdim(1);
        let w = Param::new(Tensor::zeros(&device, [16, 1]))?;
        let opt = sgd(0.1).penalized(Penalty::l1(0.1).proximal()).init(&w)?;
        (0..200).try_for_each(|_| opt.step(&(x.matmul(&w.tensor()) - &y).square().mean(..)))?;
        let found = w.tensor().to_vec::<f32>()?;
        assert!(found[0] > 1.5 && found[1] < -2.5 && found[2..].iter().all(|w| *w == 0.0), "{device}: {found:?}");
    }
    Ok(())
}

/// `p` minus a step of rate 1 from zero: the clipped gradients.
fn clipped(device: &Device, with: impl Fn(Optimizer) -> Optimizer) -> Result<(Tensor, Tensor, f64)> {
    let net = (Param::new(Tensor::zeros(device, [2]))?, Param::new(Tensor::zeros(device, [2, 2]))?);
    let opt = with(sgd(1.0).init(&net)?.group("1", Sgd { momentum: 0.5, ..sgd(1.0) })?);
    let b = vector(device, &[12.0, 0.0, 0.0, -84.0]).reshape([2, 2]);
    opt.step(&((net.0.tensor() * vector(device, &[3.0, -4.0])).sum(..) + (net.1.tensor() * b).sum(..)))?;
    Ok((-net.0.tensor(), -net.1.tensor().flatten(..), opt.report()?.grad_norm))
}

#[test]
fn clipping_by_any_norm_is_over_all_groups() -> Result<()> {
    for device in devices() {
        let cube = (27.0f64 + 64.0 + 1728.0 + 592_704.0).cbrt();
        for (p, norm) in [(1.0, 103.0), (2.0, 85.0), (3.0, cube), (f64::INFINITY, 84.0)] {
            let (a, b, measured) = clipped(&device, |opt| opt.clip_norm_of(1.0, p))?;
            let c = 1.0 / (norm + 1e-6);
            near(&format!("a by norm {p}"), &a, &[3.0 * c, -4.0 * c]);
            near(&format!("b by norm {p}"), &b, &[12.0 * c, 0.0, 0.0, -84.0 * c]);
            assert!((measured - norm).abs() < 1e-5 * norm, "{p} on {device}: {measured}");
        }
        let (a, b, _) = clipped(&device, |opt| opt.clip_each(10.0))?;
        let c = 10.0 / ((144.0f64 + 7056.0).sqrt() + 1e-6);
        near("a", &a, &[3.0, -4.0]);
        near("b", &b, &[12.0 * c, 0.0, 0.0, -84.0 * c]);
        let (a, b, _) = clipped(&device, |opt| opt.clip_value(5.0))?;
        near("a by value", &a, &[3.0, -4.0]);
        near("b by value", &b, &[5.0, 0.0, 0.0, -5.0]);
        let refused = clipped(&device, |opt| opt.clip_norm_of(1.0, -1.0)).expect_err("no norm");
        assert!(refused.to_string().contains("there is no norm of order -1"), "{refused}");
    }
    Ok(())
}

/// The variance of the noise falls as it should, and what lies between parameters gets none.
#[test]
fn noise_fades() -> Result<()> {
    for device in devices() {
        let net = (Param::new(Tensor::zeros(&device, [3000]))?, Param::new(Tensor::zeros(&device, [3001]))?);
        let opt = sgd(1.0).init(&net)?.gradient_noise(0.5, 1.0, &mut Rng::seed(4));
        let mut before = [vec![0.0; 3000], vec![0.0; 3001]];
        for t in 0..3 {
            opt.step(&((net.0.tensor().sum(..) + net.1.tensor().sum(..)) * 0.0))?;
            let now = [net.0.tensor().to_vec::<f64>()?, net.1.tensor().to_vec::<f64>()?];
            let moved: Vec<f64> = now.iter().flatten().zip(before.iter().flatten()).map(|(a, b)| a - b).collect();
            let variance = moved.iter().map(|d| d * d).sum::<f64>() / moved.len() as f64;
            let want = 0.5 / (1.0 + f64::from(t));
            assert!((variance / want - 1.0).abs() < 0.1, "step {t} on {device}: {variance}, not {want}");
            before = now;
        }
    }
    Ok(())
}

/// On the way of gradient descent in a quadratic bowl.
const WAY: [[f32; 2]; 3] = [[0.6, 1.4], [0.38, 0.96], [0.27, 0.63]];

#[test]
fn averages() -> Result<()> {
    type Of = fn(&Param) -> Result<Average>;
    let cases: [(&str, Of, [[f64; 2]; 3]); 4] = [
        ("a decay", |p| Average::exponential(p, 0.9), [[0.96, 1.94], [0.902, 1.842], [0.8388, 1.7208]]),
        (
            "a decay with warm-up",
            |p| Ok(Average::exponential(p, 0.999)?.warmup()),
            [[0.64, 1.46], [0.4272727273, 1.050909091], [0.3093181818, 0.7352272727]],
        ),
        (
            "a decay from zero",
            |p| Average::exponential(p, 0.9)?.from_zero(),
            [[0.6, 1.4], [0.4842105263, 1.168421053], [0.4051660517, 0.9697416974]],
        ),
        ("a mean", |p| Average::mean(p), [[0.6, 1.4], [0.49, 1.18], [1.25 / 3.0, 2.99 / 3.0]]),
    ];
    for device in devices() {
        for (what, of, want) in &cases {
            let p = Param::new(vector(&device, &[1.0, 2.0]))?;
            let average = of(&p)?;
            near(&format!("{what} on {device} at first"), &average.during(|| p.tensor())?, &[1.0, 2.0]);
            for (at, want) in WAY.iter().zip(want) {
                p.set(&vector(&device, at))?;
                average.update()?;
                near(&format!("{what} on {device}"), &average.during(|| p.tensor())?, want);
            }
            // Saved and loaded, it goes on.
            let mut saved = thalweg::module::snapshot::Snapshot::new();
            average.save(&mut saved)?;
            let again = of(&p)?;
            again.load(&saved)?;
            for average in [&average, &again] {
                average.update()?;
            }
            let values = |a: &Average| a.during(|| p.tensor().to_vec::<f64>())?;
            assert_eq!(values(&average)?, values(&again)?, "{what} on {device}");
            average.write()?;
        }
        let p = Param::new(vector(&device, &[1.0]))?;
        assert!(Average::mean(&p)?.from_zero().is_err());
    }
    Ok(())
}
