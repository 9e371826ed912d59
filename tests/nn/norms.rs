//! Batch normalisation of every rank, and of more than one batch.

use thalweg::{
    nn::{BatchNorm3d, LocalResponseNorm, Moments},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, wave};

/// A batch of vectors, series or volumes is one of images with the same channels.
#[test]
fn batch_norm_of_every_rank_is_that_of_images() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(0);
        let x = wave(&device, &[4, 3, 2, 6]);
        let image = BatchNorm2d::new(3).init(&device, rng)?;
        let want = image.forward(&x).to_vec::<f64>()?;
        let (series, volume) = (BatchNorm1d::new(3).init(&device, rng)?, BatchNorm3d::new(3).init(&device, rng)?);
        close(&series.forward(&x.flatten(2..)).to_vec::<f64>()?, &want, 1e-5);
        close(&volume.forward(&x.unflatten(3, (2, 3))).to_vec::<f64>()?, &want, 1e-5);
        let running = |state: &Option<State>| state.as_ref().expect("tracked").tensor().to_vec::<f64>();
        for (mean, var) in [(&series.running_mean, &series.running_var), (&volume.running_mean, &volume.running_var)] {
            close(&running(mean)?, &running(&image.running_mean)?, 1e-6);
            close(&running(var)?, &running(&image.running_var)?, 1e-6);
        }
        let vectors = BatchNorm1d::new(3).init(&device, rng)?;
        let rows = x.movedim(&[1], &[3]).reshape([4 * 12, 3]);
        let turned = vectors.forward(&rows).reshape([4, 2, 6, 3]).movedim(&[3], &[1]);
        close(&turned.to_vec::<f64>()?, &want, 1e-5);
    }
    Ok(())
}

/// PyTorch: `bn = nn.BatchNorm1d(2, momentum=None)`, then `bn(x * t)` for t = 1, 2, 3 and x = `sin(0.7 i + 0.3)` of shape [4, 2].
#[test]
fn running_statistics_may_be_the_mean_of_all_batches() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let norm = BatchNorm1d::new(2).momentum(None).init(&device, &mut Rng::seed(0))?;
        let names: Vec<String> = norm.states().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["running_mean", "running_var", "num_batches_tracked"]);
        for t in 1..=3 {
            norm.forward(&(wave(&device, &[4, 2]) * t)).eval()?;
        }
        let value = |state: &Option<State>| state.as_ref().expect("tracked").tensor().to_vec::<f64>();
        close(&value(&norm.running_mean)?, &[0.1756178, 0.0108108], 1e-6);
        close(&value(&norm.running_var)?, &[3.1067303, 3.6074411], 1e-6);
        assert_eq!(value(&norm.num_batches_tracked)?, [3.0]);
        norm.eval();
        norm.forward(&wave(&device, &[4, 2])).eval()?;
        assert_eq!(value(&norm.num_batches_tracked)?, [3.0], "evaluation counts nothing");
    }
    Ok(())
}

/// Without running statistics evaluation normalises by the batch, as training does.
#[test]
fn nothing_is_tracked_if_so_asked() -> Result<()> {
    let device = cpu();
    let norm = BatchNorm2d::new(3).track_running_stats(false).init(&device, &mut Rng::seed(0))?;
    assert!(norm.states().is_empty());
    let x = wave(&device, &[2, 3, 4, 1]);
    let training = norm.forward(&x).to_vec::<f64>()?;
    norm.eval();
    assert_eq!(norm.forward(&x).to_vec::<f64>()?, training);
    let text = norm.forward(&Tensor::ones(&device, [1, 3, 1, 1])).to_vec::<f64>().unwrap_err().to_string();
    assert!(text.contains("batch_norm2d") && text.contains("one value for each channel"), "{text}");
    Ok(())
}

/// Two halves of a batch that exchange their moments are normalised as the whole is, and remember the same.
#[test]
fn halves_that_are_synchronised_are_a_whole() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(0);
        let x = wave(&device, &[6, 3, 4]).track();
        let whole = BatchNorm1d::new(3).init(&device, rng)?;
        let y = whole.forward(&x);
        let (first, second) = (x.slice(0, ..2), x.slice(0, 2..));
        let moments =
            |x: &Tensor| Moments { values: x.count() as f64 / 3.0, mean: x.mean([0, 2]), var: x.var([0, 2], 0) };
        let halves = [(first.clone(), moments(&second)), (second.clone(), moments(&first))];
        let mut parts = Vec::new();
        for (half, other) in halves {
            let join = move |own: &Moments| own.joined(std::slice::from_ref(&other));
            let norm = BatchNorm1d::new(3).synchronised(join).init(&device, rng)?;
            parts.push(norm.forward(&half));
            for (got, want) in [(&norm.running_mean, &whole.running_mean), (&norm.running_var, &whole.running_var)] {
                let value = |state: &Option<State>| state.as_ref().expect("tracked").tensor().to_vec::<f64>();
                close(&value(got)?, &value(want)?, 1e-5);
            }
        }
        let joined = Tensor::concat(&parts, 0);
        close(&joined.to_vec::<f64>()?, &y.to_vec::<f64>()?, 1e-5);
        let up = wave(&device, &[6, 3, 4]) * 0.3 + 1;
        let grad = |y: &Tensor| -> Result<Vec<f64>> {
            let grads = (y * &up).square().sum(..).backward()?;
            grads.get(&x).expect("tracked").to_vec::<f64>()
        };
        close(&grad(&joined)?, &grad(&y)?, 1e-4);
    }
    Ok(())
}

#[test]
fn local_response_norm_is_the_method() -> Result<()> {
    let x = wave(&strict(), &[2, 7, 3]);
    let layer = LocalResponseNorm::new(5).alpha(0.3).beta(0.6).k(2.0);
    close(&layer.forward(&x).to_vec::<f64>()?, &x.local_response_norm(5, 0.3, 0.6, 2.0).to_vec::<f64>()?, 0.0);
    Ok(())
}

/// Each micro-batch of an accumulated step moves the running statistics, as in PyTorch, and the step writes them once.
#[test]
fn accumulation_moves_running_statistics_by_every_batch() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(0);
        let net = (BatchNorm1d::new(2).momentum(0.5).init(&device, rng)?, Linear::new(2, 1).init(&device, rng)?);
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&net)?;
        let running = || net.0.running_mean.as_ref().expect("tracked");
        let mut want = [0.0; 2];
        for step in 1..=2u64 {
            for batch in 0..3 {
                let x = wave(&device, &[4, 2]) * (step as f64 + batch as f64) + batch as f64;
                let mean = x.mean(0).to_vec::<f64>()?;
                want = std::array::from_fn(|c| 0.5 * want[c] + 0.5 * mean[c]);
                opt.accumulate(&net.forward(&x).square().mean(..))?;
            }
            opt.step_accumulated()?;
            close(&running().tensor().to_vec::<f64>()?, &want, 1e-5);
            assert_eq!(running().version(), step, "{device}: once a step");
        }
    }
    Ok(())
}
