//! A graph recorded before a step read parameters that no longer exist.

use thalweg_graph::{ErrorKind, Param, Tensor};
use thalweg_optim::{RuleExt, Sgd};
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn a_graph_from_before_a_step_is_stale() {
    for device in [strict(), cpu(), test_gpu!()] {
        let param = Param::new(Tensor::from_slice(&device, &[1.0f32, 2.0], [2])).unwrap();
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&param).unwrap();
        let old = param.tensor() * 3.0;
        let loss = param.tensor().square().sum(..);
        opt.step(&loss).unwrap();
        let error = old.to_vec::<f32>().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{device}: {error}");
        assert!(error.to_string().contains("compute the value again"), "{error}");
        // The loss belongs to the step and can be read; the parameter can be read anew.
        assert_eq!(loss.item().unwrap(), 5.0);
        let new = param.tensor().to_vec::<f64>().unwrap();
        assert!((new[0] - 0.8).abs() < 1e-6 && (new[1] - 1.6).abs() < 1e-6, "{device}: {new:?}");
    }
}

/// A loss that is not a number changes nothing and is counted.
#[test]
fn a_step_whose_loss_is_not_finite_is_skipped_and_reported() {
    for device in [strict(), cpu(), test_gpu!()] {
        let param = Param::new(Tensor::from_slice(&device, &[1.0f32, 2.0], [2])).unwrap();
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&param).unwrap();
        let factor = Tensor::from_slice(&device, &[f32::NAN, 1.0], [2]);
        let loss = (param.tensor() * factor).sum(..);
        opt.step(&loss).unwrap();
        assert!(loss.item().unwrap().is_nan());
        assert_eq!(param.tensor().to_vec::<f32>().unwrap(), [1.0, 2.0], "{device}");
        assert_eq!(opt.report().unwrap().skipped, 1, "{device}");
    }
}
