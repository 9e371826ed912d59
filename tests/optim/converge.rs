//! Every rule on a quadratic bowl and on Rosenbrock's valley, on the strict and the fast CPU executor.

use thalweg_graph::{Device, Param, Result, Tensor};
use thalweg_optim::{RULES, Rule, RuleExt, rule};
use thalweg_tests::{cpu, strict};

/// `Σ i · (x_i - 1)²`.
fn bowl(x: &Tensor) -> Tensor {
    let weight = Tensor::from_slice(x.device(), &[1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    ((x - 1.0).square() * weight).sum(..)
}

/// `100 (b - a²)² + (1 - a)²` of the first two: with more there is a second minimum.
fn valley(x: &Tensor) -> Tensor {
    let x = x.flatten(..);
    let (a, b) = (x.select(0, 0), x.select(0, 1));
    (b - a.square()).square() * 100.0 + (1.0 - a).square()
}

/// How far down each rule must come, from `[-0.5, 0.5, 0.3, 1.4]`: settings, steps and a loss for the bowl, which is 8.2 high there, and
/// for the valley, which is 8.5 high. The rate falls in a straight line to 0.
#[rustfmt::skip]
const ROWS: &[(&str, &[(&str, f64)], (f64, usize, f64), (f64, usize, f64))] = &[
    ("Sgd",          &[],                                    (0.1, 200, 1e-6),  (2e-3, 1500, 0.5)),
    ("Sgd",          &[("momentum", 0.9), ("nesterov", 1.0)], (0.01, 200, 1e-6), (5e-4, 1500, 1e-2)),
    ("SgdEma",       &[],                                    (0.1, 200, 1e-6),  (5e-3, 1500, 1e-2)),
    ("Adagrad",      &[],                                    (0.5, 400, 1e-6),  (0.5, 1500, 0.5)),
    ("Adadelta",     &[],                                    (20.0, 400, 1e-4), (20.0, 1500, 0.5)),
    ("RmsProp",      &[],                                    (0.05, 400, 1e-6), (0.02, 1500, 1e-2)),
    ("Adam",         &[],                                    (0.05, 400, 1e-6), (0.05, 1500, 1e-2)),
    ("AdamW",        &[("weight_decay", 0.0)],               (0.05, 400, 1e-6), (0.05, 1500, 1e-2)),
    ("Adamax",       &[],                                    (0.1, 400, 1e-6),  (0.1, 1500, 0.1)),
    ("NAdam",        &[],                                    (0.05, 400, 1e-6), (0.05, 1500, 1e-2)),
    ("RAdam",        &[],                                    (0.05, 400, 1e-4), (2e-3, 1500, 4.0)),
    ("Asgd",         &[],                                    (0.1, 200, 1e-4),  (2e-3, 1500, 0.5)),
    ("Rprop",        &[],                                    (0.01, 200, 1e-6), (0.01, 1500, 0.1)),
    ("Lion",         &[],                                    (0.02, 400, 1e-4), (0.01, 1500, 0.1)),
    ("SparseAdam",   &[],                                    (0.05, 400, 1e-6), (0.05, 1500, 1e-2)),
    ("Adafactor",    &[("relative_step", 0.0)],              (0.1, 400, 1e-4),  (0.05, 1500, 0.5)),
    ("Lamb",         &[("weight_decay", 0.0)],               (0.05, 400, 1e-4), (0.02, 1500, 0.5)),
    ("Lars",         &[("kappa", 1.0)],                      (0.02, 400, 1e-2), (5e-3, 1500, 0.5)),
    ("Muon",         &[("weight_decay", 0.0)],               (0.05, 400, 1e-2), (0.02, 1500, 2.0)),
    ("SophiaG",      &[("weight_decay", 0.0)],               (0.02, 400, 1e-4), (0.01, 1500, 0.1)),
    ("ScheduleFree", &[],                                    (0.1, 400, 1e-2),  (0.05, 1500, 0.5)),
];

fn descend(device: &Device, rule: Box<dyn Rule>, f: fn(&Tensor) -> Tensor, steps: usize) -> Result<f64> {
    let param = Param::new(Tensor::from_slice(device, &[-0.5f32, 0.5, 0.3, 1.4], [2, 2]))?;
    let lr = rule.lr();
    let opt = rule.init(&param)?.schedule(move |t| lr * (1.0 - t as f64 / steps as f64).max(0.0));
    for _ in 0..steps {
        let loss = f(&param.tensor());
        opt.step(&loss)?;
    }
    opt.during(|| f(&param.tensor()).item())?
}

#[test]
fn every_rule_finds_the_minimum() {
    let mut wrong = Vec::new();
    for device in [strict(), cpu()] {
        for (name, settings, on_bowl, in_valley) in ROWS {
            for (place, f, (lr, steps, below)) in
                [("on the bowl", bowl as fn(&Tensor) -> Tensor, on_bowl), ("in the valley", valley, in_valley)]
            {
                let settings: Vec<(&str, f64)> = settings.iter().copied().chain([("lr", *lr)]).collect();
                let rule = rule(name, &settings).unwrap_or_else(|e| panic!("{name}: {e}"));
                let loss = descend(&device, rule, f, *steps).unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
                if loss.is_nan() || loss >= *below {
                    wrong.push(format!("{name} {place} on {device}: {loss:e} is not below {below}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(RULES.iter().all(|name| ROWS.iter().any(|(row, ..)| row == name)), "a rule has no row");
}
