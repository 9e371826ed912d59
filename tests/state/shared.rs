//! Optimizers whose parameters overlap: each works on the current values, and no update is lost.

use thalweg::prelude::*;

use super::{Net, assert_values, changed, devices, down, load, param, refuses, rows, sgd, snapshot, sum, vector};

#[derive(Module)]
struct Part {
    trunk: Param,
    head: Param,
}

#[test]
fn actor_and_critic_share_a_trunk() -> Result<()> {
    for device in devices() {
        let part = |trunk: &Param| Ok::<_, Error>(Part { trunk: trunk.clone(), head: param(&device, &[1.0])? });
        let trunk = param(&device, &[10.0])?;
        let (actor, critic) = (part(&trunk)?, part(&trunk)?);
        let (a, c) = (sgd(1.0).init(&actor)?, sgd(0.1).init(&critic)?);
        for want in [8.9, 7.8, 6.7] {
            down(&a, &[&actor.trunk, &actor.head])?;
            down(&c, &[&critic.trunk, &critic.head])?;
            assert_values(&trunk.tensor(), &[want]);
        }
        // A gradient of 0 leaves what the other has done.
        c.step(&((critic.trunk.tensor() * 0.0).sum(..) + critic.head.tensor().sum(..)))?;
        assert_values(&trunk.tensor(), &[6.7]);
        assert_values(&actor.head.tensor(), &[-2.0]);
        assert_values(&critic.head.tensor(), &[0.6]);
    }
    Ok(())
}

/// A learning-rate finder, a second phase with an optimizer of its own, then the first one again.
#[test]
fn a_second_optimizer_of_the_whole_hands_its_values_on() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let x = rows(&device, 1);
        let first = sgd(0.01).init(&net)?;
        first.step(&net.loss(&x))?;
        let second = AdamW { lr: 0.05, ..AdamW::default() }.init(&net)?;
        for _ in 0..60 {
            second.step(&net.loss(&x))?;
        }
        drop(second);
        let found = net.loss(&x).item()?;
        assert!(found < 0.02, "{device}: {found}");
        first.step(&net.loss(&x))?;
        let after = net.loss(&x).item()?;
        assert!(after <= found, "{device}: {found} and then {after}");
    }
    Ok(())
}

/// SGD with momentum of one parameter, as numbers.
#[derive(Clone, Copy)]
struct Momentum {
    lr: f64,
    mu: f64,
    b: Option<f64>,
}

impl Momentum {
    fn rule(&self) -> Sgd {
        Sgd { lr: self.lr, momentum: self.mu, ..Sgd::default() }
    }

    fn step(&mut self, theta: &mut f64, g: f64) {
        let b = self.b.map_or(g, |b| self.mu * b + g);
        self.b = Some(b);
        *theta -= self.lr * b;
    }
}

/// Three optimizers over two parameters each of three, one made late and one dropped early, taking turns; with writes from outside.
#[test]
fn partial_overlaps_in_turns_follow_the_equations() -> Result<()> {
    for device in devices() {
        let params = [1.0, 2.0, 3.0].map(|x| param(&device, &[x as f32]).expect("a parameter"));
        let mut theta = [1.0f64, 2.0, 3.0];
        let pairs = [[0usize, 1], [1, 2], [2, 0]];
        let rates = [(0.1, 0.5), (0.05, 0.9), (0.2, 0.0)];
        let mut models = rates.map(|(lr, mu)| [Momentum { lr, mu, b: None }; 2]);
        let mut opts: [Option<Optimizer>; 3] = [None, None, None];
        for step in 0..18 {
            // The third is made in the middle; the first is made again, without its momentum.
            let which = [0, 1, 0, 2, 2, 1][step % 6];
            if step == 9 {
                (opts[0], models[0]) = (None, [Momentum { b: None, ..models[0][0] }; 2]);
            }
            let [i, j] = pairs[which];
            if opts[which].is_none() {
                opts[which] = Some(models[which][0].rule().init(&[params[i].clone(), params[j].clone()])?);
            }
            if step == 7 {
                params[1].set(&vector(&device, &[0.5]))?;
                theta[1] = 0.5;
            }
            // ½ a² + a b has the gradients a + b and a.
            let (a, b) = (params[i].tensor(), params[j].tensor());
            let loss = (a.square() * 0.5 + &a * &b).sum(..);
            drop((a, b));
            let (ga, gb) = (theta[i] + theta[j], theta[i]);
            opts[which].as_ref().expect("made above").step(&loss)?;
            models[which][0].step(&mut theta[i], ga);
            models[which][1].step(&mut theta[j], gb);
            for (p, want) in params.iter().zip(theta) {
                let got = p.tensor().item()?;
                assert!((got - want).abs() < 1e-4, "step {step} on {device}: {got}, not {want}");
            }
        }
    }
    Ok(())
}

/// Gradients of one backward pass are good for every optimizer, once each and in any order.
#[test]
fn one_backward_pass_serves_several() -> Result<()> {
    for device in devices() {
        for reversed in [false, true] {
            let (p, q) = (param(&device, &[1.0])?, param(&device, &[2.0])?);
            let mut opts = vec![sgd(0.5).init(&p)?, sgd(0.25).init(&(&p, &q))?, sgd(1.0).init(&q)?];
            if reversed {
                opts.reverse();
            }
            let grads = (p.tensor() * q.tensor()).sum(..).backward()?;
            for opt in &opts {
                opt.apply(&grads)?;
            }
            assert_values(&p.tensor(), &[1.0 - 0.75 * 2.0]);
            assert_values(&q.tensor(), &[2.0 - 1.25]);
            for opt in &opts {
                refuses(opt.apply(&grads), line!(), &["step", "applied already"]);
            }
            assert_values(&p.tensor(), &[-0.5]);
            // Once something else has written the parameters, they are old.
            let grads = (p.tensor() * q.tensor()).sum(..).backward()?;
            opts[0].apply(&grads)?;
            p.set(&vector(&device, &[5.0]))?;
            q.set(&vector(&device, &[6.0]))?;
            refuses(opts[1].apply(&grads), line!(), &["step", "version", "which has since been written"]);
            assert_values(&p.tensor(), &[5.0]);
            assert_values(&q.tensor(), &[6.0]);
        }
    }
    Ok(())
}

/// A step in between by other gradients makes them old, for those parameters alone that it moved.
#[test]
fn gradients_from_before_anothers_step_are_old() -> Result<()> {
    for device in devices() {
        let net = (param(&device, &[1.0])?, param(&device, &[2.0])?);
        let (both, first, second) = (sgd(0.5).init(&net)?, sgd(0.5).init(&net.0)?, sgd(0.5).init(&net.1)?);
        let grads = sum(&[&net.0, &net.1]).backward()?;
        down(&first, &[&net.0])?;
        net.count();
        refuses(both.apply(&grads), line!(), &["step", "parameter '0'", "version 0", "version 1"]);
        assert_values(&net.1.tensor(), &[2.0]);
        second.apply(&grads)?;
        assert_values(&net.0.tensor(), &[0.5]);
        assert_values(&net.1.tensor(), &[1.5]);
        // So does a loss that was recorded before.
        let (of_first, of_both) = (sum(&[&net.0]), sum(&[&net.0, &net.1]));
        second.step(&of_both)?;
        first.step(&of_first)?;
        let (old, line) = (net.0.tensor().sum(..) + net.1.tensor().sum(..), line!());
        down(&first, &[&net.0])?;
        refuses(second.step(&old), line, &["parameter '0'"]);
    }
    Ok(())
}

/// What one has saved is loaded while another has the parameters.
#[test]
fn loading_reaches_parameters_wherever_they_are() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let rule = || Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() };
        let (a, b) = (rule().init(&net)?, rule().init(&net.head)?);
        let go = || {
            a.step(&net.loss(&rows(&device, 1)))?;
            b.step(&net.loss(&rows(&device, 2)))
        };
        go()?;
        let saved = snapshot(&[&net, &a, &b])?;
        go()?;
        let once = snapshot(&[&net, &a, &b])?;
        let c = sgd(0.1).init(&net)?;
        c.step(&net.loss(&rows(&device, 3)))?;
        load(&saved, &[&net, &a, &b])?;
        assert_eq!(changed(&saved, &snapshot(&[&net, &a, &b])?), [""; 0], "{device}");
        go()?;
        assert_eq!(changed(&once, &snapshot(&[&net, &a, &b])?), [""; 0], "{device}");
    }
    Ok(())
}

/// Two optimizers take turns inside one compiled step, and outside of it.
#[test]
fn turns_are_taken_inside_compiled_steps_too() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let net = Net::new(&device)?;
            let a = Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() }.init(&net)?;
            let b = Adam { lr: 0.02, ..Adam::default() }.init(&net.head)?;
            let body = |[x]: [Tensor; 1]| {
                let first = net.loss(&x);
                a.step(&first)?;
                let second = net.loss(&x);
                b.step(&second)?;
                Ok([first, second])
            };
            let mut step = compile(body);
            let mut losses = Vec::new();
            for i in 0..6 {
                let x = rows(&device, i);
                let pair = if compiled { step.call([&x])? } else { body([x])? };
                losses.extend([pair[0].item()?, pair[1].item()?]);
                if i == 3 {
                    a.step(&net.loss(&rows(&device, 9)))?;
                }
            }
            Ok::<_, Error>((losses, snapshot(&[&net, &a, &b])?))
        };
        let (plain, compiled) = (run(false)?, run(true)?);
        assert_eq!(plain.0, compiled.0, "{device}");
        assert_eq!(changed(&plain.1, &compiled.1), [""; 0], "{device}");
    }
    Ok(())
}

/// A compiled step and a plain one take turns: each moves the parameters to its own buffer and back.
#[test]
fn a_compiled_step_and_a_plain_one_take_turns() -> Result<()> {
    for device in devices() {
        let net = (param(&device, &[0.0])?, param(&device, &[0.0])?);
        let (compiled, plain, other) = (sgd(1.0).init(&net)?, sgd(0.1).init(&net)?, sgd(0.01).init(&net.0)?);
        let x = vector(&device, &[1.0]);
        let mut step = compile(|[x]: [Tensor; 1]| {
            compiled.step(&(net.0.tensor() * &x + net.1.tensor() * &x).sum(..))?;
            Ok([net.0.tensor() * 1.0])
        });
        let mut set = compile(|[x]: [Tensor; 1]| {
            net.1.set(&x)?;
            Ok([x * 1.0])
        });
        let (mut first, mut second) = (0.0, 0.0);
        for i in 0..6 {
            down(&plain, &[&net.0, &net.1])?;
            assert_values(&step.call([&x])?[0], &[first - 1.1]);
            down(&other, &[&net.0])?;
            (first, second) = (first - 1.11, second - 1.1);
            if i % 2 == 1 {
                // Alone, and of a parameter that it does not read.
                set.call([&x]).map(drop)?;
                second = 1.0;
            }
            assert_values(&net.0.tensor(), &[first]);
            assert_values(&net.1.tensor(), &[second]);
        }
        // It is recorded where it began, and where it begins when they take turns.
        assert_eq!(step.recordings(), 1, "{device}");
    }
    Ok(())
}

/// The optimizers' step counts, averages and reports are their own.
#[test]
fn slots_and_counts_are_each_optimizers_own() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[1.0])?;
        let adam = || Adam { lr: 0.1, ..Adam::default() };
        let (a, b, q) = (adam().init(&p)?, adam().init(&p)?, param(&device, &[1.0])?);
        let alone = adam().init(&q)?;
        for _ in 0..3 {
            down(&a, &[&p])?;
            down(&b, &[&p])?;
            down(&alone, &[&q])?;
        }
        // A constant gradient moves by η each step, whatever the other does.
        assert_values(&p.tensor(), &[1.0 - 6.0 * 0.1]);
        assert_eq!((a.report()?.steps, b.report()?.steps), (3, 3));
        assert_eq!(changed(&snapshot(&[&a])?, &snapshot(&[&b])?), [""; 0], "{device}");
        assert_eq!(changed(&snapshot(&[&a])?, &snapshot(&[&alone])?), [""; 0], "{device}");
    }
    Ok(())
}
