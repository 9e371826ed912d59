//! What must hold of a rule whatever the numbers: decay without a gradient, gradients a thousand times as large, first steps, groups,
//! rates of layers.

use thalweg::{
    optim::{RULES, SgdEma, SophiaG, Thaw, Value, rule},
    prelude::*,
};
use thalweg_graph::DType;
use thalweg_tests::{cpu, strict, test_gpu};

fn devices() -> [Device; 3] {
    [strict(), cpu(), test_gpu!()]
}

fn matrix(device: &Device, values: &[f32]) -> Result<Param> {
    Param::new(Tensor::from_slice(device, values, [2, values.len() / 2]))
}

/// A step by given gradients.
fn step(opt: &Optimizer, param: &Param, gradient: &[f32]) -> Result<()> {
    let mut grads = Grads::new();
    grads.insert(param, &Tensor::from_slice(param.tensor().device(), gradient, param.shape().as_slice()))?;
    opt.apply(&grads)
}

fn values(param: &Param) -> Result<Vec<f64>> {
    param.tensor().to_vec()
}

#[track_caller]
fn near(what: &str, got: &[f64], want: &[f64], digits: f64) {
    let is = |(g, w): (&f64, &f64)| (g - w).abs() <= digits * w.abs().max(1e-3);
    assert!(got.len() == want.len() && got.iter().zip(want).all(is), "{what}: {got:?}, not {want:?}");
}

const START: [f32; 6] = [1.0, -2.0, 0.5, 4.0, 0.25, -1.0];

/// Where there is no gradient, decoupled decay is all that happens: `θ (1 - ηλ)`.
#[test]
fn decoupled_decay_shrinks_by_itself() -> Result<()> {
    let decay = [("lr", 0.1), ("weight_decay", 0.5)];
    for device in devices() {
        for (name, shrinks) in [("adamw", true), ("lion", true), ("muon", true), ("adam", false)] {
            let param = matrix(&device, &START)?;
            step(&rule(name, &decay)?.init(&param)?, &param, &[0.0; 6])?;
            let want: Vec<f64> = START.iter().map(|p| f64::from(*p) * 0.95).collect();
            let got = values(&param)?;
            assert_eq!(
                got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-6),
                shrinks,
                "{name} on {device}: {got:?}"
            );
        }
    }
    Ok(())
}

/// Rules that divide by the size of gradients do not see it.
#[test]
fn gradients_a_thousand_times_as_large_are_the_same() -> Result<()> {
    for device in devices() {
        for name in ["adam", "adamax", "nadam", "radam", "rprop", "adafactor", "lion", "lamb", "muon"] {
            let end = |factor: f32| -> Result<Vec<f64>> {
                let param = matrix(&device, &START)?;
                // Where it goes by momentum alone it does see it.
                let few = if name == "radam" { vec![("beta2", 0.5), ("lr", 0.0)] } else { vec![("lr", 0.01)] };
                let opt = rule(name, &few)?.init(&param)?;
                for i in 0..6u8 {
                    let g = [0.3, -0.2, 0.7, 0.1, -0.9, 0.4].map(|g| factor * (g + 0.1 * f32::from(i)));
                    step(&opt, &param, &g)?;
                }
                values(&param)
            };
            near(&format!("{name} on {device}"), &end(1000.0)?, &end(1.0)?, 2e-5);
        }
    }
    Ok(())
}

/// Adam's first step is the rate, whatever the gradient, as far as ε lets it.
#[test]
fn adams_first_step_is_its_rate() -> Result<()> {
    for device in devices() {
        let param = matrix(&device, &[0.0; 6])?;
        step(&Adam { lr: 0.125, ..Adam::default() }.init(&param)?, &param, &[1e-3, -1e3, 0.0, 5.0, -2.0, 1e-4])?;
        near("Adam", &values(&param)?, &[-0.125, 0.125, 0.0, -0.125, 0.125, -0.125], 2e-4);
    }
    Ok(())
}

/// A mean of gradients at rate η is a sum of them at rate η (1 - β), at every step.
#[test]
fn momentum_as_a_mean_is_momentum_at_another_rate() -> Result<()> {
    let device = strict();
    let start = || Param::new(Tensor::from_slice(&device, &[1.0f64, -2.0], [2]));
    let (a, b) = (start()?, start()?);
    let mean = SgdEma { lr: 0.1, beta: 0.9, ..SgdEma::default() }.init(&a)?;
    let sum = Sgd { lr: 0.01, momentum: 0.9, ..Sgd::default() }.init(&b)?;
    for _ in 0..20 {
        for (opt, p) in [(&mean, &a), (&sum, &b)] {
            opt.step(&(p.tensor().square() * 1.5).sum(..))?;
        }
        near("the mean", &values(&a)?, &values(&b)?, 1e-12);
    }
    Ok(())
}

/// Two groups are two optimizers.
#[test]
fn groups_are_optimizers_of_their_own() -> Result<()> {
    for device in devices() {
        for name in RULES.iter().filter(|name| **name != "Muon") {
            let start = || Ok::<_, Error>((matrix(&device, &START)?, matrix(&device, &START)?));
            let with = |lr| rule(name, &[("lr", lr)]);
            let (together, apart) = (start()?, start()?);
            let one = with(0.02)?.init(&together)?.group("1", with(0.05)?)?;
            let two = [with(0.02)?.init(&apart.0)?, with(0.05)?.init(&apart.1)?];
            for i in 0..4 {
                let x = 0.5 + f64::from(i);
                let loss =
                    |(a, b): &(Param, Param)| (a.tensor() - x).square().sum(..) + (b.tensor() + x).square().sum(..);
                one.step(&loss(&together))?;
                let grads = loss(&apart).backward()?;
                two.iter().try_for_each(|opt| opt.apply(&grads))?;
            }
            for (got, want) in [(&together.0, &apart.0), (&together.1, &apart.1)] {
                near(&format!("{name} on {device}"), &values(got)?, &values(want)?, 1e-5);
            }
        }
    }
    Ok(())
}

/// Factors of the rate are groups with other rates, in one buffer.
#[test]
fn layers_have_rates_of_their_own() -> Result<()> {
    for device in devices() {
        for name in RULES.iter().filter(|name| **name != "Rprop") {
            let net = (matrix(&device, &START)?, matrix(&device, &START)?, matrix(&device, &START)?);
            let alone = (matrix(&device, &START)?, matrix(&device, &START)?, matrix(&device, &START)?);
            let with = |lr| rule(name, &[("lr", lr)]);
            let opt = with(0.04)?.init(&net)?.layer_decay(0.5, &["0", "1"])?;
            let groups = with(0.04)?.init(&alone)?.group("0", with(0.02)?)?;
            for _ in 0..3 {
                for (opt, (a, b, c)) in [(&opt, &net), (&groups, &alone)] {
                    let all = [a, b, c].map(|p| (p.tensor() - 3.0).square().sum(..));
                    opt.step(&(&all[0] + &all[1] + &all[2]))?;
                }
            }
            for (got, want) in [(&net.0, &alone.0), (&net.1, &alone.1), (&net.2, &alone.2)] {
                near(&format!("{name} on {device}"), &values(got)?, &values(want)?, 1e-5);
            }
        }
    }
    Ok(())
}

/// Biases and norms keep what they have where there is no gradient; matrices decay.
#[test]
fn vectors_do_not_decay() -> Result<()> {
    for device in devices() {
        let net = Linear::new(3, 2).init(&device, &mut Rng::seed(0))?;
        let bias = net.bias.clone().expect("a bias");
        bias.set(&Tensor::ones(&device, [2]))?;
        let before = values(&net.weight)?;
        let opt = AdamW { lr: 0.1, weight_decay: 1.0, ..AdamW::default() }.init_no_decay(&net)?;
        opt.step(&((net.weight.tensor().sum(..) + bias.tensor().sum(..)) * 0.0))?;
        near("the bias", &values(&bias)?, &[1.0, 1.0], 0.0);
        near("the weight", &values(&net.weight)?, &before.iter().map(|w| w * 0.9).collect::<Vec<_>>(), 1e-6);
        let refused = SgdEma::default().init_no_decay(&net.weight).expect_err("no vector");
        assert!(refused.to_string().contains("fewer than two axes"), "{refused}");
    }
    Ok(())
}

/// Layers are free from their steps on, and frozen before; a run that is resumed asks for its step again.
#[test]
fn layers_thaw_on_schedule() -> Result<()> {
    for device in devices() {
        let net = (matrix(&device, &START)?, matrix(&device, &START)?, matrix(&device, &START)?);
        let thaw = Thaw::new(&net, &[("2", 0), ("1", 2), ("0", 4)])?;
        let opt = Sgd { lr: 1.0, ..Sgd::default() }.init(&net)?;
        for step in 0..6 {
            thaw.at(step);
            opt.step(&(net.0.tensor().sum(..) + net.1.tensor().sum(..) + net.2.tensor().sum(..)))?;
        }
        for (param, steps) in [(&net.0, 2.0), (&net.1, 4.0), (&net.2, 6.0)] {
            near("a layer", &values(param)?, &START.map(|p| f64::from(p) - steps), 1e-6);
        }
        thaw.at(3);
        assert!(net.0.is_frozen() && !net.1.is_frozen() && !net.2.is_frozen());
        let error = Thaw::new(&net, &[("head", 0)]).expect_err("no such layer");
        assert!(error.to_string().contains("'head'"), "{error}");
    }
    Ok(())
}

/// Muon has the matrices inside, AdamW the rest.
#[test]
fn muon_is_for_hidden_matrices() -> Result<()> {
    for device in devices() {
        let mut rng = Rng::seed(0);
        let net = (Linear::new(3, 4).init(&device, &mut rng)?, Linear::new(4, 2).init(&device, &mut rng)?);
        let opt = thalweg::optim::Muon::default().init_hidden(&net, AdamW::default(), &["1.*"])?;
        let x = Tensor::ones(&device, [5, 3]);
        opt.step(&net.1.forward(&net.0.forward(&x).tanh()).square().mean(..))?;
        let mut saved = thalweg::module::snapshot::Snapshot::new();
        opt.save(&mut saved)?;
        let has = |name: &str| saved.get(name).is_some();
        assert!(has("momentum_buffer.0.weight") && !has("momentum_buffer.1.weight"));
        assert!(has("exp_avg.0.bias") && has("exp_avg.1.weight") && !has("exp_avg.0.weight"));
        let bare = rule::<f64>("muon", &[])?.init(&net)?;
        let error = bare.step(&net.0.forward(&x).square().mean(..)).expect_err("a bias is no matrix");
        assert!(error.to_string().contains("'0.bias' is none"), "{error}");
    }
    Ok(())
}

/// Sophia goes by signs until it has seen a curvature, and by Newton's step where that is large.
#[test]
fn sophia_divides_by_what_it_observed() -> Result<()> {
    for device in devices() {
        let p = Param::new(Tensor::from_slice(&device, &[1.0f32, -1.0, 2.0], [3]))?;
        let rule = SophiaG { lr: 0.1, beta1: 0.0, beta2: 0.0, gamma: 0.5, weight_decay: 0.0, ..SophiaG::default() };
        let opt = rule.init(&p)?;
        let slope = |g: &[f32]| (p.tensor() * Tensor::from_slice(&device, g, [3])).sum(..);
        opt.step(&slope(&[3.0, -2.0, 0.0]))?;
        near("signs", &values(&p)?, &[0.9, -0.9, 2.0], 1e-6);
        // h = ĝ²: 16, 0 and 1.
        opt.observe(&slope(&[4.0, 0.0, 1.0]))?;
        opt.observe(&(slope(&[4.0, 0.0, 1.0]) * f64::NAN))?;
        assert_eq!(opt.report()?.steps, 1);
        opt.step(&slope(&[2.0, 1.0, 0.25]))?;
        near("steps", &values(&p)?, &[0.9 - 0.1 * 2.0 / 8.0, -1.0, 2.0 - 0.1 * 0.5], 1e-6);
    }
    Ok(())
}

/// Schedule-free AdamW and averaged descent are evaluated at their averages.
#[test]
fn averages_are_evaluated() -> Result<()> {
    for device in devices() {
        for name in ["schedule_free", "asgd"] {
            let p = Param::new(Tensor::from_slice(&device, &[3.0f32, -2.0], [2]))?;
            let opt = match name {
                "asgd" => rule(name, &[("lr", 0.3), ("t0", 5.0)])?.init(&p)?,
                _ => rule(name, &[("lr", 0.3)])?.init(&p)?,
            };
            near("before a step", &opt.during(|| values(&p))??, &[3.0, -2.0], 1e-6);
            let mut rng = Rng::seed(5);
            let loss = || (p.tensor() - 1.0).square().sum(..);
            for _ in 0..200 {
                let noise = Tensor::from_slice(&device, &[4.0 * rng.normal() as f32, 4.0 * rng.normal() as f32], [2]);
                opt.step(&(loss() + (p.tensor() * noise).sum(..)))?;
            }
            let (there, here) = (opt.during(|| loss().item())??, loss().item()?);
            assert!(
                there != here && there < 0.2,
                "{name} on {device}: {there} at the average, {here} at the parameters"
            );
        }
    }
    Ok(())
}

/// What is added by chance is added in full on average: moments of 1 in 1000 are not lost in 8 bits.
#[test]
fn moments_in_bf16_do_not_stand_still() -> Result<()> {
    for device in devices() {
        let end = |narrow: bool| -> Result<f64> {
            let p = Param::new(Tensor::zeros(&device, [256]))?;
            let adam = Adam { lr: 0.0, ..Adam::default() };
            let opt = if narrow { adam.bf16_moments(&mut Rng::seed(1)).init(&p)? } else { adam.init(&p)? };
            (0..400).try_for_each(|_| opt.step(&p.tensor().sum(..)))?;
            let mut saved = thalweg::module::snapshot::Snapshot::new();
            opt.save(&mut saved)?;
            let v = saved.array("exp_avg_sq.")?;
            assert_eq!(v.dtype, if narrow { DType::BF16 } else { DType::F32 });
            v.upload(&device)?.cast(DType::F32).mean(..).item()
        };
        near(&format!("the second moment on {device}"), &[end(true)?], &[end(false)?], 0.02);
    }
    Ok(())
}

/// Names, settings and values that there are not are errors that say what there is.
#[test]
fn names_and_values_that_mean_nothing() {
    for (name, settings, parts) in [
        ("adem", vec![], &["'adem' is no rule; there are Sgd, ", "ScheduleFree"][..]),
        (
            "adamw",
            vec![("momentum", Value::from(0.9))],
            &["adamw has no momentum = 0.9; it has lr = 0.001, beta1 = 0.9"],
        ),
        ("rmsprop", vec![("eps_mode", "between".into())], &["has no eps_mode = between", "eps_mode = Outside"]),
        ("muon", vec![("ns_steps", Value::from(2.5))], &["has no ns_steps = 2.5"]),
        ("muon", vec![("ns_steps", Value::from(0.0))], &["ns_steps = 0 is not in [1, 100)"]),
        ("sgd", vec![("nesterov", Value::from(2.0))], &["has no nesterov = 2"]),
        ("lion", vec![("beta2", Value::from(1.0))], &["beta2 = 1 is not in [0, 1)"]),
    ] {
        let error = rule(name, &settings).expect_err("an error").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(rule("Rms-Prop", &[("eps_mode", Value::from("INSIDE")), ("centered", "true".into())]).is_ok());
}
