//! A run that is saved and loaded in a new process goes on with the same bits.

use thalweg::prelude::*;

use super::{assert_same, changed, devices, load, refuses, sgd, snapshot, vector};

#[derive(Clone, Module)]
struct Net {
    drop: Dropout,
    norm: BatchNorm2d,
    attention: Option<Dropout>,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let rng = &mut Rng::seed(0);
        Ok(Net {
            drop: Dropout::new(0.5).init(device, rng)?,
            norm: BatchNorm2d::new(1).init(device, rng)?,
            attention: Some(Dropout::new(0.25).init(device, rng)?),
            head: Linear::new(4, 2).init(device, rng)?,
        })
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.drop.forward(x)).flatten(1..);
        let x = self.attention.iter().fold(x, |x, drop| drop.forward(&x));
        self.head.forward(&x).square().mean(..)
    }
}

fn images(device: &Device, rng: &std::cell::RefCell<Rng>) -> Tensor {
    let values: Vec<f32> = (0..12).map(|_| rng.borrow_mut().normal() as f32).collect();
    Tensor::from_slice(device, &values, [3, 1, 2, 2])
}

#[test]
fn the_same_bits_with_dropout_schedule_and_skipped_steps() -> Result<()> {
    for device in devices() {
        for precision in [None, Some(Precision::MixedF16)] {
            let device = precision.map_or(device.clone(), |p| device.with_precision(p));
            for name in ["sgd", "adamw"] {
                let start = || {
                    let net = Net::new(&device)?;
                    let rule = thalweg::optim::rule(name, &[("lr", 0.05)])?;
                    let opt = rule.init(&net)?.clip_norm(1.0).schedule(|step| 0.05 / (1.0 + step as f64));
                    Ok::<_, Error>((net, opt, std::cell::RefCell::new(Rng::seed(4))))
                };
                let (net, opt, rng) = start()?;
                let go = |(net, opt, rng): (&Net, &Optimizer, &std::cell::RefCell<Rng>), i: i32| {
                    let bad = if i % 3 == 2 { f64::INFINITY } else { 1.0 };
                    opt.step(&net.loss(&(images(&device, rng) * bad)))
                };
                for i in 0..5 {
                    go((&net, &opt, &rng), i)?;
                }
                net.head.bias.as_ref().expect("a bias").freeze(true);
                let saved = snapshot(&[&net, &opt, &rng])?;
                let (again, other, draws) = start()?;
                load(&saved, &[&again, &other, &draws])?;
                assert_eq!(changed(&saved, &snapshot(&[&again, &other, &draws])?), [""; 0], "{device}");
                for i in 5..9 {
                    go((&net, &opt, &rng), i)?;
                    go((&again, &other, &draws), i)?;
                }
                let (want, got) = (snapshot(&[&net, &opt, &rng])?, snapshot(&[&again, &other, &draws])?);
                assert_eq!(changed(&want, &got), [""; 0], "{name} on {device}");
                assert_eq!(changed(&got, &want), [""; 0], "{name} on {device}");
            }
        }
    }
    Ok(())
}

/// Masks go on where they were, as often as the layer was used.
#[test]
fn dropout_does_not_start_over() -> Result<()> {
    for device in devices() {
        let make = || Dropout::new(0.5).init(&device, &mut Rng::seed(0));
        let (layer, resumed) = (make()?, make()?);
        let x = Tensor::ones(&device, [64]);
        (0..3).try_for_each(|_| layer.forward(&x).eval())?;
        load(&snapshot(&[&layer])?, &[&resumed])?;
        for _ in 0..2 {
            assert_same(&layer.forward(&x), &resumed.forward(&x), "the mask");
        }
    }
    Ok(())
}

/// A snapshot is of what was set, not only of what was written.
#[test]
fn what_is_set_and_not_written_is_saved() -> Result<()> {
    for device in devices() {
        let (net, again) = (Net::new(&device)?, Net::new(&device)?);
        net.norm.running_mean.as_ref().unwrap().set(&vector(&device, &[3.0]));
        let saved = snapshot(&[&net])?;
        assert_eq!(net.norm.running_mean.as_ref().unwrap().version(), 0, "looking writes nothing");
        again.norm.running_mean.as_ref().unwrap().set(&vector(&device, &[5.0]));
        load(&saved, &[&again])?;
        super::assert_values(&again.norm.running_mean.as_ref().unwrap().tensor(), &[3.0]);
        sgd(0.1).init(&again)?.step(&again.head.weight.tensor().sum(..))?;
        super::assert_values(&again.norm.running_mean.as_ref().unwrap().tensor(), &[3.0]);
    }
    Ok(())
}

/// All or nothing, and the error says what does not fit.
#[test]
fn what_does_not_fit_changes_nothing() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
        let x = Tensor::ones(&device, [2, 1, 2, 2]);
        opt.step(&net.loss(&x))?;
        let saved = snapshot(&[&net, &opt])?;
        opt.step(&net.loss(&x))?;
        let before = snapshot(&[&net, &opt])?;
        for missing in ["0.head.weight", "0.norm.running_var", "1.exp_avg.head.weight", "1.#control"] {
            let mut part = saved.clone();
            assert!(part.remove(missing).is_some(), "{missing}");
            let error = load(&part, &[&net, &opt]).expect_err(missing).to_string();
            let name = missing.split_once('.').expect("a prefix").1;
            assert!(error.contains("load") && error.contains(name), "{error}");
            // The first of the two may have been loaded.
            load(&before, &[&net, &opt])?;
            let error = thalweg::module::snapshot::Stateful::load(&opt, &part.part("1"));
            if missing.starts_with('1') {
                assert!(error.is_err(), "{missing}");
                assert_eq!(changed(&before, &snapshot(&[&net, &opt])?), [""; 0], "{missing} on {device}");
            }
            load(&before, &[&net, &opt])?;
        }
        let other = BatchNorm2d::new(2).init(&device, &mut Rng::seed(0))?;
        let line = line!() + 1;
        let wrong = thalweg::module::snapshot::Stateful::load(&other, &saved.part("0.norm"));
        assert!(wrong.as_ref().is_err_and(|e| e.to_string().contains("'weight'")), "{wrong:?}");
        let _ = line;
        let fresh = Net::new(&device)?;
        let from = snapshot(&[&other])?;
        let text = load(&from, &[&fresh]).expect_err("another model").to_string();
        assert!(text.contains("load"), "{text}");
        refuses(opt.step(&x.sum(..)), line!(), &["tracked"]);
    }
    Ok(())
}
