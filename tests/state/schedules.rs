//! Learning rates by the device's own count of steps: of a resumed run, given late, changed, skipped, compiled.

use std::cell::Cell;

use thalweg::{
    optim::schedule::{Cosine, Exponential},
    prelude::*,
};

use thalweg_tests::own_gpu;

use super::{assert_values, devices, load, param, refuses, sgd, snapshot, vector};

/// A different rate in every step, so that one off shows.
fn rate(step: u64) -> f64 {
    1.0 / (1.0 + step as f64)
}

/// How far one step goes.
fn goes(p: &Param, opt: &Optimizer) -> Result<f64> {
    let before = p.tensor().item()?;
    opt.step(&p.tensor().sum(..))?;
    Ok(before - p.tensor().item()?)
}

#[track_caller]
fn assert_rate(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() < 2e-6 + 1e-5 * want, "{what}: {got}, not {want}");
}

/// The steps around which the ring of rates is filled anew.
const TURNS: [u64; 9] = [1, 10, 31, 32, 33, 40, 63, 64, 100];

#[test]
fn a_resumed_run_goes_on_with_its_rates() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(1.0).init(&p)?.schedule(rate);
        let mut step = 0;
        for at in TURNS {
            while step < at {
                opt.step(&p.tensor().sum(..))?;
                step += 1;
            }
            let saved = snapshot(&[&p, &opt])?;
            let q = param(&device, &[5.0])?;
            let again = sgd(1.0).init(&q)?.schedule(rate);
            if at == 40 {
                // One that has run itself, further than the other.
                (0..70).try_for_each(|_| again.step(&q.tensor().sum(..)))?;
            }
            load(&saved, &[&q, &again])?;
            for more in 0..if at == 10 { 70 } else { 3 } {
                assert_rate(goes(&q, &again)?, rate(at + more), &format!("step {at} + {more} on {device}"));
            }
            assert_eq!(again.report()?.steps, at + if at == 10 { 70 } else { 3 });
        }
    }
    Ok(())
}

#[test]
fn a_schedule_is_given_or_changed_at_any_time() -> Result<()> {
    for device in devices() {
        for at in TURNS {
            let p = param(&device, &[0.0])?;
            let opt = sgd(0.25).init(&p)?;
            for _ in 0..at {
                opt.step(&p.tensor().sum(..))?;
            }
            assert_values(&p.tensor(), &[-0.25 * at as f64]);
            p.set(&vector(&device, &[0.0]))?;
            opt.set_schedule(rate);
            for more in 0..2 {
                assert_rate(goes(&p, &opt)?, rate(at + more), &format!("given at {at} on {device}"));
            }
            opt.set_schedule(|step| 2.0 * rate(step));
            assert_rate(goes(&p, &opt)?, 2.0 * rate(at + 2), "changed");
            opt.set_lr(0.125)?;
            assert_rate(goes(&p, &opt)?, 0.125, "ended");
            opt.set_schedule(rate);
            assert_rate(goes(&p, &opt)?, rate(at + 4), "given again");
        }
    }
    Ok(())
}

/// A rate that is set as a handle; what is none is refused.
#[test]
fn a_rate_is_set_between_steps() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(0.5).init(&p)?;
        let handle = opt.rate();
        for lr in [0.5, 0.0, 1.0, 2.0, 0.25] {
            handle.set(lr)?;
            assert_rate(goes(&p, &opt)?, lr, "by the handle");
            opt.set_lr(lr * 0.5)?;
            assert_rate(goes(&p, &opt)?, lr * 0.5, "by the optimizer");
        }
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            refuses(opt.set_lr(bad), line!(), &["set_lr", &bad.to_string()]);
            refuses(handle.set(bad), line!(), &["set_lr", &bad.to_string()]);
        }
        assert_eq!(opt.lr(), 0.125);
        assert_rate(goes(&p, &opt)?, 0.125, "as before");
    }
    Ok(())
}

/// A skipped step does not advance the schedule, however many there are and whoever resumes after them.
#[test]
fn skipped_steps_use_no_rate() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(1.0).init(&p)?.schedule(rate);
        let bad = vector(&device, &[f32::NAN]);
        let mut taken = 0;
        for (bads, goods) in [(3, 2), (40, 3), (0, 40), (100, 5), (1, 1)] {
            for _ in 0..bads {
                opt.step(&(p.tensor() * &bad).sum(..))?;
            }
            for _ in 0..goods {
                assert_rate(goes(&p, &opt)?, rate(taken), &format!("step {taken} on {device}"));
                taken += 1;
            }
        }
        let report = opt.report()?;
        assert_eq!((report.steps, report.skipped), (51, 144), "{device}");
        let q = param(&device, &[0.0])?;
        let again = sgd(1.0).init(&q)?.schedule(rate);
        load(&snapshot(&[&p, &opt])?, &[&q, &again])?;
        assert_rate(goes(&q, &again)?, rate(51), "resumed");
    }
    Ok(())
}

/// Another schedule in the middle of skipped steps begins where the device counts, not where the host would.
#[test]
fn another_schedule_finds_the_count_among_skipped_steps() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(1.0).init(&p)?.schedule(rate);
        let bad = vector(&device, &[f32::NAN]);
        for round in 0..6 {
            for _ in 0..33 {
                opt.step(&(p.tensor() * &bad).sum(..))?;
            }
            let factor = 1.0 + round as f64;
            opt.set_schedule(move |step| factor * rate(step));
            assert_rate(goes(&p, &opt)?, factor * rate(round), &format!("round {round} on {device}"));
        }
    }
    Ok(())
}

/// In a compiled step: from the start, when a run is resumed between two calls, and when the schedule is another.
#[test]
fn compiled_steps_look_the_rate_up() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(1.0).init(&p)?.schedule(rate);
        let mut step = compile(|[x]: [Tensor; 1]| {
            opt.step(&(p.tensor() * &x).sum(..))?;
            Ok([x + 1.0])
        });
        let one = vector(&device, &[1.0]);
        let mut goes = |want: f64, what: &str| {
            let before = p.tensor().item()?;
            step.call([&one]).map(drop)?;
            assert_rate(before - p.tensor().item()?, want, what);
            Ok::<_, Error>(())
        };
        let start = snapshot(&[&p, &opt])?;
        for t in 0..70 {
            goes(rate(t), &format!("call {t} on {device}"))?;
        }
        load(&start, &[&p, &opt])?;
        for t in 0..40 {
            goes(rate(t), &format!("call {t} of the resumed run on {device}"))?;
        }
        opt.step(&p.tensor().sum(..))?;
        goes(rate(41), "after a step outside")?;
    }
    Ok(())
}

/// What is given between two calls is an input of the next one: another schedule, a rate instead of one, one instead of a rate. Only
/// the first schedule makes another step.
#[test]
fn compiled_steps_follow_another_schedule() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(0.5).init(&p)?;
        let recorded = Cell::new(0);
        let mut step = compile(|[x]: [Tensor; 1]| {
            recorded.set(recorded.get() + 1);
            opt.step(&(p.tensor() * &x).sum(..))?;
            Ok([x + 1.0])
        });
        let one = vector(&device, &[1.0]);
        let mut goes = |want: f64, recordings: u32, what: &str| {
            let before = p.tensor().item()?;
            step.call([&one]).map(drop)?;
            assert_rate(before - p.tensor().item()?, want, &format!("{what} on {device}"));
            assert_eq!(recorded.get(), recordings, "{what} on {device}");
            Ok::<_, Error>(())
        };
        goes(0.5, 1, "the rule's")?;
        opt.set_lr(0.25)?;
        goes(0.25, 1, "another rate")?;
        opt.set_schedule(rate);
        goes(rate(2), 2, "a schedule instead")?;
        opt.set_schedule(|step| 2.0 * rate(step));
        goes(2.0 * rate(3), 2, "another schedule")?;
        opt.set_lr(0.125)?;
        goes(0.125, 2, "a rate instead")?;
        goes(0.125, 2, "the same")?;
        let handle = opt.rate();
        handle.set(0.75)?;
        goes(0.75, 2, "by the handle")?;
        opt.set_schedule(Cosine { from: 1.0, to: 0.0, over: 14.0 });
        goes(0.5, 2, "a schedule again")?;
    }
    Ok(())
}

/// Step by step without compiled functions nothing is planned anew either.
#[test]
fn another_schedule_plans_nothing() -> Result<()> {
    let device = own_gpu();
    let p = param(&device, &[0.0])?;
    let opt = sgd(0.5).init(&p)?.schedule(rate);
    for _ in 0..3 {
        goes(&p, &opt)?;
    }
    let plans = device.stats().plans_built;
    opt.set_schedule(Exponential { rate: 0.5, gamma: 0.5 });
    assert_rate(goes(&p, &opt)?, 0.0625, "another schedule");
    opt.set_lr(0.25)?;
    assert_rate(goes(&p, &opt)?, 0.25, "a rate instead");
    assert_eq!(device.stats().plans_built, plans);
    Ok(())
}

/// A schedule of numbers that make none is an error of the steps that would look it up, and can be replaced.
#[test]
fn a_schedule_that_is_none_is_told() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0])?;
        let opt = sgd(0.5).init(&p)?.schedule(Cosine { from: 0.1, to: -0.1, over: 10.0 });
        refuses(opt.step(&p.tensor().sum(..)), line!(), &["schedule", "to = -0.1 is not a rate"]);
        opt.set_schedule(Cosine { from: 0.5, to: 0.1, over: 10.0 });
        assert_rate(goes(&p, &opt)?, 0.5, "a good one");
        assert_eq!(opt.current_schedule(), Some(Cosine { from: 0.5, to: 0.1, over: 10.0 }.into()));
    }
    Ok(())
}

/// A momentum that is another in every step.
fn momentum(step: u64) -> f64 {
    0.9 - 0.1 * (step % 5) as f64
}

/// The momentum and β1 of the rules by schedules of their own, by the device's count: skipped steps use none.
#[test]
fn settings_follow_schedules() -> Result<()> {
    for device in devices() {
        for nesterov in [false, true] {
            let p = param(&device, &[1.0])?;
            let rule = Sgd { lr: 0.1, momentum: 0.5, nesterov, ..Sgd::default() };
            let opt = rule.init(&p)?.schedule_of("momentum", momentum);
            let (mut x, mut b, mut taken) = (1.0, 0.0, 0);
            for step in 0..80 {
                if step % 3 == 1 {
                    opt.step(&(p.tensor() * f64::NAN).sum(..))?;
                    continue;
                }
                opt.step(&(p.tensor().square() * 0.5).sum(..))?;
                let (mu, g) = (momentum(taken), x);
                b = if taken == 0 { g } else { mu * b + g };
                x -= 0.1 * if nesterov { g + mu * b } else { b };
                taken += 1;
                let got = p.tensor().item()?;
                assert!((got - x).abs() < 1e-5, "step {step} on {device}: {got}, not {x}");
            }
        }
        let p = param(&device, &[1.0])?;
        let opt = AdamW { lr: 0.1, weight_decay: 0.0, ..AdamW::default() }.init(&p)?.schedule_of("beta1", momentum);
        let (mut x, mut m, mut v, mut c1, mut c2) = (1.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for step in 0..20 {
            opt.step(&(p.tensor().square() * 0.5).sum(..))?;
            let (beta, g) = (momentum(step), x);
            m = beta * m + (1.0 - beta) * g;
            c1 = beta * c1 + (1.0 - beta);
            (v, c2) = (0.999 * v + 0.001 * g * g, 0.999 * c2 + 0.001);
            x -= 0.1 * (m / c1) / ((v / c2).sqrt() + 1e-8);
            let got = p.tensor().item()?;
            assert!((got - x).abs() < 1e-4, "step {step} on {device}: {got}, not {x}");
        }
    }
    Ok(())
}

/// One more setting makes other steps, another schedule of it does not; a resumed run goes on with it.
#[test]
fn compiled_steps_follow_schedules_of_settings() -> Result<()> {
    for device in devices() {
        let rule = || Sgd { lr: 0.1, momentum: 0.5, ..Sgd::default() };
        let (p, q) = (param(&device, &[1.0])?, param(&device, &[1.0])?);
        let (inside, outside) = (rule().init(&p)?, rule().init(&q)?);
        let recorded = Cell::new(0);
        let mut step = compile(|[x]: [Tensor; 1]| {
            recorded.set(recorded.get() + 1);
            inside.step(&(p.tensor().square() * &x).sum(..))?;
            Ok([x + 1.0])
        });
        let half = vector(&device, &[0.5]);
        let mut both = |recordings: u32, what: &str| {
            step.call([&half]).map(drop)?;
            outside.step(&(q.tensor().square() * &half).sum(..))?;
            assert_eq!(p.tensor().to_vec::<f32>()?, q.tensor().to_vec::<f32>()?, "{what} on {device}");
            assert_eq!(recorded.get(), recordings, "{what} on {device}");
            Ok::<_, Error>(())
        };
        both(1, "the rule's")?;
        for opt in [&inside, &outside] {
            opt.set_schedule_of("momentum", momentum);
        }
        for _ in 0..40 {
            both(2, "by a schedule")?;
        }
        for opt in [&inside, &outside] {
            opt.set_schedule_of("momentum", Cosine { from: 0.9, to: 0.0, over: 60.0 });
        }
        both(2, "by another")?;
        let saved = snapshot(&[&q, &outside])?;
        let r = param(&device, &[0.0])?;
        let again = rule().init(&r)?.schedule_of("momentum", Cosine { from: 0.9, to: 0.0, over: 60.0 });
        load(&saved, &[&r, &again])?;
        for _ in 0..3 {
            both(2, "on and on")?;
            again.step(&(r.tensor().square() * &half).sum(..))?;
            assert_eq!(r.tensor().to_vec::<f32>()?, q.tensor().to_vec::<f32>()?, "resumed on {device}");
        }
        let plain = sgd(0.1).init(&r)?.schedule_of("momentum", 0.5);
        let loss = r.tensor().sum(..);
        refuses(plain.step(&loss), line!(), &["a schedule of 'momentum', which no rule looks up"]);
    }
    Ok(())
}
