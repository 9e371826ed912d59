//! What the kinds of dropout drop, and what stands in its place.

use thalweg::{
    graph::Mode,
    nn::{
        AlphaDropout, DropConnect, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout, StochasticDepth,
        StochasticDepthOfBatch,
    },
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

/// For each of the first axes' positions whether all of the rest is the same, and that value.
fn uniform_over(y: &Tensor, lead: usize) -> Result<Vec<f64>> {
    let rows: usize = y.shape()[..lead].iter().product();
    let values = y.to_vec::<f64>()?;
    let row = values.len() / rows;
    Ok(values.chunks(row).map(|row| if row.iter().all(|v| *v == row[0]) { row[0] } else { f64::NAN }).collect())
}

#[test]
fn what_goes_together_is_dropped_together() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(1);
        let ones = |shape: &[usize]| Tensor::ones(&device, shape);
        let (series, images) = (Dropout1d::new(0.5).init(&device, rng)?, Dropout2d::new(0.5).init(&device, rng)?);
        let volumes = Dropout3d::new(0.5).init(&device, rng)?;
        for (y, lead) in [
            (series.forward(&ones(&[8, 32, 3])), 2),
            (series.forward(&ones(&[256, 3])), 1),
            (images.forward(&ones(&[8, 32, 2, 3])), 2),
            (volumes.forward(&ones(&[8, 32, 2, 1, 3])), 2),
            (volumes.forward(&ones(&[256, 2, 1, 3])), 1),
            (StochasticDepth::new(0.5).init(&device, rng)?.forward(&ones(&[256, 3, 2])), 1),
        ] {
            let kept = uniform_over(&y, lead)?;
            assert!(kept.iter().all(|v| *v == 0.0 || *v == 2.0), "{device}: {kept:?}");
            let share = kept.iter().filter(|v| **v == 2.0).count();
            assert!((96..160).contains(&share), "{device}: {share} of 256");
        }
        let batch = StochasticDepthOfBatch::new(0.5).init(&device, rng)?;
        let mut seen = [0; 2];
        for _ in 0..32 {
            let kept = uniform_over(&batch.forward(&ones(&[4, 3])), 0)?;
            assert!(kept == [0.0] || kept == [2.0], "{kept:?}");
            seen[usize::from(kept == [2.0])] += 1;
        }
        assert!(seen.iter().all(|n| *n > 6), "{seen:?}");
    }
    Ok(())
}

/// Normal numbers keep mean 0 and variance 1, and take one value where they are dropped.
#[test]
fn alpha_dropout_keeps_the_moments() -> Result<()> {
    for device in [cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(2);
        let values: Vec<f32> = (0..64 * 1024).map(|_| rng.normal() as f32).collect();
        let x = Tensor::from_slice(&device, &values, [64, 64, 16]);
        let (p, alpha) = (0.3f64, 1.7580993408473766);
        let a = ((1.0 - p) * (1.0 + p * alpha * alpha)).powf(-0.5);
        let dropped = a * alpha * (p - 1.0);
        let (each, channels) =
            (AlphaDropout::new(p).init(&device, rng)?, FeatureAlphaDropout::new(p).init(&device, rng)?);
        for y in [each.forward(&x), channels.forward(&x)] {
            assert!(y.mean(..).item()?.abs() < 0.05 && (y.var(.., 1).item()? - 1.0).abs() < 0.06);
            let share = (&y - dropped).abs().lt(1e-5).cast(DType::F32).mean(..).item()?;
            assert!((share - p).abs() < 0.03, "{share}");
        }
        let rows = uniform_over(&(channels.forward(&x) - dropped).abs().lt(1e-5).cast(DType::F32), 2)?;
        assert!(rows.iter().all(|v| *v == 0.0 || *v == 1.0), "whole channels");
    }
    Ok(())
}

#[test]
fn connections_are_dropped_for_the_whole_batch() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(3);
        let linear = Linear::new(40, 30).bias(false).init(&device, rng)?;
        linear.weight.set(&Tensor::ones(&device, [30, 40]))?;
        let layer = DropConnect::new(linear, 0.25).init(&device, rng)?;
        let eye = Tensor::arange(&device, 40).unsqueeze(1).eq(Tensor::arange(&device, 40)).cast(DType::F32);
        let first = layer.forward(&eye).to_vec::<f64>()?;
        let second = layer.forward(&eye).to_vec::<f64>()?;
        let kept = first.iter().filter(|v| **v != 0.0).count() as f64 / first.len() as f64;
        assert!(first != second && (kept - 0.75).abs() < 0.06, "{device}: {kept}");
        assert!(first.iter().all(|v| *v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        let twice = layer.forward(&Tensor::ones(&device, [2, 40]));
        assert_eq!(twice.select(0, 0).to_vec::<f64>()?, twice.select(0, 1).to_vec::<f64>()?);
        layer.eval();
        assert!(layer.forward(&eye).to_vec::<f64>()?.iter().all(|v| *v == 1.0));
        let grads = layer.forward(&eye).sum(..).backward();
        assert!(grads.is_err() || grads?.get(&layer.layer.weight).is_none(), "evaluation tracks nothing");
    }
    Ok(())
}

/// In evaluation mode, and with `p = 0`, every kind gives its input back; stochastic depth may drop everything.
#[test]
fn nothing_is_dropped_in_evaluation() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(4));
    let x = Tensor::ones(&device, [3, 2, 2]).track();
    let all = (
        Dropout1d::new(0.9).init(&device, rng)?,
        AlphaDropout::new(0.9).init(&device, rng)?,
        FeatureAlphaDropout::new(0.9).init(&device, rng)?,
        StochasticDepth::new(1.0).init(&device, rng)?,
        StochasticDepthOfBatch::new(1.0).init(&device, rng)?,
    );
    let none = all.3.forward(&x);
    let grads = none.sum(..).backward()?;
    assert_eq!(none.to_vec::<f64>()?, [0.0; 12]);
    assert_eq!(grads.get(&x).expect("tracked").to_vec::<f64>()?, [0.0; 12]);
    all.eval();
    assert!(all.forward(&x).same(&x));
    let modes = |net: &dyn Module| {
        struct Count(usize);
        impl thalweg::graph::Visitor for Count {
            fn param(&mut self, _: &thalweg::graph::Path, _: &Param) {}
            fn mode(&mut self, _: &thalweg::graph::Path, _: &Mode) {
                self.0 += 1;
            }
        }
        let mut count = Count(0);
        net.visit(&thalweg::graph::Path::default(), &mut count);
        count.0
    };
    assert_eq!(modes(&all), 5);
    Ok(())
}
