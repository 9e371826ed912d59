//! A skipped step changes nothing but the loss scale and the count of skipped steps.

use thalweg::prelude::*;

use super::{Pair, assert_values, changed, devices, load, param, rules_of_any_shape, sgd, snapshot, state, vector};

#[derive(Clone, Module)]
struct Net {
    norm: BatchNorm2d,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let rng = &mut Rng::seed(1);
        Ok(Net { norm: BatchNorm2d::new(1).init(device, rng)?, head: Linear::new(4, 2).init(device, rng)? })
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.norm.forward(x).flatten(1..)).square().mean(..)
    }
}

fn images(device: &Device, seed: u64, first: f32) -> Tensor {
    let mut rng = Rng::seed(seed);
    let mut values: Vec<f32> = (0..8).map(|_| rng.normal() as f32).collect();
    if !first.is_nan() {
        values[0] = first;
    }
    Tensor::from_slice(device, &values, [2, 1, 2, 2])
}

/// How a step is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Plain,
    Clipped,
    Apply,
    Accumulated,
    Compiled,
}

/// A model after good batches, with bad ones in between or not.
fn train(device: &Device, rule: &str, how: How, bad: &[f32]) -> Result<(thalweg::module::snapshot::Snapshot, u64)> {
    let net = Net::new(device)?;
    // A counter beside the model, which a bad batch must not advance either.
    let seen = state(device, &[0.0])?;
    let mut opt = thalweg::optim::rule(rule, &[("lr", 0.01)])?.init(&net)?;
    // Gradients are looked at only where they are measured.
    if matches!(how, How::Clipped | How::Apply) {
        opt = opt.clip_norm(1.0);
    }
    let step = |[x]: [Tensor; 1]| {
        seen.set(&(seen.tensor() + 1.0));
        let loss = net.loss(&x);
        match how {
            How::Apply => opt.apply(&loss.backward()?)?,
            How::Accumulated => {
                opt.accumulate(&loss)?;
                opt.step_accumulated()?;
            }
            _ => opt.step(&loss)?,
        }
        Ok([x * 1.0])
    };
    let mut compiled = compile(step);
    let mut go = |x: Tensor| match how {
        How::Compiled => compiled.call([&x]).map(drop),
        _ => step([x]).map(drop),
    };
    for seed in 0..3 {
        for value in bad {
            go(images(device, seed, *value))?;
        }
        go(images(device, seed, f32::NAN))?;
    }
    drop((compiled, step));
    assert_values(&seen.tensor(), &[3.0]);
    let skipped = opt.report()?.skipped;
    let mut all = snapshot(&[&net, &opt])?;
    // Where the count of skipped steps and the latest norm are.
    all.remove("1.#control");
    Ok((all, skipped))
}

#[test]
fn bad_batches_leave_no_trace() -> Result<()> {
    for device in devices() {
        for how in [How::Plain, How::Clipped, How::Apply, How::Accumulated, How::Compiled] {
            let (want, none) = train(&device, "sgd", how, &[])?;
            let (got, skipped) = train(&device, "sgd", how, &[f32::INFINITY, f32::NEG_INFINITY])?;
            assert_eq!(changed(&want, &got), [""; 0], "{how:?} on {device}");
            assert_eq!((none, skipped), (0, 6), "{how:?} on {device}");
        }
    }
    Ok(())
}

#[test]
fn nor_in_what_any_rule_keeps() -> Result<()> {
    for device in devices() {
        for rule in rules_of_any_shape() {
            let (want, _) = train(&device, rule, How::Plain, &[])?;
            let (got, skipped) = train(&device, rule, How::Plain, &[f32::NEG_INFINITY])?;
            assert_eq!(changed(&want, &got), [""; 0], "{rule} on {device}");
            assert_eq!(skipped, 3);
        }
    }
    Ok(())
}

/// In mixed f16 a gradient that is not finite skips a step, and halves the scale.
#[test]
fn in_mixed_f16_nor_do_overflows() -> Result<()> {
    for device in devices() {
        let device = device.with_precision(Precision::MixedF16);
        let run = |bad: bool| {
            let net = Net::new(&device)?;
            let scale = LossScale { init: 4.0, ..LossScale::default() };
            let opt = Adam { lr: 0.01, ..Adam::default() }.init(&net)?.loss_scale(scale)?;
            for seed in 0..3 {
                if bad {
                    opt.step(&net.loss(&images(&device, seed, f32::INFINITY)))?;
                }
                opt.step(&net.loss(&images(&device, seed, f32::NAN)))?;
            }
            let report = opt.report()?;
            assert_eq!((report.steps, report.skipped), (3, if bad { 3 } else { 0 }), "{device}");
            assert_eq!(report.loss_scale, if bad { 1.0 } else { 4.0 }, "{device}: not below its floor");
            snapshot(&[&net])
        };
        let (want, got) = (run(false)?, run(true)?);
        for name in ["0.norm.running_mean", "0.norm.running_var"] {
            assert_eq!(want.get(name), got.get(name), "{name} on {device}");
        }
    }
    Ok(())
}

/// A loss that is finite, with a gradient that is not.
#[test]
fn where_gradients_are_measured_a_bad_one_skips() -> Result<()> {
    for device in devices() {
        for way in 0..2 {
            let net = Pair::new(&device, &[0.0, 1.0], &[3.0])?;
            let opt = sgd(0.5).init(&net)?;
            let opt = if way == 0 { opt.clip_norm(1.0) } else { opt };
            net.s.set(&(net.s.tensor() + 1.0));
            let loss = net.p.tensor().sqrt().sum(..);
            match way {
                0 => opt.step(&loss)?,
                _ => {
                    opt.accumulate(&loss)?;
                    opt.step_accumulated()?;
                }
            }
            assert_values(&loss, &[1.0]);
            assert_values(&net.p.tensor(), &[0.0, 1.0]);
            assert_values(&net.s.tensor(), &[3.0]);
            assert_eq!((opt.report()?.steps, opt.report()?.skipped), (0, 1), "way {way} on {device}");
        }
    }
    Ok(())
}

/// Every way in which a loss is not finite.
#[test]
fn whatever_makes_a_loss_not_finite() -> Result<()> {
    for device in devices() {
        for (name, factor) in [("NaN", f32::NAN), ("∞", f32::INFINITY), ("-∞", f32::NEG_INFINITY), ("overflow", 3e38)]
        {
            let net = Pair::new(&device, &[2.0], &[3.0])?;
            let opt = Sgd { momentum: 0.9, ..sgd(0.5) }.init(&net)?;
            let before = snapshot(&[&net])?;
            net.s.set(&(net.s.tensor() * f64::from(factor)));
            let loss = (net.p.tensor() * vector(&device, &[factor])).sum(..);
            opt.step(&loss)?;
            assert!(!loss.item()?.is_finite(), "{name} on {device}");
            assert_eq!(changed(&before, &snapshot(&[&net])?), [""; 0], "{name} on {device}");
            // The next one is taken as the first.
            super::down(&opt, &[&net.p])?;
            assert_values(&net.p.tensor(), &[1.5]);
        }
    }
    Ok(())
}

/// States of modules that the optimizer does not have are set by the batch as well.
#[test]
fn states_of_other_modules_are_not_set_by_a_bad_batch() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(0.1).init(&net.head)?;
        let before = snapshot(&[&net])?;
        opt.step(&net.loss(&images(&device, 1, f32::INFINITY)))?;
        assert_eq!(changed(&before, &snapshot(&[&net])?), [""; 0], "{device}");
        opt.step(&net.loss(&images(&device, 1, f32::NAN)))?;
        let moved = changed(&before, &snapshot(&[&net])?);
        assert_eq!(moved, ["0.head.bias", "0.head.weight", "0.norm.running_mean", "0.norm.running_var"], "{device}");
        net.eval();
        assert!(net.loss(&images(&device, 2, f32::NAN)).item()?.is_finite());
    }
    Ok(())
}

/// An empty last batch, say.
#[test]
fn an_empty_batch_moves_no_statistics() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(0.1).init(&net)?;
        let before = snapshot(&[&net.norm])?;
        opt.step(&net.norm.forward(&Tensor::zeros(&device, [0, 1, 2, 2])).sum(..))?;
        let after = snapshot(&[&net.norm])?;
        for name in ["0.running_mean", "0.running_var"] {
            assert_eq!(before.get(name), after.get(name), "{name} on {device}");
        }
    }
    Ok(())
}

/// Loaded statistics are written, not set: a bad first batch does not undo them.
#[test]
fn what_was_loaded_stays_when_the_first_step_is_skipped() -> Result<()> {
    for device in devices() {
        let (from, to) = (Net::new(&device)?, Net::new(&device)?);
        from.norm.running_mean.as_ref().unwrap().write(&vector(&device, &[4.0]))?;
        let file = std::env::temp_dir().join(format!("thalweg-skipped-{}.safetensors", std::process::id()));
        thalweg::train::save(&file, &from)?;
        let opt = sgd(0.1).init(&to)?;
        for by_file in [true, false] {
            to.norm.running_mean.as_ref().unwrap().write(&vector(&device, &[1.0]))?;
            match by_file {
                true => thalweg::train::load(&file, &to)?,
                false => load(&snapshot(&[&from])?, &[&to])?,
            }
            opt.step(&to.loss(&images(&device, 1, f32::INFINITY)))?;
            assert_values(&to.norm.running_mean.as_ref().unwrap().tensor(), &[4.0]);
        }
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// 200 bad batches in a row, then good ones.
#[test]
fn the_loss_scale_has_a_floor() -> Result<()> {
    for device in devices() {
        let device = device.with_precision(Precision::MixedF16);
        let p = param(&device, &[1.0])?;
        let opt = sgd(0.5).init(&p)?;
        for step in 0..204 {
            let x = vector(&device, &[if step < 200 { f32::NAN } else { 1.0 }]);
            opt.step(&(p.tensor() * x).sum(..))?;
        }
        let report = opt.report()?;
        assert_eq!((report.steps, report.skipped, report.loss_scale), (4, 200, 1.0), "{device}");
        assert_values(&p.tensor(), &[-1.0]);
    }
    Ok(())
}

/// The scale grows and shrinks by its own count, and is none of the parameters' business.
#[test]
fn the_loss_scale_moves_as_it_is_told() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[1.0])?;
        let scale = LossScale { init: 8.0, interval: 2, max: 16.0, min: 4.0, ..LossScale::default() };
        let opt = sgd(0.5).init(&p)?.loss_scale(scale)?;
        let mut steps = Vec::new();
        for factor in [1.0f32, 1.0, 1.0, 1.0, f32::NAN, 1.0, f32::NAN, f32::NAN, f32::NAN, 1.0, 1.0] {
            opt.step(&(p.tensor() * vector(&device, &[factor])).sum(..))?;
            steps.push(opt.report()?.loss_scale);
        }
        assert_eq!(steps, [8.0, 16.0, 16.0, 16.0, 8.0, 8.0, 4.0, 4.0, 4.0, 4.0, 8.0], "{device}");
        assert_values(&p.tensor(), &[1.0 - 7.0 * 0.5]);
    }
    Ok(())
}
