//! L-BFGS on the executors: a small net to the bottom, the same bits after a stop, parameters that stay when the loss fails.

use thalweg::{
    module::snapshot::{Snapshot, Stateful},
    optim::{Lbfgs, LbfgsOptimizer},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

#[derive(Module)]
struct Net {
    hidden: Linear,
    head: Linear,
}

/// `sin` at 32 points, by eight units.
struct Fit {
    net: Net,
    x: Tensor,
    y: Tensor,
}

impl Fit {
    fn new(device: &Device) -> Result<Fit> {
        let rng = &mut Rng::seed(3);
        let net = Net { hidden: Linear::new(1, 8).init(device, rng)?, head: Linear::new(8, 1).init(device, rng)? };
        let x: Vec<f32> = (0..32).map(|i| i as f32 / 8.0 - 2.0).collect();
        let x = Tensor::from_slice(device, &x, [32, 1]);
        Ok(Fit { net, y: (&x * 1.5).sin(), x })
    }

    fn loss(&self) -> Tensor {
        (self.net.head.forward(&self.net.hidden.forward(&self.x).tanh()) - &self.y).square().mean(..)
    }

    fn bits(&self) -> Result<Vec<u64>> {
        let all = self.net.params().iter().map(|(_, p)| p.tensor().to_vec::<f64>()).collect::<Result<Vec<_>>>()?;
        Ok(all.concat().into_iter().map(f64::to_bits).collect())
    }
}

fn opt(fit: &Fit) -> Result<LbfgsOptimizer> {
    Lbfgs { max_iter: 5, history: 4, ..Lbfgs::default() }.init(&fit.net)
}

#[test]
fn a_net_is_fitted_in_a_few_calls() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let fit = Fit::new(&device)?;
        let opt = opt(&fit)?;
        let first = opt.step(|| fit.loss())?;
        for _ in 0..30 {
            opt.step(|| fit.loss())?;
        }
        let last = fit.loss().item()?;
        assert!(first > 0.1 && last < 2e-3, "{device}: from {first} to {last}");
    }
    Ok(())
}

#[test]
fn a_stopped_run_goes_on_with_the_same_bits() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let fit = Fit::new(&device)?;
        let one = opt(&fit)?;
        for _ in 0..3 {
            one.step(|| fit.loss())?;
        }
        let (mut net, mut state) = (Snapshot::new(), Snapshot::new());
        fit.net.save(&mut net)?;
        one.save(&mut state)?;
        let other = Fit::new(&device)?;
        let two = opt(&other)?;
        two.step(|| other.loss())?;
        other.net.load(&net)?;
        two.load(&state)?;
        for _ in 0..3 {
            assert_eq!(one.step(|| fit.loss())?.to_bits(), two.step(|| other.loss())?.to_bits(), "{device}");
        }
        assert_eq!(fit.bits()?, other.bits()?, "{device}");
        assert_eq!((one.iterations(), one.evaluations()), (two.iterations(), two.evaluations()));
        let small = Lbfgs::default().init(&fit.net.head)?;
        let error = small.load(&state).unwrap_err().to_string();
        assert!(error.contains("it is of parameters of other sizes"), "{error}");
    }
    Ok(())
}

/// Running statistics are written by the step that moved them, and come back when it fails.
#[test]
fn running_statistics_are_carried_along() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(1);
        let norm = BatchNorm1d::new(2).init(&device, rng)?;
        let x = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 5.0, 8.0, 13.0], [3, 2]);
        let loss = || (norm.forward(&x) - 1.0).square().mean(..);
        let mean = || norm.running_mean.as_ref().unwrap().tensor().to_vec::<f64>();
        let opt = Lbfgs { max_iter: 1, line_search: None, ..Lbfgs::default() }.init(&norm)?;
        opt.step(loss)?;
        let mut saved = Snapshot::new();
        norm.save(&mut saved)?;
        assert!(saved.iter().all(|(name, _)| !name.starts_with("#set")), "nothing waits on {device}");
        let after = mean()?;
        assert!(after.iter().zip([0.4, 20.0 / 30.0]).all(|(got, want)| (got - want).abs() < 1e-5), "{after:?}");
        opt.step(|| loss().reshape([7])).unwrap_err();
        assert_eq!(mean()?, after, "{device}");
    }
    Ok(())
}

#[test]
fn a_loss_that_fails_leaves_the_parameters() -> Result<()> {
    let fit = Fit::new(&cpu())?;
    let opt = opt(&fit)?;
    opt.step(|| fit.loss())?;
    let before = fit.bits()?;
    let mut evaluations = 0;
    let error = opt.step(|| {
        evaluations += 1;
        if evaluations < 3 { fit.loss() } else { fit.loss().reshape([7]) }
    });
    assert!(error.unwrap_err().to_string().contains("reshape"));
    assert_eq!(fit.bits()?, before);
    let apart = Tensor::scalar(fit.x.device(), 1.0, DType::F32).track();
    let error = opt.step(|| &apart * 2.0).unwrap_err().to_string();
    assert!(error.contains("depends on no parameter of this optimizer"), "{error}");
    let error = Lbfgs { lr: -1.0, ..Lbfgs::default() }.init(&fit.net).unwrap_err().to_string();
    assert!(error.contains("needs a rate, tolerances that are not negative, and 0 < c1 < c2 < 1"), "{error}");
    Ok(())
}
