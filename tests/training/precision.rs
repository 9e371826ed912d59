//! In which precision contractions compute: in that of the tensors they are made of, the same in training and in evaluation.

use thalweg::prelude::*;
use thalweg_graph::Result;
use thalweg_tests::{cpu, test_gpu};

/// Not an f16: its product with 1 tells what it was computed in.
const FINE: f32 = 1.000_1;

fn x(device: &Device) -> Tensor {
    Tensor::from_slice(device, &[FINE; 4], [2, 2])
}

fn eye(device: &Device) -> Tensor {
    Tensor::from_slice(device, &[1.0f32, 0.0, 0.0, 1.0], [2, 2])
}

fn is_rounded(y: &Tensor) -> Result<bool> {
    let y: Vec<f32> = y.to_vec()?;
    assert!(y.iter().all(|y| *y == FINE || *y == 1.0), "{y:?}");
    Ok(y[0] == 1.0)
}

fn devices() -> Vec<(Device, Device)> {
    [cpu(), test_gpu!()].into_iter().map(|d| (d.with_precision(Precision::MixedF16), d)).collect()
}

#[test]
fn one_mixed_operand_is_enough() -> Result<()> {
    for (mixed, plain) in devices() {
        for (a, b, rounded) in [(&mixed, &plain, true), (&plain, &mixed, true), (&plain, &plain, false)] {
            assert_eq!(is_rounded(&x(a).matmul(&eye(b)))?, rounded, "{a:?} and {b:?}");
        }
        // What is made of a mixed one is mixed.
        let y = x(&plain) + Tensor::zeros(&mixed, [2, 2]);
        assert!(is_rounded(&y.matmul(&eye(&plain)))?);
    }
    Ok(())
}

#[test]
fn other_roots_of_a_run_do_not_matter() -> Result<()> {
    for (mixed, plain) in devices() {
        let (a, b) = (x(&mixed).matmul(&eye(&mixed)), x(&plain).matmul(&eye(&plain)));
        Tensor::eval_all(&[b.clone(), a.clone()])?;
        assert_eq!((is_rounded(&a)?, is_rounded(&b)?), (true, false));
    }
    Ok(())
}

#[test]
fn equal_products_of_two_precisions_are_two() -> Result<()> {
    for (mixed, _) in devices() {
        let (x, w) = (x(&mixed), eye(&mixed));
        let (a, b) = (x.matmul(&w), keep_f32(|| x.matmul(&w)));
        Tensor::eval_all(&[a.clone(), b.clone()])?;
        assert_eq!((is_rounded(&a)?, is_rounded(&b)?), (true, false));
    }
    Ok(())
}

/// Inputs and parameters of different handles: the first run of evaluation has the input in front, that of a step a parameter.
#[test]
fn training_and_evaluation_agree() -> Result<()> {
    for (mixed, plain) in devices() {
        for (of_net, of_data) in [(&mixed, &plain), (&plain, &mixed)] {
            let net = Linear::new(2, 2).bias(false).init(of_net, &mut Rng::seed(0))?;
            net.weight.set(&eye(of_net))?;
            let opt = Sgd { lr: 0.0, ..Sgd::default() }.init(&net)?;
            for _ in 0..2 {
                let y = net.forward(&x(of_data));
                opt.step(&y.sum(..))?;
                assert!(is_rounded(&y)?, "in training");
                net.eval();
                assert!(is_rounded(&net.forward(&x(of_data)))?, "in evaluation");
                net.train();
            }
        }
    }
    Ok(())
}

#[test]
fn what_keeps_f32_does_so_in_its_gradient() -> Result<()> {
    for (mixed, _) in devices() {
        let net = KeepF32::new(Linear::new(2, 2).bias(false)).init(&mixed, &mut Rng::seed(0))?;
        net.layer.weight.set(&eye(&mixed))?;
        let y = net.forward(&eye(&mixed));
        // The gradient of the weight is the upstream's transpose times ones, recorded outside.
        let grads = y.backward_from(&x(&mixed))?;
        let gradient = grads.get(&net.layer.weight).cloned().unwrap();
        assert!(!is_rounded(&gradient)?, "{gradient:?}");
        assert!(!is_rounded(&net.forward(&x(&mixed)))?);
        assert!(is_rounded(&net.layer.forward(&x(&mixed)))?);
    }
    Ok(())
}
