//! A step moves the parameters that the loss depends on and that are not frozen when it is taken. All others keep their bits, and so do
//! their slots and counts.

use thalweg::prelude::*;

use super::{assert_values, changed, devices, down, load, param, rules_of_any_shape, sgd, snapshot, sum};

#[derive(Clone, Module)]
struct Net {
    used: Param,
    other: Param,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        Ok(Net { used: param(device, &[1.0, -2.0])?, other: param(device, &[3.0])? })
    }
}

/// Every rule with as much of its own motion as it has: decay and momentum.
fn rules() -> Vec<Box<dyn Rule>> {
    let mut all: Vec<Box<dyn Rule>> = rules_of_any_shape()
        .map(|name| {
            let plain = thalweg::optim::rule(name, &[("lr", 0.1)]).expect("a rule");
            thalweg::optim::rule(name, &[("lr", 0.1), ("weight_decay", 0.5)]).unwrap_or(plain)
        })
        .collect();
    all.push(Box::new(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.5, ..sgd(0.1) }));
    all.push(Box::new(Adam { lr: 0.1, amsgrad: true, weight_decay: 0.5, ..Adam::default() }));
    all
}

#[test]
fn what_a_loss_does_not_use_keeps_its_bits() -> Result<()> {
    for device in devices() {
        for rule in rules() {
            let name = format!("{rule:?} on {device}");
            let net = Net::new(&device)?;
            let opt = rule.init(&net)?;
            down(&opt, &[&net.used, &net.other])?;
            let before = snapshot(&[&net, &opt])?;
            for _ in 0..3 {
                down(&opt, &[&net.used])?;
            }
            let moved = changed(&before, &snapshot(&[&net, &opt])?);
            assert!(moved.contains(&"0.used".to_string()), "{name}");
            let other: Vec<&String> = moved.iter().filter(|m| m.ends_with("other")).collect();
            assert!(other.is_empty(), "{name}: {other:?}");
        }
    }
    Ok(())
}

/// With pauses in both, each parameter follows its rule as if the other were not there.
#[test]
fn parameters_in_turns_are_as_in_optimizers_of_their_own() -> Result<()> {
    for device in devices() {
        for (one, two) in rules().into_iter().zip(rules()) {
            let name = format!("{one:?} on {device}");
            let (net, apart) = (Net::new(&device)?, Net::new(&device)?);
            let both = one.init(&net)?;
            let used = two.init(&apart.used)?;
            // Whether each is in the loss.
            let turns =
                [(true, false), (true, true), (false, true), (true, true), (false, true), (true, false), (true, true)];
            for _ in turns.iter().filter(|(u, _)| *u) {
                used.step(&apart.used.tensor().square().sum(..))?;
            }
            for (u, o) in turns {
                let of = |p: &Param| p.tensor().square().sum(..);
                let loss = match (u, o) {
                    (true, true) => of(&net.used) + of(&net.other),
                    (true, false) => of(&net.used),
                    _ => of(&net.other),
                };
                both.step(&loss)?;
            }
            let (got, want) = (net.used.tensor().to_vec::<f64>()?, apart.used.tensor().to_vec::<f64>()?);
            let far = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
            assert!(far < 1e-5, "{name}: {got:?}, not {want:?}");
        }
    }
    Ok(())
}

/// After three steps, by a flag: before the loss is recorded, between loss and step, and again after unfreezing.
#[test]
fn what_is_frozen_keeps_its_bits_and_goes_on_where_it_was() -> Result<()> {
    for device in devices() {
        for (one, two) in rules().into_iter().zip(rules()) {
            let name = format!("{one:?} on {device}");
            let (net, apart) = (Net::new(&device)?, Net::new(&device)?);
            let (opt, alone) = (one.init(&net)?, two.init(&apart.used)?);
            for _ in 0..3 {
                down(&opt, &[&net.used, &net.other])?;
                down(&alone, &[&apart.used])?;
            }
            let before = snapshot(&[&net.used, &opt])?;
            let recorded = sum(&[&net.used, &net.other]);
            net.used.freeze(true);
            opt.step(&recorded)?;
            down(&opt, &[&net.used, &net.other])?;
            net.used.freeze(false);
            let moved = changed(&before, &snapshot(&[&net.used, &opt])?);
            assert!(!moved.iter().any(|m| m.ends_with("used") || m == "0."), "{name}: {moved:?}");
            down(&opt, &[&net.used, &net.other])?;
            down(&alone, &[&apart.used])?;
            let (got, want) = (net.used.tensor().to_vec::<f64>()?, apart.used.tensor().to_vec::<f64>()?);
            let far = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
            assert!(far < 1e-5, "{name}: {got:?}, not {want:?}");
        }
    }
    Ok(())
}

/// The two numbers of the programs that first showed it, by the equations.
#[test]
fn adamw_neither_decays_nor_moves_what_is_left_out() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = AdamW { lr: 0.1, weight_decay: 0.5, ..AdamW::default() }.init(&net)?;
        for _ in 0..3 {
            down(&opt, &[&net.used])?;
        }
        assert_values(&net.other.tensor(), &[3.0]);
        // θ ← θ (1 - ηλ) - η, thrice.
        let mut theta = [1.0, -2.0];
        for _ in 0..3 {
            theta = theta.map(|t| t * 0.95 - 0.1);
        }
        assert_values(&net.used.tensor(), &theta);
        net.used.freeze(true);
        down(&opt, &[&net.used, &net.other])?;
        assert_values(&net.used.tensor(), &theta);
        assert_values(&net.other.tensor(), &[3.0 * 0.95 - 0.1]);
        assert_eq!(opt.report()?.steps, 4);
    }
    Ok(())
}

/// Frozen when the optimizer was made, free later: there is room for it, and nothing of the others is lost.
#[test]
fn what_is_unfrozen_later_is_trained() -> Result<()> {
    for device in devices() {
        for (one, two) in rules().into_iter().zip(rules()) {
            let name = format!("{one:?} on {device}");
            let (net, apart) = (Net::new(&device)?, Net::new(&device)?);
            net.other.freeze(true);
            let opt = one.init(&net)?.schedule(|step| 0.1 / (1.0 + step as f64));
            let used = two.init(&apart.used)?.schedule(|step| 0.1 / (1.0 + step as f64));
            for step in 0..6 {
                if step == 3 {
                    net.freeze(false);
                }
                down(&opt, &[&net.used, &net.other])?;
                down(&used, &[&apart.used])?;
            }
            assert_eq!(opt.report()?.steps, 6);
            let (got, want) = (net.used.tensor().to_vec::<f64>()?, apart.used.tensor().to_vec::<f64>()?);
            let far = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
            assert!(far < 1e-5, "{name}: {got:?}, not {want:?}");
            assert!(net.other.tensor().item()? < 3.0, "{name}");
            // Saved and loaded with all of it.
            let saved = snapshot(&[&net, &opt])?;
            down(&opt, &[&net.used, &net.other])?;
            let once = snapshot(&[&net, &opt])?;
            load(&saved, &[&net, &opt])?;
            down(&opt, &[&net.used, &net.other])?;
            assert_eq!(changed(&once, &snapshot(&[&net, &opt])?), [""; 0], "{name}");
        }
    }
    Ok(())
}

/// Freezing a part: `Module::freeze` of a head, a body, and everything.
#[test]
fn a_part_is_frozen_by_its_module() -> Result<()> {
    for device in devices() {
        let net = super::Net::new(&device)?;
        let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
        let x = super::rows(&device, 1);
        for frozen in [[true, false], [false, true], [false, false]] {
            net.body.freeze(frozen[0]);
            net.head.freeze(frozen[1]);
            let before = snapshot(&[&net.body, &net.head])?;
            opt.step(&net.loss(&x))?;
            let moved = changed(&before, &snapshot(&[&net.body, &net.head])?);
            for (i, frozen) in frozen.into_iter().enumerate() {
                let any = moved.iter().any(|m| m.starts_with(&i.to_string()));
                assert_eq!(any, !frozen, "part {i} on {device}: {moved:?}");
            }
        }
        // In evaluation mode nothing is tracked, and freezing says nothing of it.
        net.eval();
        net.freeze(false);
        assert!(!net.body.weight.tensor().is_tracked() && !net.body.weight.is_frozen());
        net.train();
        assert!(net.body.weight.tensor().is_tracked());
    }
    Ok(())
}

/// Through clipping, groups of parameters without any gradient count for nothing in the norm.
#[test]
fn what_does_not_move_is_not_in_the_norm() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(1.0).init(&net)?.clip_norm(1.0);
        let loss = net.used.tensor().sum(..) + net.other.tensor().sum(..) * 100.0;
        net.other.freeze(true);
        opt.step(&loss)?;
        let norm = 2f64.sqrt();
        assert_values(&net.used.tensor(), &[1.0 - 1.0 / norm, -2.0 - 1.0 / norm]);
        assert!((opt.report()?.grad_norm - norm).abs() < 1e-5, "{device}");
    }
    Ok(())
}
