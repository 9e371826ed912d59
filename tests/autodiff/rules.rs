//! Gradients that a caller gives.

use thalweg::prelude::*;
use thalweg_graph::checkpoint;
use thalweg_tests::{cpu, strict, test_gpu};

fn devices() -> [Device; 3] {
    [strict(), cpu(), test_gpu!()]
}

fn gradient(y: &Tensor, x: &Tensor) -> Result<Vec<f32>> {
    y.sum(..).backward()?.get(x).expect("a gradient").to_vec()
}

/// Rounding that lets gradients pass, a reversal, and a gradient that is cut to what the input was clamped to.
#[test]
fn estimators_and_reversals() -> Result<()> {
    for device in devices() {
        let x = Tensor::from_slice(&device, &[0.4f32, 1.6, -2.5], [3]).track();
        let through = x.round().with_gradient(&[&x], |_, _, g| vec![Some(g.clone())]);
        assert_eq!(through.to_vec::<f32>()?, [0.0, 2.0, -2.0]);
        assert_eq!(gradient(&(&through * 3.0), &x)?, [3.0; 3]);
        let reversed = x.with_gradient(&[&x], |_, _, g| vec![Some(g * -0.5)]);
        assert_eq!(gradient(&reversed.square(), &x)?, [-0.4, -1.6, 2.5]);
        let clamped = |x: &Tensor| {
            let inside = |x: &[Tensor], _: &Tensor, g: &Tensor| vec![Some(x[0].abs().le(2.0).where_(g, 0.0))];
            x.clamp(-1.0, 1.0).with_gradient(&[x], inside)
        };
        assert_eq!(gradient(&clamped(&x), &x)?, [1.0, 1.0, 0.0]);
        // Recorded a second time, and differentiated twice.
        let again = checkpoint(&[&x], |x| clamped(&x[0]).square());
        assert_eq!(gradient(&again, &x)?, [0.8, 2.0, 0.0]);
        let first = clamped(&x).square().sum(..).backward()?;
        assert_eq!(gradient(&first.get(&x).expect("a gradient").square(), &x)?, [8.0 * 0.4, 8.0, 0.0]);
    }
    Ok(())
}

/// What flows in goes to the inputs, and not to what the value was computed from.
#[test]
fn nothing_else_gets_a_gradient() -> Result<()> {
    for device in devices() {
        let [x, z] = [2.0f32, 3.0].map(|v| Tensor::from_slice(&device, &[v], [1]).track());
        let y = (&x * &z).with_gradient(&[&x], |x, y, g| vec![Some(g * y * &x[0])]);
        let grads = y.sum(..).backward()?;
        assert_eq!(grads.get(&x).expect("a gradient").to_vec::<f32>()?, [12.0]);
        assert!(grads.get(&z).is_none());
        let none = (&x * &z).with_gradient(&[&x.detach()], |_, _, g| vec![Some(g.clone())]);
        assert!(!none.is_tracked());
    }
    Ok(())
}

/// In a layer, by a compiled step.
#[test]
fn a_compiled_step_trains_through_it() -> Result<()> {
    for device in devices() {
        let p = Param::new(Tensor::from_slice(&device, &[0.3f32, 1.7], [2]))?;
        let opt = Sgd { lr: 0.5, ..Sgd::default() }.init(&p)?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            let w = p.tensor();
            let rounded = w.round().with_gradient(&[&w], |_, _, g| vec![Some(g.clone())]);
            let loss = (rounded * &x).sum(..);
            opt.step(&loss)?;
            Ok([loss])
        });
        let x = Tensor::from_slice(&device, &[1.0f32, -1.0], [2]);
        let losses = (0..3).map(|_| step.call([&x])?[0].item()).collect::<Result<Vec<f64>>>()?;
        assert_eq!(losses, [-2.0, -2.0, -4.0]);
    }
    Ok(())
}

#[test]
fn a_rule_that_does_not_fit_is_an_error() {
    let x = Tensor::from_slice(&strict(), &[1.0f32, 2.0], [2]).track();
    let too_many = x.with_gradient(&[&x], |_, _, g| vec![Some(g.clone()), None]);
    let shaped = x.with_gradient(&[&x], |_, _, g| vec![Some(g.sum(..))]);
    for (y, words) in
        [(too_many, "1 inputs, and its rule gives 2"), (shaped, "input 0 of shape [2] a gradient of shape []")]
    {
        let error = y.sum(..).backward().map(drop).expect_err("no gradient").to_string();
        assert!(error.contains("with_gradient") && error.contains(words) && error.contains("rules.rs"), "{error}");
    }
}
