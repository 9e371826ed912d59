//! Parameters in 16 bits: the optimizer's own numbers are in 32.

use thalweg::prelude::*;

use super::{assert_values, changed, devices, down, load, rules_of_any_shape, sgd, snapshot};

fn narrow(device: &Device, values: &[f32], dtype: DType) -> Result<Param> {
    Param::new(Tensor::from_slice(device, values, [values.len()]).cast(dtype))
}

/// Beyond 256, where bf16 stops counting, and so do schedules.
#[test]
fn steps_are_counted_beyond_256() -> Result<()> {
    for device in devices() {
        for dtype in [DType::BF16, DType::F16] {
            let p = narrow(&device, &[1.0], dtype)?;
            let opt = sgd(1.0).init(&p)?.schedule(|step| if step < 300 { 0.0 } else { 1.0 });
            for _ in 0..400 {
                down(&opt, &[&p])?;
            }
            assert_eq!(opt.report()?.steps, 400, "{dtype} on {device}");
            assert_values(&p.tensor(), &[-99.0]);
        }
    }
    Ok(())
}

/// A loss scale of 65,536 is beyond f16.
#[test]
fn the_loss_scale_fits_f16_parameters() -> Result<()> {
    for device in devices() {
        let device = device.with_precision(Precision::MixedF16);
        for start in [LossScale::default().init, 1024.0] {
            let p = narrow(&device, &[1.0, 2.0], DType::F16)?;
            let scale = LossScale { init: start, ..LossScale::default() };
            let opt = sgd(0.5).init(&p)?.loss_scale(scale)?;
            for _ in 0..20 {
                down(&opt, &[&p])?;
            }
            let report = opt.report()?;
            assert!(report.loss_scale.is_finite() && report.loss_scale >= 1.0, "{device}: {report:?}");
            assert!(report.skipped <= 8 && report.steps + report.skipped == 20, "{device}: {report:?}");
            let steps = report.steps as f64;
            assert_values(&p.tensor(), &[1.0 - 0.5 * steps, 2.0 - 0.5 * steps]);
        }
    }
    Ok(())
}

/// ε is 0 in f16, and a quotient of zeros no number.
#[test]
fn a_gradient_of_zero_moves_nothing() -> Result<()> {
    for device in devices() {
        for device in [device.clone(), device.op_by_op()] {
            for dtype in [DType::F16, DType::BF16] {
                for rule in rules_of_any_shape() {
                    let p = narrow(&device, &[1.0, 1.0], dtype)?;
                    // In which these two go by thousandths.
                    let lr = if ["Adadelta", "Lars"].contains(&rule) { 100.0 } else { 0.25 };
                    let opt = thalweg::optim::rule(rule, &[("lr", lr)])?.init(&p)?;
                    let mask = Tensor::from_slice(&device, &[1.0f32, 0.0], [2]).cast(dtype);
                    for _ in 0..2 {
                        opt.step(&(p.tensor() * &mask).sum(..))?;
                    }
                    let got = p.tensor().to_vec::<f64>()?;
                    assert!(got[0] < 1.0 && (0.9..=1.0).contains(&got[1]), "{rule} of {dtype} on {device}: {got:?}");
                }
            }
        }
    }
    Ok(())
}

/// Slots are in f32, so that a running mean of small gradients does not stick.
#[test]
fn slots_keep_digits_that_parameters_have_not() -> Result<()> {
    for device in devices() {
        let p = narrow(&device, &[0.0], DType::BF16)?;
        let opt = Adam { lr: 1e-3, beta2: 0.99, ..Adam::default() }.init(&p)?;
        for _ in 0..5 {
            opt.step(&(p.tensor() * 1e-3).sum(..))?;
        }
        // v = g² (1 - β2^t): in bf16 the fifth digit were gone.
        let v = snapshot(&[&opt])?;
        let name = v.iter().map(|(name, _)| name.to_string()).find(|n| n.contains("exp_avg_sq")).expect("a slot");
        let got = v.array(&name)?.upload(&device)?.cast(DType::F32).item()?;
        let g = f64::from(half::bf16::from_f64(1e-3).to_f32());
        let want = g * g * (1.0 - 0.99f64.powi(5));
        assert!((got / want - 1.0).abs() < 2e-2, "{device}: {got:e}, not {want:e}");
    }
    Ok(())
}

#[derive(Clone, Module)]
struct Mixed {
    narrow: Param,
    wide: Param,
    half: Param,
}

/// Several dtypes in one model, each in a buffer of its own, clipped by one norm.
#[test]
fn one_optimizer_moves_parameters_of_several_dtypes() -> Result<()> {
    for device in devices() {
        let make = || {
            Ok::<_, Error>(Mixed {
                narrow: narrow(&device, &[1.0], DType::BF16)?,
                wide: narrow(&device, &[2.0], DType::F32)?,
                half: narrow(&device, &[3.0], DType::F16)?,
            })
        };
        let loss = |n: &Mixed| {
            let [a, b, c] = [&n.narrow, &n.wide, &n.half].map(|p| p.tensor().cast(DType::F32).sum(..));
            a * 2.0 + b + c * 2.0
        };
        let net = make()?;
        let opt = sgd(3.0).init(&net)?.clip_norm(1.5);
        opt.step(&loss(&net))?;
        assert!((opt.report()?.grad_norm - 3.0).abs() < 1e-5);
        for (p, want) in [(&net.narrow, 1.0 - 3.0), (&net.wide, 2.0 - 1.5), (&net.half, 3.0 - 3.0)] {
            let got = p.tensor().to_vec::<f64>()?[0];
            assert!((got - want).abs() < 1e-2, "{device}: {got}, not {want}");
        }
        // To disk and back, with all dtypes.
        let momentum = || Sgd { momentum: 0.9, ..sgd(0.25) };
        let (net, again) = (make()?, make()?);
        let (opt, other) = (momentum().init(&net)?, momentum().init(&again)?);
        opt.step(&loss(&net))?;
        let saved = snapshot(&[&net, &opt])?;
        load(&saved, &[&again, &other])?;
        opt.step(&loss(&net))?;
        other.step(&loss(&again))?;
        assert_eq!(changed(&snapshot(&[&net, &opt])?, &snapshot(&[&again, &other])?), [""; 0], "{device}");
    }
    Ok(())
}

#[derive(Clone, Module)]
struct Net {
    norm: BatchNorm2d,
    head: Linear,
}

/// `Module::cast`: parameters are narrow, statistics stay as they are, tied ones stay tied, and the whole trains.
#[test]
fn a_model_is_cast_and_trained() -> Result<()> {
    for device in devices() {
        let rng = &mut Rng::seed(1);
        let wide = Net { norm: BatchNorm2d::new(1).init(&device, rng)?, head: Linear::new(4, 2).init(&device, rng)? };
        wide.head.weight.freeze(true);
        let head = wide.head.weight.tensor().to_vec::<f32>()?;
        let (net, twin) = (wide.clone(), wide.head.clone()).cast(DType::BF16)?;
        assert!(net.head.weight.same(&twin.weight) && !net.head.weight.same(&wide.head.weight));
        assert!(net.head.weight.is_frozen());
        assert!(net.params().iter().all(|(_, p)| p.tensor().dtype() == DType::BF16));
        assert!(net.states().iter().all(|(_, s)| s.tensor().dtype() == DType::F32));
        for (got, want) in net.head.weight.tensor().to_vec::<f32>()?.iter().zip(&head) {
            assert_eq!(*got, half::bf16::from_f32(*want).to_f32());
        }
        net.freeze(false);
        let opt = sgd(0.25).init(&net)?;
        let x = Tensor::arange(&device, 8).cast(DType::F32).reshape([2, 1, 2, 2]);
        let loss = || net.head.forward(&net.norm.forward(&x).flatten(1..)).cast(DType::F32).square().mean(..);
        let before = loss().item()?;
        for _ in 0..10 {
            opt.step(&loss())?;
        }
        let after = loss().item()?;
        assert!(after < 0.5 * before, "{device}: {before} and then {after}");
        assert_eq!(wide.head.weight.tensor().to_vec::<f32>()?, head, "{device}");
        let error = wide.clone().cast(DType::I32).err().expect("an error").to_string();
        assert!(error.contains("i32") && error.contains("gradient"), "{error}");
    }
    Ok(())
}
