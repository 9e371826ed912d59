//! Hyperparameters out of range are refused by name, with the caller's line.

use std::panic::Location;

use thalweg_graph::{Param, Result, Tensor};
use thalweg_optim::{Adam, AdamW, LossScale, RuleExt, Sgd};
use thalweg_tests::strict;

#[track_caller]
fn refuses<T>(result: Result<T>, line: u32, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    let place = format!("{}:{line}:", Location::caller().file());
    for part in parts.iter().chain([&place.as_str()]) {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
}

fn param() -> Param {
    Param::new(Tensor::ones(&strict(), [2])).expect("a parameter")
}

#[test]
fn of_rules() {
    let (p, adam, sgd) = (param(), Adam::default(), Sgd::default());
    refuses(Adam { lr: -1.0, ..adam.clone() }.init(&p), line!(), &["init", "lr = -1 is not in [0, inf)"]);
    refuses(Adam { beta1: 1.0, ..adam.clone() }.init(&p), line!(), &["beta1 = 1 is not in [0, 1)"]);
    refuses(Adam { beta2: f64::NAN, ..adam.clone() }.init(&p), line!(), &["beta2 = NaN is not in [0, 1)"]);
    refuses(Adam { eps: -1e-8, ..adam }.init(&p), line!(), &["eps = -0.00000001 is not in [0, inf)"]);
    let decay = AdamW { weight_decay: f64::INFINITY, ..AdamW::default() };
    refuses(decay.init(&p), line!(), &["init", "weight_decay = inf is not in [0, inf)"]);
    refuses(Sgd { momentum: -0.1, ..sgd.clone() }.init(&p), line!(), &["init", "momentum = -0.1 is not in"]);
    refuses(Sgd { nesterov: true, ..sgd }.init(&p), line!(), &["nesterov needs a momentum and no dampening"]);
}

#[test]
fn of_scaling_and_clipping() {
    let p = param();
    let opt = || Sgd { lr: 0.1, ..Sgd::default() }.init(&p).expect("an optimizer");
    let scale = LossScale { backoff: 2.0, ..LossScale::default() };
    refuses(opt().loss_scale(scale), line!(), &["loss_scale", "backoff: 2.0", "0 < backoff < 1"]);
    let (by_norm, by_value) = (opt().clip_norm(-1.0), opt().clip_value(f64::NAN));
    let loss = p.tensor().sum(..);
    refuses(by_norm.step(&loss), line!(), &["step", "clip_norm = -1 is no bound"]);
    refuses(by_value.step(&loss), line!(), &["step", "clip_value = NaN is no bound"]);
}

#[test]
fn of_modules() {
    let frozen = param();
    frozen.freeze(true);
    refuses(Sgd::default().init(&frozen), line!(), &["init", "no trainable parameter"]);
}
