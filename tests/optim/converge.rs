//! Every rule on a quadratic bowl and on Rosenbrock's valley, on the strict and the fast CPU executor.

use thalweg_graph::{Device, Param, Result, Tensor};
use thalweg_optim::{Adam, AdamW, Rule, RuleExt, Sgd};
use thalweg_tests::{cpu, strict};

/// `Σ i · (x_i - 1)²`.
fn bowl(x: &Tensor) -> Tensor {
    let weight = Tensor::from_slice(x.device(), &[1.0f32, 2.0, 3.0, 4.0], [4]);
    ((x - 1.0).square() * weight).sum(..)
}

/// `100 (b - a²)² + (1 - a)²` of the first two: with more there is a second minimum.
fn valley(x: &Tensor) -> Tensor {
    let (a, b) = (x.select(0, 0), x.select(0, 1));
    (b - a.square()).square() * 100.0 + (1.0 - a).square()
}

fn descend(device: &Device, rule: impl Rule, f: fn(&Tensor) -> Tensor, steps: usize) -> Result<f64> {
    let param = Param::new(Tensor::from_slice(device, &[-0.5f32, 0.5, 0.3, 1.4], [4]))?;
    let opt = rule.init(&param)?;
    for _ in 0..steps {
        let loss = f(&param.tensor());
        opt.step(&loss)?;
    }
    f(&param.tensor()).item()
}

#[test]
fn every_rule_finds_the_minimum() {
    for device in [strict(), cpu()] {
        let check = |name: &str, loss: Result<f64>, below: f64| {
            let loss = loss.unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
            assert!(loss < below, "{name} on {device}: {loss} is not below {below}");
        };
        let momentum = Sgd { lr: 0.01, momentum: 0.9, nesterov: true, ..Sgd::default() };
        let adam = Adam { lr: 0.05, ..Adam::default() };
        let adamw = AdamW { lr: 0.05, weight_decay: 0.0, ..AdamW::default() };
        check("sgd on the bowl", descend(&device, Sgd { lr: 0.05, ..Sgd::default() }, bowl, 200), 1e-6);
        check("momentum on the bowl", descend(&device, momentum.clone(), bowl, 200), 1e-6);
        check("adam on the bowl", descend(&device, adam.clone(), bowl, 400), 1e-6);
        check("adamw on the bowl", descend(&device, adamw.clone(), bowl, 400), 1e-6);
        check("momentum in the valley", descend(&device, Sgd { lr: 5e-4, ..momentum }, valley, 1500), 1e-2);
        check("adam in the valley", descend(&device, adam, valley, 1500), 1e-2);
        check("adamw in the valley", descend(&device, adamw, valley, 1500), 1e-2);
    }
}
