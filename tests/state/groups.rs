//! Groups of parameters with a rule, a rate and a decay of their own.

use thalweg::{optim::Select, prelude::*};

use super::{Net, assert_values, changed, devices, load, param, refuses, rows, sgd, snapshot};

#[derive(Clone, Module)]
struct Layer {
    weight: Param,
    bias: Param,
}

#[derive(Clone, Module)]
struct Two {
    body: Layer,
    head: Layer,
}

impl Two {
    fn new(device: &Device) -> Result<Two> {
        let layer = || Ok::<_, Error>(Layer { weight: param(device, &[1.0, 2.0])?, bias: param(device, &[1.0])? });
        Ok(Two { body: layer()?, head: layer()? })
    }

    fn all(&self) -> [&Param; 4] {
        [&self.body.weight, &self.body.bias, &self.head.weight, &self.head.bias]
    }
}

#[test]
fn no_decay_for_biases() -> Result<()> {
    for device in devices() {
        let net = Two::new(&device)?;
        let rule = |weight_decay| AdamW { lr: 0.1, weight_decay, ..AdamW::default() };
        let opt = rule(0.5).init(&net)?.group("*.bias", rule(0.0))?;
        super::down(&opt, &net.all())?;
        let decayed = [0.95 - 0.1, 1.9 - 0.1];
        assert_values(&net.body.weight.tensor(), &decayed);
        assert_values(&net.head.weight.tensor(), &decayed);
        assert_values(&net.body.bias.tensor(), &[0.9]);
        assert_values(&net.head.bias.tensor(), &[0.9]);
    }
    Ok(())
}

/// Another rule for a part, chosen by a predicate; the first group that chooses a parameter has it; rates move in proportion.
#[test]
fn rules_and_rates_of_their_own() -> Result<()> {
    for device in devices() {
        let net = Two::new(&device)?;
        let opt = sgd(0.1)
            .init(&net)?
            .group("head.bias", sgd(0.4))?
            .group(
                Select::by(|path, p| path.starts_with("head.") && p.shape() == [2]),
                Adam { lr: 0.2, ..Adam::default() },
            )?
            .group("head.*", sgd(9.0))?;
        // Gradients of 2: Adam goes by η whatever they are.
        let loss = || super::sum(&net.all()) * 2.0;
        opt.step(&loss())?;
        assert_values(&net.body.weight.tensor(), &[0.8, 1.8]);
        assert_values(&net.body.bias.tensor(), &[0.8]);
        assert_values(&net.head.weight.tensor(), &[0.8, 1.8]);
        assert_values(&net.head.bias.tensor(), &[0.2]);
        // Half the rate for all.
        opt.set_lr(0.05)?;
        opt.step(&loss())?;
        assert_values(&net.body.bias.tensor(), &[0.7]);
        assert_values(&net.head.weight.tensor(), &[0.7, 1.7]);
        assert_values(&net.head.bias.tensor(), &[-0.2]);
        opt.set_schedule(|step| if step == 2 { 0.1 } else { 0.0 });
        opt.step(&loss())?;
        assert_values(&net.body.bias.tensor(), &[0.5]);
        assert_values(&net.head.bias.tensor(), &[-1.0]);
        assert_eq!(opt.report()?.steps, 3);
        assert_eq!(opt.rule().lr(), 0.1);
    }
    Ok(())
}

/// One norm over all groups, and one decision whether to skip.
#[test]
fn clipping_and_skipping_are_over_all_groups() -> Result<()> {
    for device in devices() {
        let net = (param(&device, &[0.0])?, param(&device, &[0.0])?);
        let opt = sgd(1.0).init(&net)?.group("1", Sgd { momentum: 0.9, ..sgd(1.0) })?.clip_norm(1.0);
        opt.step(&(net.0.tensor() * 3.0 + net.1.tensor() * 4.0).sum(..))?;
        assert_values(&net.0.tensor(), &[-0.6]);
        assert_values(&net.1.tensor(), &[-0.8]);
        let before = snapshot(&[&net])?;
        opt.step(&(net.0.tensor() * 3.0 + net.1.tensor() * f64::NAN).sum(..))?;
        assert_eq!(changed(&before, &snapshot(&[&net])?), [""; 0], "{device}");
        assert_eq!(opt.report()?.skipped, 1);
        // A group of which the loss has nothing stands still, slots and all.
        let before = snapshot(&[&net.1, &opt])?;
        opt.step(&(net.0.tensor() * 0.5).sum(..))?;
        let moved = changed(&before, &snapshot(&[&net.1, &opt])?);
        assert!(!moved.iter().any(|m| m.ends_with(".1") || m == "0."), "{moved:?}");
        assert_values(&net.0.tensor(), &[-1.1]);
    }
    Ok(())
}

/// A group that is frozen at the start gets its rule when it is free.
#[test]
fn a_group_that_was_frozen_has_its_own_rule() -> Result<()> {
    for device in devices() {
        let net = Two::new(&device)?;
        net.head.freeze(true);
        let opt = sgd(0.5).init(&net)?.group("head.*", sgd(0.25))?;
        super::down(&opt, &net.all())?;
        assert_values(&net.head.bias.tensor(), &[1.0]);
        assert_values(&net.body.bias.tensor(), &[0.5]);
        net.head.freeze(false);
        super::down(&opt, &net.all())?;
        assert_values(&net.head.bias.tensor(), &[0.75]);
        assert_values(&net.body.bias.tensor(), &[0.0]);
        assert_eq!(opt.report()?.steps, 2);
    }
    Ok(())
}

/// Saved by parameter: loaded into an optimizer whose groups are others.
#[test]
fn other_groups_load_what_was_saved() -> Result<()> {
    for device in devices() {
        let rule = || Sgd { momentum: 0.9, ..sgd(0.1) };
        let (net, again) = (Net::new(&device)?, Net::new(&device)?);
        let opt = rule().init(&net)?.group("*.bias", rule())?;
        let x = rows(&device, 1);
        (0..3).try_for_each(|_| opt.step(&net.loss(&x)))?;
        let other = rule().init(&again)?.group("head.*", rule())?;
        load(&snapshot(&[&net, &opt])?, &[&again, &other])?;
        opt.step(&net.loss(&x))?;
        other.step(&again.loss(&x))?;
        for ((name, p), (_, q)) in net.params().iter().zip(again.params()) {
            let far = (p.tensor() - q.tensor()).abs().amax(..).item()?;
            assert!(far < 1e-6, "{name} on {device}: {far}");
        }
    }
    Ok(())
}

/// In a compiled step, with a part that is frozen between calls.
#[test]
fn groups_are_compiled_like_any_step() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let net = Net::new(&device)?;
            let opt = AdamW::default().init(&net)?.group("*.bias", sgd(0.1))?.group("head.*", Adam::default())?;
            let body = |[x]: [Tensor; 1]| {
                let loss = net.loss(&x);
                opt.step(&loss)?;
                Ok([loss])
            };
            let mut step = compile(body);
            for i in 0..5 {
                net.head.freeze(i == 2);
                let x = rows(&device, i);
                if compiled { step.call([&x]).map(drop)? } else { body([x]).map(drop)? }
            }
            snapshot(&[&net, &opt])
        };
        assert_eq!(changed(&run(false)?, &run(true)?), [""; 0], "{device}");
    }
    Ok(())
}

#[test]
fn groups_of_nothing_are_refused() -> Result<()> {
    for device in devices() {
        let net = Two::new(&device)?;
        let opt = || sgd(0.1).init(&net).expect("an optimizer");
        refuses(opt().group("*.scale", sgd(0.1)), line!(), &["group", "'*.scale'", "body.weight, body.bias"]);
        refuses(opt().group(Select::by(|_, _| false), sgd(0.1)), line!(), &["group", "a predicate"]);
        refuses(opt().group("*", sgd(-1.0)), line!(), &["group", "lr = -1"]);
        let stepped = opt();
        super::down(&stepped, &net.all())?;
        refuses(stepped.group("*", sgd(0.1)), line!(), &["before the first step"]);
        // A software driver does not like to be left at work.
        device.synchronize()?;
    }
    Ok(())
}
