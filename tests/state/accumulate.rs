//! Micro batches: their gradients are added up, and one step takes the mean.

use thalweg::prelude::*;

use super::{Net, Pair, assert_values, changed, devices, down, rows, sgd, snapshot, vector};

/// What one large batch gives.
#[test]
fn micro_batches_give_what_one_large_batch_gives() -> Result<()> {
    for device in devices() {
        for rule in ["sgd", "adam", "adamw"] {
            let (micro, whole) = (Net::new(&device)?, Net::new(&device)?);
            let rule = || thalweg::optim::rule(rule, &[("lr", 0.05)]).expect("a rule");
            let (a, b) = (rule().init(&micro)?.clip_norm(0.3), rule().init(&whole)?.clip_norm(0.3));
            for step in 0..3 {
                let parts = [0, 1, 2].map(|i| rows(&device, 10 * step + i));
                for part in &parts {
                    a.accumulate(&micro.loss(part))?;
                }
                a.step_accumulated()?;
                b.step(&whole.loss(&Tensor::concat(&parts, 0)))?;
            }
            for ((name, p), (_, q)) in micro.params().iter().zip(whole.params()) {
                let far = (p.tensor() - q.tensor()).abs().amax(..).item()?;
                assert!(far < 1e-6, "{name} on {device}: {far:e}");
            }
            assert_eq!(a.report()?.steps, 3);
        }
    }
    Ok(())
}

/// The sum, by hand: what only one batch has a gradient of counts as zero in the others.
#[test]
fn the_mean_is_over_all_that_were_added() -> Result<()> {
    for device in devices() {
        let net = (super::param(&device, &[1.0])?, super::param(&device, &[1.0])?);
        let opt = sgd(1.0).init(&net)?;
        for (x, y) in [(3.0, 0.0), (5.0, 4.0)] {
            let of_first = (net.0.tensor() * x).sum(..);
            opt.accumulate(&match y {
                0.0 => of_first,
                y => of_first + (net.1.tensor() * y).sum(..),
            })?;
        }
        opt.step_accumulated()?;
        assert_values(&net.0.tensor(), &[1.0 - 4.0]);
        assert_values(&net.1.tensor(), &[1.0 - 2.0]);
    }
    Ok(())
}

/// No batch is kept, however many are added; states that the passes set are written by the step, and by nothing before it.
#[test]
fn accumulating_holds_no_batches() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[0.0; 64], &[0.0])?;
        let opt = sgd(1.0).init(&net)?;
        let mut bytes = Vec::new();
        for i in 1..=24 {
            let x = vector(&device, &[i as f32; 64]);
            net.s.set(&(net.s.tensor() + x.slice(0, ..1)));
            opt.accumulate(&(net.p.tensor() * x).sum(..))?;
            device.synchronize()?;
            bytes.push(device.stats().device_bytes);
        }
        if device.properties().name.contains("cpu") {
            assert_eq!(bytes[11], bytes[23], "{device}");
        }
        assert_eq!((net.s.version(), net.p.tensor().to_vec::<f32>()?[0]), (0, 0.0));
        assert_values(&net.s.tensor(), &[300.0]);
        opt.step_accumulated()?;
        assert_eq!(net.s.version(), 1);
        assert_values(&net.p.tensor(), &[-12.5; 64]);
        assert_values(&net.s.tensor(), &[300.0]);
        down(&opt, &[&net.p])?;
        assert_eq!(net.s.version(), 1, "{device}");
    }
    Ok(())
}

/// In mixed f16: each batch is scaled on its way through, and the sum means what it says.
#[test]
fn accumulated_gradients_are_unscaled() -> Result<()> {
    for device in devices() {
        let device = device.with_precision(Precision::MixedF16);
        let (micro, whole) = (Net::new(&device)?, Net::new(&device)?);
        let opt = sgd(0.1).init(&micro)?.loss_scale(LossScale { init: 64.0, ..LossScale::default() })?;
        let plain = sgd(0.1).init(&whole)?.loss_scale(LossScale { init: 1.0, ..LossScale::default() })?;
        let x = rows(&device, 1);
        for _ in 0..2 {
            opt.accumulate(&micro.loss(&x))?;
        }
        opt.step_accumulated()?;
        plain.step(&whole.loss(&x))?;
        for ((name, p), (_, q)) in micro.params().iter().zip(whole.params()) {
            let far = (p.tensor() - q.tensor()).abs().amax(..).item()?;
            assert!(far < 1e-3, "{name} on {device}: {far:e}");
        }
        assert_eq!((opt.report()?.steps, opt.report()?.skipped), (1, 0));
    }
    Ok(())
}

/// A step by a loss alone in between leaves the sum to become old; a look does not.
#[test]
fn looks_between_micro_batches_change_nothing() -> Result<()> {
    for device in devices() {
        let run = |look: bool| {
            let net = Net::new(&device)?;
            let opt = sgd(0.5).init(&net)?;
            for seed in 0..2 {
                opt.accumulate(&net.loss(&rows(&device, seed)))?;
                if look {
                    net.eval();
                    net.loss(&rows(&device, 9)).item()?;
                    net.train();
                    drop((net.params(), opt.report()?, snapshot(&[&net, &opt])?));
                }
            }
            opt.step_accumulated()?;
            snapshot(&[&net, &opt])
        };
        assert_eq!(changed(&run(false)?, &run(true)?), [""; 0], "{device}");
    }
    Ok(())
}

/// What was added up lies where the rule reads it: the step is one launch for the norm by which it is measured and the counts, one for
/// the rule.
#[test]
fn a_step_by_what_was_added_up_reads_it_where_it_lies() -> Result<()> {
    let device = Device::cpu()?;
    let params = (0..5).map(|i| super::param(&device, &vec![i as f32; 70 + i])).collect::<Result<Vec<_>>>()?;
    let opt = Adam::default().init(&params)?;
    for losses in [1, 3] {
        for _ in 0..losses {
            opt.accumulate(&params.iter().map(|p| p.tensor().square().sum(..)).reduce(|a, b| a + b).expect("some"))?;
        }
        opt.step_accumulated()?;
        assert_eq!(device.last_step().expect("a step was taken").launches, 2, "of {losses}");
    }
    Ok(())
}
