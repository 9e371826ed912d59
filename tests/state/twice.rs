//! Gradients that cannot be meant are errors, and change nothing.

use thalweg::prelude::*;

use super::{Pair, assert_values, changed, devices, down, load, param, refuses, sgd, snapshot, vector};

/// A rule that would move parameters by itself.
fn rule() -> AdamW {
    AdamW { lr: 0.1, weight_decay: 0.5, ..AdamW::default() }
}

/// A model, its optimizer after a first step, and what both hold.
fn started(device: &Device) -> Result<(Pair, Optimizer)> {
    let net = Pair::new(device, &[1.0, 2.0], &[0.0])?;
    let opt = rule().init(&net)?;
    down(&opt, &[&net.p])?;
    Ok((net, opt))
}

#[test]
fn the_same_loss_twice() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let loss = net.p.tensor().square().sum(..);
        opt.step(&loss)?;
        let before = snapshot(&[&net, &opt])?;
        refuses(opt.step(&loss), line!(), &["version 1 of parameter 'p'", "version 2"]);
        refuses(opt.backward(&loss), line!(), &["version 1 of parameter 'p'", "version 2"]);
        refuses(loss.backward(), line!(), &["parameter 'p'"]);
        refuses(opt.accumulate(&loss), line!(), &["parameter 'p'"]);
        refuses(opt.step(&(&loss * 2.0)), line!(), &["parameter 'p'"]);
        assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{device}");
        // Of which another part is new.
        refuses(opt.step(&(&loss + net.p.tensor().sum(..))), line!(), &["parameter 'p'"]);
        assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{device}");
        down(&opt, &[&net.p])?;
        assert_eq!(opt.report()?.steps, 3);
    }
    Ok(())
}

/// Whatever writes a parameter between a forward pass and its step.
#[test]
fn a_loss_of_before_a_write() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let other = sgd(0.1).init(&net.p)?;
        let saved = snapshot(&[&net])?;
        let average = thalweg::optim::Average::mean(&net)?;
        type Write<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>);
        let writes: [Write; 5] = [
            ("another's step", Box::new(|| down(&other, &[&net.p]))),
            ("its own step", Box::new(|| down(&opt, &[&net.p]))),
            ("set", Box::new(|| net.p.set(&vector(&device, &[3.0, 4.0])))),
            ("load", Box::new(|| load(&saved, &[&net]))),
            ("an average", Box::new(|| average.write())),
        ];
        for (name, write) in writes {
            let (lazy, computed, grads) = (
                net.p.tensor().square().sum(..),
                net.p.tensor().square().sum(..),
                opt.backward(&net.p.tensor().square().sum(..))?,
            );
            computed.eval()?;
            write()?;
            let before = snapshot(&[&net, &opt])?;
            for result in [opt.step(&lazy), opt.step(&computed), opt.apply(&grads)] {
                let error = result.expect_err(name);
                assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{name} on {device}: {error}");
                assert!(error.to_string().contains("'p'") && error.to_string().contains("twice.rs"), "{name}: {error}");
            }
            assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{name} on {device}");
        }
    }
    Ok(())
}

#[test]
fn gradients_applied_twice_or_late() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let grads = opt.backward(&net.p.tensor().square().sum(..))?;
        opt.apply(&grads)?;
        let before = snapshot(&[&net, &opt])?;
        refuses(opt.apply(&grads), line!(), &["step", "applied already"]);
        refuses(opt.apply(&grads.clone()), line!(), &["step", "applied already"]);
        refuses(opt.apply(&grads.clone().map(|g| g * 0.5)), line!(), &["step", "applied already"]);
        assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{device}");
        // With one step in between, they are old.
        let late = opt.backward(&net.p.tensor().square().sum(..))?;
        down(&opt, &[&net.p])?;
        refuses(opt.apply(&late), line!(), &["step", "'p'"]);
        refuses(opt.apply(&(late.clone() + late)), line!(), &["step", "'p'"]);
        // Micro batches from before a step.
        opt.accumulate(&net.p.tensor().square().sum(..))?;
        down(&opt, &[&net.p])?;
        refuses(opt.step_accumulated(), line!(), &["step", "'p'"]);
        refuses(opt.step_accumulated(), line!(), &["step", "nothing was accumulated"]);
        down(&opt, &[&net.p])?;
    }
    Ok(())
}

#[test]
fn a_loss_of_something_else() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let other = param(&device, &[1.0])?;
        let before = snapshot(&[&net, &opt])?;
        let none = &["step", "no gradient of any parameter of this optimizer"];
        refuses(opt.step(&other.tensor().sum(..)), line!(), none);
        refuses(opt.apply(&other.tensor().sum(..).backward()?), line!(), none);
        refuses(opt.apply(&Grads::new()), line!(), none);
        opt.accumulate(&other.tensor().sum(..))?;
        refuses(opt.step_accumulated(), line!(), none);
        // Nothing is tracked in it.
        let untracked = &["nothing that this was computed from is tracked"];
        refuses(opt.step(&Tensor::ones(&device, ())), line!(), untracked);
        refuses(opt.step(&net.p.tensor().detach().sum(..)), line!(), untracked);
        refuses(opt.step(&net.s.tensor().sum(..)), line!(), untracked);
        net.eval();
        let in_eval = net.p.tensor().sum(..);
        net.train();
        refuses(opt.step(&in_eval), line!(), &["nothing that this was computed from is tracked", ".train()"]);
        // Frozen meanwhile, or when it was recorded.
        let loss = net.p.tensor().sum(..);
        net.freeze(true);
        refuses(opt.step(&loss), line!(), &["step", "not frozen"]);
        let frozen = net.p.tensor().sum(..) + other.tensor().sum(..);
        net.freeze(false);
        refuses(opt.step(&frozen), line!(), none);
        assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{device}");
        assert_values(&other.tensor(), &[1.0]);
        // The loss from before is as good as ever.
        opt.step(&loss)?;
        assert_eq!(opt.report()?.steps, 2);
    }
    Ok(())
}

#[test]
fn a_loss_that_is_not_one_number_or_carries_an_error() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let before = snapshot(&[&net, &opt])?;
        refuses(opt.step(&net.p.tensor()), line!(), &["[2]", "is no scalar"]);
        refuses(opt.accumulate(&net.p.tensor()), line!(), &["[2]", "is no scalar"]);
        refuses(opt.step(&net.p.tensor().slice(0, ..0)), line!(), &["[0]", "is no scalar"]);
        let (bad, line) = ((net.p.tensor() + Tensor::ones(&device, [3])).sum(..), line!());
        refuses(opt.step(&bad), line, &["add", "[2]", "[3]", "'p'"]);
        refuses(opt.accumulate(&bad), line, &["add", "'p'"]);
        let mut grads = Grads::new();
        refuses(grads.insert(&net.p, &Tensor::ones(&device, [3])), line!(), &["insert", "[2]", "[3]"]);
        assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{device}");
        // One element of any rank is one number.
        opt.step(&net.p.tensor().sum(..).reshape([1, 1]))?;
        assert_eq!(opt.report()?.steps, 2);
    }
    Ok(())
}

/// An error of a step leaves what was set for it to the next one.
#[test]
fn states_wait_for_a_step_that_is_taken() -> Result<()> {
    for device in devices() {
        let (net, opt) = started(&device)?;
        let other = param(&device, &[1.0])?;
        net.s.set(&(net.s.tensor() + 1.0));
        assert!(opt.step(&other.tensor().sum(..)).is_err());
        assert_eq!(net.s.version(), 0, "{device}");
        down(&opt, &[&net.p])?;
        assert_eq!(net.s.version(), 1, "{device}");
        assert_values(&net.s.tensor(), &[1.0]);
    }
    Ok(())
}
