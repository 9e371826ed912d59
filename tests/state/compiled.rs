//! A compiled function does what it would do now, whatever was changed outside since it was recorded.

use thalweg::prelude::*;

use super::{
    Net, Pair, assert_same, assert_values, changed, devices, down, load, param, refuses, rows, sgd, snapshot, vector,
};

#[derive(Clone, Module)]
struct Layers {
    drop: Dropout,
    norm: BatchNorm2d,
    head: Linear,
}

impl Layers {
    fn new(device: &Device) -> Result<Layers> {
        let rng = &mut Rng::seed(3);
        Ok(Layers {
            drop: Dropout::new(0.5).init(device, rng)?,
            norm: BatchNorm2d::new(1).init(device, rng)?,
            head: Linear::new(4, 2).init(device, rng)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.drop.forward(&self.norm.forward(x)).flatten(1..))
    }
}

fn images(device: &Device, seed: u64) -> Tensor {
    let mut rng = Rng::seed(seed);
    let values: Vec<f32> = (0..12).map(|_| rng.normal() as f32).collect();
    Tensor::from_slice(device, &values, [3, 1, 2, 2])
}

/// The same calls of a function and of its compiled form, with the same changes in between, on two copies of a model.
#[test]
fn modes_changed_outside_are_seen() -> Result<()> {
    for device in devices() {
        let (plain, net) = (Layers::new(&device)?, Layers::new(&device)?);
        let mut forward = compile(|[x]: [Tensor; 1]| Ok([net.forward(&x)]));
        type Change = fn(&Layers);
        let changes: [Change; 8] = [
            |_| (),
            |n| n.eval(),
            |n| n.drop.train(),
            |n| n.train(),
            |n| n.norm.eval(),
            |_| (),
            |n| n.eval(),
            |n| n.train(),
        ];
        for (i, change) in changes.iter().enumerate() {
            change(&plain);
            change(&net);
            let x = images(&device, i as u64);
            let want = plain.forward(&x);
            assert_same(&forward.call([&x])?[0], &want.detach(), &format!("call {i} on {device}"));
        }
        // Training, evaluation, dropout alone, and all but the norm.
        assert_eq!(forward.recordings(), 4);
        drop(forward);
        let statistics = |n: &Layers| snapshot(&[&n.norm]);
        assert_eq!(changed(&statistics(&plain)?, &statistics(&net)?), [""; 0], "{device}");
    }
    Ok(())
}

/// Training with a look into the model between the calls: borrowed by the function, it can be evaluated, saved, frozen.
#[test]
fn a_compiled_step_trains_like_a_plain_one_whatever_is_done_between() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let net = Layers::new(&device)?;
            let opt = AdamW { lr: 0.05, weight_decay: 0.1, ..AdamW::default() }.init(&net)?.clip_norm(1.0);
            let body = |[x]: [Tensor; 1]| {
                let loss = net.forward(&x).square().mean(..);
                opt.step(&loss)?;
                Ok([loss])
            };
            let mut step = compile(body);
            let mut seen = Vec::new();
            for i in 0..14 {
                match i {
                    2 => net.head.freeze(true),
                    4 => net.head.freeze(false),
                    5 => net.head.weight.freeze(true),
                    6 => {
                        net.head.weight.freeze(false);
                        net.norm.eval();
                    }
                    7 => net.train(),
                    8 => opt.set_lr(0.01)?,
                    9 => net.norm.freeze(true),
                    10 => {
                        let saved = snapshot(&[&net, &opt])?;
                        opt.step(&net.forward(&images(&device, 99)).square().mean(..))?;
                        load(&saved, &[&net, &opt])?;
                    }
                    11 => net.freeze(false),
                    12 => {
                        net.head.weight.set(&(net.head.weight.tensor() * 0.5))?;
                        net.norm
                            .running_mean
                            .as_ref()
                            .unwrap()
                            .set(&(net.norm.running_mean.as_ref().unwrap().tensor() + 1.0));
                    }
                    13 => drop(sgd(0.1).init(&net.head)?),
                    _ => {}
                }
                let x = images(&device, i);
                let [loss] = if compiled { step.call([&x])? } else { body([x])? };
                seen.push(loss.item()?);
                // A look at the middle of it all.
                net.eval();
                seen.push(net.forward(&images(&device, 50)).square().mean(..).item()?);
                net.train();
                if i == 6 {
                    net.norm.eval();
                }
            }
            drop(step);
            Ok::<_, Error>((seen, snapshot(&[&net, &opt])?))
        };
        let (plain, compiled) = (run(false)?, run(true)?);
        assert_eq!(plain.0, compiled.0, "{device}");
        assert_eq!(changed(&plain.1, &compiled.1), [""; 0], "{device}");
    }
    Ok(())
}

/// The example of a parameter that was frozen between two calls, and of one that never had room in the optimizer.
#[test]
fn freezing_and_unfreezing_outside_are_seen() -> Result<()> {
    for device in devices() {
        let (p, q) = (param(&device, &[1.0])?, param(&device, &[1.0])?);
        q.freeze(true);
        let opt = Sgd { momentum: 0.5, ..sgd(0.5) }.init(&(&p, &q))?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            let loss = (p.tensor() * &x + q.tensor() * &x).sum(..);
            opt.step(&loss)?;
            Ok([loss])
        });
        let one = vector(&device, &[1.0]);
        let mut go = |want_p: f64, want_q: f64| {
            step.call([&one]).map(drop)?;
            assert_values(&p.tensor(), &[want_p]);
            assert_values(&q.tensor(), &[want_q]);
            Ok::<_, Error>(())
        };
        go(0.5, 1.0)?;
        go(-0.25, 1.0)?;
        q.freeze(false);
        go(-0.25 - 0.5 * 1.75, 0.5)?;
        p.freeze(true);
        go(-1.125, -0.25)?;
        q.freeze(true);
        p.freeze(false);
        go(-1.125 - 0.5 * 1.875, -0.25)?;
        p.freeze(true);
        let error = go(0.0, 0.0).expect_err("everything is frozen").to_string();
        assert!(error.contains("tracked") && error.contains("compiled.rs"), "{error}");
        p.freeze(false);
        go(-2.0625 - 0.5 * 1.9375, -0.25)?;
    }
    Ok(())
}

/// Two optimizers in one compiled function, each with its net, and the discriminator's parameters in both losses.
#[test]
fn two_optimizers_take_turns_in_one_function() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let (maker, judge) = (Net::new(&device)?, Linear::new(2, 1).init(&device, &mut Rng::seed(2))?);
            let of_maker = Adam { lr: 0.05, ..Adam::default() }.init(&maker)?;
            let of_judge = Sgd { momentum: 0.9, ..sgd(0.1) }.init(&judge)?;
            let body = |[x]: [Tensor; 1]| {
                let made = maker.forward(&x);
                let judged = judge.forward(&made.detach()).square().mean(..);
                of_judge.step(&judged)?;
                judge.freeze(true);
                let fooled = (judge.forward(&made) - 1.0).square().mean(..);
                of_maker.step(&fooled)?;
                judge.freeze(false);
                Ok([judged, fooled])
            };
            let mut step = compile(body);
            let mut losses = Vec::new();
            for i in 0..5 {
                let x = rows(&device, i);
                let pair = if compiled { step.call([&x])? } else { body([x])? };
                losses.extend([pair[0].item()?, pair[1].item()?]);
            }
            Ok::<_, Error>((losses, snapshot(&[&maker, &judge, &of_maker, &of_judge])?))
        };
        let (plain, compiled) = (run(false)?, run(true)?);
        assert_eq!(plain.0, compiled.0, "{device}");
        assert_eq!(changed(&plain.1, &compiled.1), [""; 0], "{device}");
    }
    Ok(())
}

/// What is set outside between calls is what the next call starts from.
#[test]
fn writes_outside_are_seen() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[10.0])?;
        let opt = sgd(0.5).init(&net)?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            let out = (net.p.tensor().detach() + net.s.tensor()).copy()?;
            net.s.set(&(net.s.tensor() + &x));
            opt.step(&(net.p.tensor() * &x).sum(..))?;
            Ok([out])
        });
        let one = vector(&device, &[1.0]);
        let mut call = |want: f64| {
            assert_values(&step.call([&one])?[0], &[want]);
            Ok::<_, Error>(())
        };
        call(11.0)?;
        call(11.5)?;
        net.p.set(&vector(&device, &[3.0]))?;
        call(3.0 + 12.0)?;
        net.s.write(&vector(&device, &[20.0]))?;
        call(2.5 + 20.0)?;
        net.s.set(&(net.s.tensor() * 2.0));
        call(2.0 + 42.0)?;
        down(&opt, &[&net.p])?;
        call(1.0 + 43.0)?;
        let all = sgd(1.0).init(&net.p)?;
        down(&all, &[&net.p])?;
        call(-0.5 + 44.0)?;
        call(-1.0 + 45.0)?;
        net.s.set(&vector(&device, &[0.0]));
        down(&all, &[&net.p])?;
        call(-2.5)?;
    }
    Ok(())
}

/// Gradients that are added up over several calls, or inside one.
#[test]
fn micro_batches_are_compiled_with_their_step() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let net = Net::new(&device)?;
            let opt = sgd(0.5).init(&net)?;
            let body = |[x, y]: [Tensor; 2]| {
                opt.accumulate(&net.loss(&x))?;
                opt.accumulate(&net.loss(&y))?;
                opt.step_accumulated()?;
                Ok([net.loss(&x)])
            };
            let mut step = compile(body);
            for i in 0..4 {
                let pair = [rows(&device, i), rows(&device, i + 10)];
                if compiled { step.call([&pair[0], &pair[1]]).map(drop)? } else { body(pair).map(drop)? }
            }
            snapshot(&[&net, &opt])
        };
        assert_eq!(changed(&run(false)?, &run(true)?), [""; 0], "{device}");
    }
    Ok(())
}

/// A compiled function that begins a sum adds to it once, when it is recorded; its replays do not.
#[test]
fn micro_batches_that_outlive_a_call_are_refused() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[0.0])?;
        let opt = sgd(0.5).init(&net)?;
        let x = vector(&device, &[2.0]);
        let mut micro = compile(|[x]: [Tensor; 1]| {
            opt.accumulate(&(net.p.tensor() * &x).sum(..))?;
            Ok([x + 1.0])
        });
        micro.call([&x]).map(drop)?;
        micro.call([&x]).map(drop)?;
        refuses(opt.step_accumulated(), line!(), &["accumulate", "inside a compiled function", "in the same call"]);
        micro.call([&x]).map(drop)?;
        refuses(opt.step_accumulated(), line!(), &["nothing was accumulated"]);
        // Nor may it end what was begun outside.
        opt.accumulate(&net.p.tensor().sum(..))?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            opt.step_accumulated()?;
            Ok([x + 1.0])
        });
        let error = step.call([&x]).map(drop).expect_err("a sum from outside").to_string();
        assert!(error.contains("in the same call") && error.contains("compiled.rs"), "{error}");
        assert_values(&net.p.tensor(), &[1.0]);
        down(&opt, &[&net.p])?;
        assert_values(&net.p.tensor(), &[0.5]);
    }
    Ok(())
}

/// A result that is an input keeps its value, also where the input is what a state or a parameter shows.
#[test]
fn a_variable_goes_in_and_comes_out() -> Result<()> {
    for device in devices() {
        let (p, s) = (param(&device, &[1.0])?, super::state(&device, &[2.0])?);
        let opt = sgd(1.0).init(&p)?;
        let mut same = compile(|[x]: [Tensor; 1]| Ok([x]));
        for i in 0..3 {
            let (at, set) = (1.0 - f64::from(i), 2.0 + f64::from(i));
            let ([of_param], [of_state]) = (same.call([&p.tensor()])?, same.call([&s.tensor()])?);
            s.set(&(s.tensor() + 1.0));
            down(&opt, &[&p])?;
            assert_values(&of_param, &[at]);
            assert_values(&of_state, &[set]);
        }
    }
    Ok(())
}

/// Two calls, recorded and replayed, and the same two in plain.
fn twice(device: &Device, body: impl Fn(&State, &State, &State) -> Result<()>) -> Result<()> {
    let run = |compiled: bool| {
        let states = [1.0, 2.0, 3.0].map(|value| super::state(device, &[value]));
        let [a, b, c] = states.map(|state| state.expect("a state"));
        let net = (a.clone(), b.clone(), c.clone(), param(device, &[0.0])?);
        let opt = sgd(1.0).init(&net.3)?;
        let body = |[x]: [Tensor; 1]| {
            body(&a, &b, &c)?;
            Ok([x])
        };
        let (x, mut step) = (vector(device, &[0.0]), compile(body));
        b.set(&(a.tensor() * 10.0));
        for _ in 0..3 {
            if compiled {
                step.call([&x]).map(drop)?
            } else {
                body([x.clone()]).map(drop)?
            }
            if !compiled {
                down(&opt, &[&net.3])?;
                net.3.set(&vector(device, &[0.0]))?;
            }
        }
        down(&opt, &[&net.3])?;
        snapshot(&[&net])
    };
    assert_eq!(changed(&run(false)?, &run(true)?), [""; 0], "{device}");
    Ok(())
}

/// What was set outside is written when a recording meets it, and what the recording itself has set by then is no constant of it.
#[test]
fn what_was_set_outside_is_written_without_what_is_set_inside() -> Result<()> {
    for device in devices() {
        twice(&device, |a, b, _| {
            a.set(&(a.tensor() * 2.0));
            b.set(&(a.tensor() + 1.0));
            Ok(())
        })?;
        twice(&device, |a, b, c| {
            a.set(&(c.tensor() + a.tensor()));
            c.set(&(b.tensor() + a.tensor()));
            Ok(())
        })?;
    }
    Ok(())
}

/// What waits outside for a step has the value that it had when it was set, whatever replays write meanwhile.
#[test]
fn what_waits_outside_does_not_see_replays() -> Result<()> {
    for device in devices() {
        let (a, b) = (super::state(&device, &[1.0])?, super::state(&device, &[0.0])?);
        let mut set = compile(|[x]: [Tensor; 1]| {
            a.set(&(a.tensor() + &x));
            Ok([x])
        });
        let one = vector(&device, &[1.0]);
        for i in 1..4 {
            b.set(&(a.tensor() * 10.0));
            set.call([&one]).map(drop)?;
            assert_values(&a.tensor(), &[f64::from(i) + 1.0]);
            assert_values(&b.tensor(), &[f64::from(i) * 10.0]);
        }
    }
    Ok(())
}

/// An input is what it was when the call began, whatever the call writes first.
#[test]
fn an_input_may_be_what_the_call_writes_first() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[0.0], &[1.0])?;
        let opt = sgd(1.0).init(&net.p)?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            down(&opt, &[&net.p])?;
            Ok([x * 2.0])
        });
        for i in 1..4 {
            let before = net.s.tensor();
            net.s.set(&vector(&device, &[f64::from(i) as f32 + 1.0]));
            assert_values(&step.call([&before])?[0], &[2.0 * f64::from(i)]);
            assert_values(&net.s.tensor(), &[f64::from(i) + 1.0]);
        }
    }
    Ok(())
}
