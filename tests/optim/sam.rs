//! Sharpness-aware steps against the formula on the host.

use thalweg::{optim::Sam, prelude::*};
use thalweg_tests::{cpu, strict, test_gpu};

const START: [f64; 3] = [2.0, -1.0, 0.5];
const LR: f64 = 0.1;

/// `Σ i (x_i - 1)²`, whose gradient is `2 i (x_i - 1)`.
fn bowl(x: &Tensor) -> Tensor {
    let weight = Tensor::from_slice(x.device(), &[1.0f32, 2.0, 3.0], [3]);
    ((x - 1.0).square() * weight).sum(..)
}

fn gradient(x: &[f64]) -> Vec<f64> {
    x.iter().enumerate().map(|(i, x)| 2.0 * (i as f64 + 1.0) * (x - 1.0)).collect()
}

/// A step of plain gradient descent.
fn by_hand(x: &[f64], Sam { rho, adaptive }: Sam) -> Vec<f64> {
    let g = gradient(x);
    let size = |x: f64| if adaptive { x.abs() } else { 1.0 };
    let norm = x.iter().zip(&g).map(|(x, g)| (size(*x) * g).powi(2)).sum::<f64>().sqrt();
    let worst: Vec<f64> = x.iter().zip(&g).map(|(x, g)| x + rho * size(*x).powi(2) * g / norm).collect();
    x.iter().zip(gradient(&worst)).map(|(x, g)| x - LR * g).collect()
}

fn param(device: &Device) -> Result<Param> {
    Param::new(Tensor::from_slice(device, &START.map(|x| x as f32), [3]))
}

#[test]
fn goes_by_the_gradient_of_the_worst_point_near_by() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        for sam in [Sam::default(), Sam { rho: 0.5, ..Sam::default() }, Sam { rho: 0.5, adaptive: true }] {
            let x = param(&device)?;
            let opt = Sgd { lr: LR, ..Sgd::default() }.init(&x)?;
            let mut want = START.to_vec();
            for step in 0..5 {
                let loss = sam.step(&opt, || bowl(&x.tensor()))?.item()?;
                let at: f64 = want.iter().enumerate().map(|(i, x)| (i as f64 + 1.0) * (x - 1.0).powi(2)).sum();
                assert!((loss - at).abs() < 1e-4 * at.max(1.0), "{sam:?} on {device}: a loss of {loss}, not {at}");
                want = by_hand(&want, sam);
                let got = x.tensor().to_vec::<f64>()?;
                let close = got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-5);
                assert!(close, "{sam:?} on {device}, step {step}: {got:?}, not {want:?}");
            }
            assert_eq!(opt.report()?.steps, 5);
        }
    }
    Ok(())
}

/// Frozen parameters stay, gradients that are no numbers skip the step, and a distance of 0 is the optimizer's own step.
#[test]
fn keeps_what_a_step_keeps() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let net = vec![param(&device)?, param(&device)?];
        net[1].freeze(true);
        let opt = Sgd { lr: LR, ..Sgd::default() }.init(&net)?;
        let loss = |scale: f64| bowl(&(net[0].tensor() * net[1].tensor())) * scale;
        let sam = Sam { rho: 0.1, ..Sam::default() };
        sam.step(&opt, || loss(1.0)).map(drop)?;
        let after = net[0].tensor().to_vec::<f64>()?;
        assert_eq!(net[1].tensor().to_vec::<f64>()?, START);
        sam.step(&opt, || loss(f64::NAN)).map(drop)?;
        assert_eq!(net[0].tensor().to_vec::<f64>()?, after, "{device}");
        assert_eq!((opt.report()?.steps, opt.report()?.skipped), (1, 1), "{device}");
        let error = Sam { rho: f64::NAN, ..sam }.step(&opt, || loss(1.0)).unwrap_err().to_string();
        assert!(error.contains("rho = NaN is no distance"), "{error}");

        let (plain, aware) = (param(&device)?, param(&device)?);
        let adam = |x: &Param| Adam { lr: LR, ..Adam::default() }.init(x);
        let (one, two) = (adam(&plain)?, adam(&aware)?);
        for _ in 0..3 {
            one.step(&bowl(&plain.tensor()))?;
            Sam { rho: 0.0, ..sam }.step(&two, || bowl(&aware.tensor())).map(drop)?;
        }
        assert_eq!(plain.tensor().to_vec::<f64>()?, aware.tensor().to_vec::<f64>()?, "{device}");
    }
    Ok(())
}

/// In a compiled function both passes are recorded once.
#[test]
fn goes_in_a_compiled_step_as_outside() -> Result<()> {
    for device in [cpu(), test_gpu!()] {
        let (inside, outside) = (param(&device)?, param(&device)?);
        let sgd = |x: &Param| Sgd { lr: LR, momentum: 0.9, ..Sgd::default() }.init(x);
        let (one, two) = (sgd(&inside)?, sgd(&outside)?);
        let sam = Sam { rho: 0.3, ..Sam::default() };
        let mut step = compile(|[scale]: [Tensor; 1]| Ok([sam.step(&one, || bowl(&inside.tensor()) * &scale)?]));
        let scale = Tensor::scalar(&device, 1.0, DType::F32);
        for _ in 0..4 {
            step.call([&scale]).map(drop)?;
            sam.step(&two, || bowl(&outside.tensor()) * &scale).map(drop)?;
            assert_eq!(inside.tensor().to_vec::<f64>()?, outside.tensor().to_vec::<f64>()?, "{device}");
        }
    }
    Ok(())
}
