//! Clipping: by norm, by value, of gradients whose squares do not fit.

use thalweg::prelude::*;

use super::{assert_values, devices, down, param, refuses, sgd, vector};

#[test]
fn gradients_of_any_size_are_clipped_to_the_norm() -> Result<()> {
    for device in devices() {
        for slope in [1e-6f32, 0.05, 1.0, 1e10, 1e20, 3e36] {
            // A loss that fits: its slope alone is large.
            let p = param(&device, &[0.0; 100])?;
            let opt = sgd(1.0).init(&p)?.clip_norm(1.0);
            let loss = (p.tensor() * f64::from(slope)).sum(..);
            opt.step(&loss)?;
            let (report, norm) = (opt.report()?, 10.0 * f64::from(slope));
            assert_eq!((report.steps, report.skipped), (1, 0), "slope {slope:e} on {device}");
            assert!((report.grad_norm / norm - 1.0).abs() < 1e-5, "slope {slope:e} on {device}: {report:?}");
            let want = if norm > 1.0 { -0.1 } else { -f64::from(slope) };
            assert_values(&p.tensor(), &[want; 100]);
        }
    }
    Ok(())
}

/// Large and small together, and by `Grads` itself.
#[test]
fn a_norm_of_large_and_small_is_right() -> Result<()> {
    for device in devices() {
        for values in [[3e20f32, 4e20], [3e20, 1.0], [3.0, 4.0], [0.0, 0.0], [1e14, 3e14], [2e38, 2e38]] {
            let net = (param(&device, &[0.0])?, param(&device, &[0.0])?);
            let mut grads = Grads::new();
            grads.insert(&net.0, &vector(&device, &values[..1]))?;
            grads.insert(&net.1, &vector(&device, &values[1..]))?;
            let want = f64::from(values[0]).hypot(f64::from(values[1]));
            assert_values(&grads.norm()?, &[want]);
            let clipped = grads.clone().clip_norm(2.0)?;
            let factor = (2.0 / (want + 1e-6)).min(1.0);
            for (p, g) in [(&net.0, values[0]), (&net.1, values[1])] {
                assert_values(clipped.get(p).expect("a gradient"), &[f64::from(g) * factor]);
            }
        }
        refuses(Grads::new().norm(), line!(), &["norm", "no gradients"]);
        refuses(Grads::new().clip_norm(f64::NAN), line!(), &["clip_norm", "NaN is no bound"]);
    }
    Ok(())
}

#[test]
fn by_value_and_by_both() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0; 4])?;
        let slopes = vector(&device, &[3.0, -4.0, 0.1, 0.0]);
        let opt = sgd(1.0).init(&p)?.clip_value(0.5);
        opt.step(&(p.tensor() * &slopes).sum(..))?;
        assert_values(&p.tensor(), &[-0.5, 0.5, -0.1, 0.0]);
        // By norm first.
        p.set(&Tensor::zeros(&device, [4]))?;
        let opt = sgd(1.0).init(&p)?.clip_norm(1.0).clip_value(0.7);
        opt.step(&(p.tensor() * vector(&device, &[3.0, -4.0, 0.0, 0.0])).sum(..))?;
        assert_values(&p.tensor(), &[-0.6, 0.7, 0.0, 0.0]);
        // What is infinite has no norm: the step is skipped. By value alone it is clipped.
        let far = vector(&device, &[f32::INFINITY, 0.0, 0.0, 0.0]);
        p.set(&Tensor::ones(&device, [4]))?;
        let mut grads = Grads::new();
        grads.insert(&p, &far)?;
        opt.apply(&grads)?;
        assert_values(&p.tensor(), &[1.0; 4]);
        assert_eq!(opt.report()?.skipped, 1);
        down(&opt, &[&p])?;
        assert_values(&p.tensor(), &[0.5; 4]);
    }
    Ok(())
}

/// f16 gradients, whose squares overflow at 256.
#[test]
fn gradients_in_16_bits_are_measured_in_32() -> Result<()> {
    for device in devices() {
        for dtype in [DType::F16, DType::BF16] {
            let p = Param::new(Tensor::zeros(&device, [4]).cast(dtype))?;
            let opt = sgd(1.0).init(&p)?.clip_norm(1.0);
            opt.step(&(p.tensor() * 4096.0).sum(..))?;
            assert!((opt.report()?.grad_norm - 8192.0).abs() < 1.0, "{dtype} on {device}");
            assert_values(&p.tensor(), &[-0.5; 4]);
        }
    }
    Ok(())
}

/// What lies between parameters in one buffer counts for nothing, whatever was in the memory before.
#[test]
fn norms_see_parameters_alone() -> Result<()> {
    for device in devices() {
        for device in [device.clone(), device.op_by_op()] {
            for _ in 0..3 {
                for _ in 0..8 {
                    let used = Tensor::from_slice(&device, &[3f32; 128], [128]) + 1.0;
                    assert_values(&used, &[4.0; 128]);
                }
                let (a, b) = (param(&device, &[1.0, 2.0])?, param(&device, &[3.0, 4.0, 5.0])?);
                let opt = sgd(1.0).init(&(a.clone(), b.clone()))?.clip_norm(1.0);
                opt.step(&((a.tensor() * 2.0).sum(..) + b.tensor().sum(..) * 2.0))?;
                let step = 1.0 / 5f64.sqrt();
                assert_values(&a.tensor(), &[1.0 - step, 2.0 - step]);
                assert_values(&b.tensor(), &[3.0 - step, 4.0 - step, 5.0 - step]);
            }
        }
    }
    Ok(())
}
