//! Parameters that compute with other values for a while, on this thread: nothing is written.

use thalweg::{graph::overlay, optim::Average, prelude::*};

use super::{
    Net, Pair, assert_same, assert_values, changed, devices, down, param, refuses, rows, sgd, snapshot, vector,
};

/// Sharpness-aware minimisation: the gradient at θ + ρ g / ‖g‖ is applied at θ.
#[test]
fn a_step_by_the_gradient_at_another_point() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[3.0, 4.0])?;
        let opt = Sgd { momentum: 0.5, ..sgd(0.1) }.init(&p)?;
        let loss = || (p.tensor().square() * p.tensor()).sum(..);
        let (mut theta, mut b) = ([3.0f64, 4.0], [0.0f64; 2]);
        for step in 0..3 {
            let grads = loss().backward()?;
            let up = grads.get(&p).expect("a gradient") * (0.5 / grads.norm()?);
            let there = overlay(&[(&p, (p.tensor() + up).track())], || {
                let at = p.tensor();
                (loss().backward(), at)
            })?;
            let (grads_there, at) = (there.0?, there.1);
            let mut grads = Grads::new();
            grads.insert(&p, grads_there.get(&at).expect("a gradient there"))?;
            opt.apply(&grads)?;

            let g = theta.map(|t| 3.0 * t * t);
            let norm = g[0].hypot(g[1]);
            for i in 0..2 {
                let g_there = 3.0 * (theta[i] + 0.5 * g[i] / norm).powi(2);
                b[i] = if step == 0 { g_there } else { 0.5 * b[i] + g_there };
            }
            (0..2).for_each(|i| theta[i] -= 0.1 * b[i]);
            let got = p.tensor().to_vec::<f64>()?;
            let far = got.iter().zip(theta).map(|(g, t)| (g - t).abs() / t.abs().max(1.0)).fold(0.0, f64::max);
            assert!(far < 1e-4, "step {step} on {device}: {got:?}, not {theta:?}");
        }
    }
    Ok(())
}

/// Weights that are computed from other tensors pass their gradient on: one inner step, differentiated.
#[test]
fn a_gradient_goes_through_what_stands_for_a_parameter() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[2.0])?;
        let opt = sgd(0.5).init(&p)?;
        let inner = p.tensor().square().sum(..).backward()?;
        // θ' = θ - 0.1 · 2θ = 0.8 θ, so that d θ'² / dθ = 2 · 0.64 θ.
        let adapted = p.tensor() - inner.get(&p).expect("a gradient") * 0.1;
        let outer = overlay(&[(&p, adapted)], || p.tensor().square().sum(..))?;
        opt.step(&outer)?;
        assert_values(&outer, &[2.56]);
        assert_values(&p.tensor(), &[2.0 - 0.5 * 2.56]);
    }
    Ok(())
}

#[test]
fn overlays_nest_and_end() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[0.0])?;
        let [two, three] = [2.0, 3.0].map(|x| vector(&device, &[x]));
        let seen = overlay(&[(&net.p, two.clone())], || {
            let inner = overlay(&[(&net.p, three.clone())], || net.p.tensor());
            Ok::<_, Error>([net.p.tensor(), inner?, net.clone().p.tensor(), net.fork()?.p.tensor()])
        })??;
        for (got, want) in seen.iter().zip([2.0, 3.0, 2.0, 1.0]) {
            assert_values(got, &[want]);
        }
        assert_values(&net.p.tensor(), &[1.0]);
        // On this thread alone, and also when what is run panics.
        overlay(&[(&net.p, two.clone())], || {
            std::thread::scope(|s| {
                s.spawn(|| assert_values(&net.p.tensor(), &[1.0]));
            });
        })?;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            overlay(&[(&net.p, two.clone())], || panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert_values(&net.p.tensor(), &[1.0]);
        refuses(overlay(&[(&net.p, Tensor::ones(&device, [2]))], || ()), line!(), &["[1]", "[2]", "'p'"]);
        refuses(overlay(&[(&net.p, two.cast(DType::F16))], || ()), line!(), &["f16", "'p'"]);
    }
    Ok(())
}

/// What is written under an overlay is the parameter; the step is by the true values.
#[test]
fn writes_under_an_overlay_are_the_parameters() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[0.0])?;
        let before = snapshot(&[&net])?;
        let ten = vector(&device, &[10.0]);
        let looked = overlay(&[(&net.p, ten.clone())], || {
            let loss = net.p.tensor().square().sum(..);
            (snapshot(&[&net]), net.count(), loss)
        })?;
        assert_eq!(changed(&before, &looked.0?), [""; 0], "a snapshot is of what is there, on {device}");
        assert_values(&looked.2, &[100.0]);
        // A plain value takes the gradient away.
        let opt = sgd(0.5).init(&net)?;
        refuses(opt.step(&looked.2), line!(), &["nothing that this was computed from is tracked"]);
        overlay(&[(&net.p, ten)], || {
            net.p.set(&vector(&device, &[4.0]))?;
            net.s.set(&(net.s.tensor() + net.p.tensor()));
            assert_values(&net.p.tensor(), &[10.0]);
            Ok::<_, Error>(())
        })??;
        assert_values(&net.p.tensor(), &[4.0]);
        down(&opt, &[&net.p])?;
        assert_values(&net.p.tensor(), &[3.5]);
        assert_values(&net.s.tensor(), &[10.0]);
    }
    Ok(())
}

/// Averages of weights: shown the weights of now, computed with on demand, written when asked.
#[test]
fn averages_follow_the_weights() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[1.0])?;
        let opt = sgd(1.0).init(&p)?;
        let (slow, mean) = (Average::exponential(&p, 0.75)?, Average::mean(&p)?);
        let (mut theta, mut a, mut all) = (1.0, 1.0, Vec::new());
        for _ in 0..4 {
            down(&opt, &[&p])?;
            slow.update()?;
            mean.update()?;
            theta -= 1.0;
            a = 0.75 * a + 0.25 * theta;
            all.push(theta);
            assert_values(&slow.during(|| p.tensor())?, &[a]);
            assert_values(&p.tensor(), &[theta]);
        }
        let m = all.iter().sum::<f64>() / 4.0;
        assert_values(&mean.during(|| p.tensor())?, &[m]);
        // Kept apart from the weights, before and after they are written.
        let shown = slow.during(|| p.tensor())?;
        let loss = p.tensor().sum(..);
        slow.write()?;
        assert_values(&p.tensor(), &[a]);
        assert_values(&shown, &[a]);
        refuses(opt.step(&loss), line!(), &["version"]);
        down(&opt, &[&p])?;
        assert_values(&slow.during(|| p.tensor())?, &[a]);
        refuses(Average::exponential(&p, 1.5), line!(), &["1.5 is no decay"]);
    }
    Ok(())
}

/// In a compiled step, and evaluated with in a compiled function.
#[test]
fn averages_are_compiled_with_the_step() -> Result<()> {
    for device in devices() {
        let run = |compiled: bool| {
            let net = Net::new(&device)?;
            let opt = sgd(0.5).init(&net)?;
            let average = Average::exponential(&net, 0.5)?;
            let body = |[x]: [Tensor; 1]| {
                let loss = net.loss(&x);
                opt.step(&loss)?;
                average.update()?;
                Ok([loss, average.during(|| net.loss(&x))?.detach()])
            };
            let mut step = compile(body);
            let mut seen = Vec::new();
            for i in 0..4 {
                let x = rows(&device, i);
                let pair = if compiled { step.call([&x])? } else { body([x])? };
                seen.extend([pair[0].item()?, pair[1].item()?]);
            }
            Ok::<_, Error>((seen, snapshot(&[&net, &opt, &average])?))
        };
        let (plain, compiled) = (run(false)?, run(true)?);
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        assert!(plain.0.iter().zip(&compiled.0).all(near), "{device}: {:?} {:?}", plain.0, compiled.0);
        assert_eq!(changed(&plain.1, &compiled.1), [""; 0], "{device}");
    }
    Ok(())
}

/// Evaluated with, batch norm keeps its own statistics, and the weights are the average's.
#[test]
fn a_model_is_evaluated_with_its_average() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(0.5).init(&net)?;
        let average = Average::mean(&net)?;
        let x = rows(&device, 1);
        for _ in 0..2 {
            opt.step(&net.loss(&x))?;
            average.update()?;
        }
        let want = net.fork()?;
        let by_average = average.during(|| net.forward(&x))?.detach();
        let there = want.clone();
        for ((_, p), (_, q)) in there.params().iter().zip(net.params()) {
            let a = average.during(|| q.tensor())?;
            p.set(&a)?;
        }
        assert_same(&by_average, &there.forward(&x).detach(), "by the average");
    }
    Ok(())
}
