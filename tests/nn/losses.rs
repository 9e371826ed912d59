//! Losses where numbers get extreme, and layers and functions where something has to be defined.

use thalweg::{nn::*, prelude::*};
use thalweg_tests::{cpu, strict, test_gpu};

fn row(device: &Device, data: &[f32]) -> Tensor {
    Tensor::from_slice(device, data, [data.len()]).track()
}

/// Value and gradient are finite, in F32, on every device.
#[test]
fn extreme_logits_stay_finite() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = row(&device, &[-1e4, -80.0, 0.0, 80.0, 1e4]);
        for target in [0.0, 0.5, 1.0] {
            let t = Tensor::full(&device, target, [5], DType::F32);
            let losses = [
                BinaryCrossEntropyWithLogits::default().loss(&x, &t),
                SigmoidFocal { gamma: 0.5, ..SigmoidFocal::default() }.loss(&x, &t),
                LogCosh::default().loss(&x, &t),
                SoftMargin::default().loss(&x, &(&t * 2.0 - 1.0)),
                SoftmaxFocal::default().loss(&x, &Tensor::scalar(&device, 2.0, DType::I32)),
            ];
            for (i, loss) in losses.iter().enumerate() {
                let value = loss.item().unwrap();
                let grads = loss.backward().unwrap();
                let grad = grads.get(&x).unwrap().to_vec::<f32>().unwrap();
                assert!(
                    value.is_finite() && grad.iter().all(|g| g.is_finite()),
                    "{device}, loss {i}: {value} {grad:?}"
                );
            }
        }
    }
}

/// Probabilities of 0 and 1: logarithms are held, nothing is NaN.
#[test]
fn binary_cross_entropy_at_0_and_1() {
    for device in [strict(), cpu(), test_gpu!()] {
        let p = row(&device, &[0.0, 0.0, 1.0, 1.0]);
        let t = Tensor::from_slice(&device, &[0.0f32, 1.0, 0.0, 1.0], [4]);
        let loss = BinaryCrossEntropy { weight: None, reduction: Reduction::None }.loss(&p, &t);
        assert_eq!(loss.to_vec::<f32>().unwrap(), [0.0, 100.0, 100.0, 0.0]);
        let grads = loss.sum(..).backward().unwrap();
        assert!(grads.get(&p).unwrap().to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
    }
}

/// Six steps for a target of one label: the sum over the 21 paths `blank* label+ blank*`.
#[test]
fn ctc_sums_over_all_paths() {
    for device in [strict(), cpu(), test_gpu!()] {
        let log_p = Tensor::full(&device, 0.5f64.ln(), [6, 2], DType::F32);
        let int = |v: &[i32]| Tensor::from_slice(&device, v, [v.len()]);
        let loss = Ctc::default().loss(&log_p, &int(&[1]), &int(&[6]), &int(&[1])).item().unwrap();
        let want = -(21.0 * 0.5f64.powi(6)).ln();
        assert!((loss - want).abs() < 1e-5, "{device}: {loss}, not {want}");
        // Two equal labels need a blank between: three steps at least.
        let short = log_p.narrow(0, 0, 2);
        let impossible = |zero_infinity| {
            let ctc = Ctc { zero_infinity, ..Ctc::default() };
            ctc.loss(&short, &int(&[1, 1]), &int(&[2]), &int(&[2])).item().unwrap()
        };
        assert_eq!((impossible(false), impossible(true)), (f64::INFINITY, 0.0), "{device}");
        // Of no steps there is one path, and it gives nothing.
        let none = |labels: i32| Ctc::default().loss(&log_p, &int(&[1]), &int(&[0]), &int(&[labels])).item().unwrap();
        assert_eq!((none(0).abs(), none(1)), (0.0, f64::INFINITY), "{device}");
    }
}

/// Targets one behind the other are the rows of padded ones.
#[test]
fn ctc_of_concatenated_targets() {
    let device = strict();
    let mut rng = Rng::seed(11);
    let logits: Vec<f32> = (0..7 * 3 * 4).map(|_| rng.normal() as f32).collect();
    let log_p = Tensor::from_slice(&device, &logits, [7, 3, 4]).log_softmax(-1);
    let int = |v: &[i32]| Tensor::from_slice(&device, v, [v.len()]);
    let (input, lengths) = (int(&[7, 6, 7]), int(&[2, 0, 3]));
    let loss = |target: &Tensor| {
        let ctc = Ctc { reduction: Reduction::None, ..Ctc::default() };
        ctc.loss(&log_p, target, &input, &lengths).to_vec::<f64>()
    };
    let padded = int(&[1, 2, 0, 0, 0, 0, 3, 3, 1]).reshape([3, 3]);
    assert_eq!(loss(&int(&[1, 2, 3, 3, 1])).unwrap(), loss(&padded).unwrap());
    let text = loss(&int(&[1, 2, 3])).unwrap_err().to_string();
    assert!(text.contains("ctc_loss") && text.contains("[2, 0, 3]") && text.contains("3 labels"), "{text}");
}

/// Nothing is planned anew for targets of other lengths, as long as the longest and all together are as long.
#[test]
fn lengths_of_a_ctc_are_data() -> Result<()> {
    // A device of its own: others count along on a shared one.
    let device = Device::cpu()?;
    let int = |v: &[i32]| Tensor::from_slice(&device, v, [v.len()]);
    let log_p = (Tensor::arange(&device, 7 * 3 * 4).cast(DType::F32) * 0.7).sin().reshape([7, 3, 4]).log_softmax(-1);
    log_p.eval()?;
    let run = |target: &[i32], lengths: &[i32]| -> Result<(f64, u64)> {
        let before = device.stats().plans_built;
        let loss = Ctc::default().loss(&log_p, &int(target), &int(&[7, 7, 7]), &int(lengths)).item()?;
        Ok((loss, device.stats().plans_built - before))
    };
    run(&[1, 2, 3, 3, 1], &[2, 0, 3])?;
    let (loss, plans) = run(&[1, 2, 3, 3, 1], &[1, 3, 1])?;
    assert!(loss.is_finite() && plans == 0, "{plans} plans");
    let (nothing, _) = run(&[], &[0, 0, 0])?;
    let blanks = -log_p.select(2, 0).sum(0).mean(..).item()?;
    assert!((nothing - blanks).abs() < 1e-5, "{nothing}, not {blanks}");
    Ok(())
}

#[test]
fn the_best_path_is_merged_and_has_no_blanks() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        // The classes of two sequences over seven steps, of which the second has five.
        let paths = [[1, 1, 0, 1, 2, 2, 0], [0, 3, 3, 2, 0, 3, 3]];
        let best = |t: usize, row: usize, class: usize| if paths[row][t] == class { 1.0f32 } else { 0.25 };
        let logits: Vec<f32> =
            (0..7).flat_map(|t| (0..2).flat_map(move |row| (0..4).map(move |c| best(t, row, c)))).collect();
        let logits = Tensor::from_slice(&device, &logits, [7, 2, 4]);
        let lengths = Tensor::from_slice(&device, &[7, 5], [2]);
        assert_eq!(Ctc::default().best_path(&logits, &lengths)?, [vec![1, 1, 2], vec![3, 2]], "{device}");
        let other = Ctc { blank: 3, ..Ctc::default() };
        assert_eq!(other.best_path(&logits, &lengths)?, [vec![1, 0, 1, 2, 0], vec![0, 2, 0]], "{device}");
        let text = other.best_path(&logits, &lengths.slice(0, ..1)).unwrap_err().to_string();
        assert!(text.contains("[7, 2, 4] and [1]") && text.contains("losses.rs"), "{text}");
    }
    Ok(())
}

/// The recursion is planned as one step, however many there are.
#[test]
fn a_longer_ctc_needs_no_other_kernels() -> Result<()> {
    // A device of its own: others count along on a shared one.
    let device = Device::cpu()?;
    let run = |time: usize| -> Result<(u64, u64)> {
        let int = |v: &[i32]| Tensor::from_slice(&device, v, [v.len()]);
        let x = (Tensor::arange(&device, time * 2 * 5).cast(DType::F32) * 0.7).sin().reshape([time, 2, 5]).track();
        let before = device.stats();
        let target = int(&[1, 2, 2, 4, 3, 1]).reshape([2, 3]);
        let lengths = int(&[time as i32, time as i32 - 2]);
        let grads = Ctc::default().loss(&x.log_softmax(-1), &target, &lengths, &int(&[3, 2])).backward()?;
        grads.get(&x).expect("it counts").to_vec::<f32>()?;
        let after = device.stats();
        Ok((after.launches - before.launches, after.kernels - before.kernels))
    };
    let (few, kernels) = run(8)?;
    let (many, more) = run(72)?;
    assert!(kernels <= 40 && more <= kernels, "{kernels} kernels of 8 steps, {more} of 72");
    let each = (many - few) as f64 / 64.0;
    assert!(each <= 5.0, "{each} launches a step, forwards and back");
    Ok(())
}

/// A recursion of many steps gives the same everywhere, gradients included.
#[test]
fn ctc_over_a_hundred_steps() {
    let (time, batch, classes, labels) = (100, 2, 6, 8);
    let mut rng = Rng::seed(3);
    let logits: Vec<f32> = (0..time * batch * classes).map(|_| rng.normal() as f32).collect();
    let target: Vec<i32> = (0..batch * labels).map(|_| 1 + rng.below(classes as u32 - 1) as i32).collect();
    let run = |device: &Device| {
        let x = Tensor::from_slice(device, &logits, [time, batch, classes]).track();
        let target = Tensor::from_slice(device, &target, [batch, labels]);
        let lengths = |v: &[i32]| Tensor::from_slice(device, v, [batch]);
        let loss = Ctc::default().loss(&x.log_softmax(-1), &target, &lengths(&[100, 71]), &lengths(&[8, 5]));
        let grads = loss.backward().unwrap();
        (loss.item().unwrap(), grads.get(&x).unwrap().to_vec::<f64>().unwrap())
    };
    let (want, want_grad) = run(&strict());
    for device in [cpu(), test_gpu!()] {
        let (loss, grad) = run(&device);
        assert!((loss - want).abs() < 1e-4 * want, "{device}: {loss}, not {want}");
        assert!(grad.iter().zip(&want_grad).all(|(a, b)| (a - b).abs() < 1e-5), "{device}");
    }
}

/// A row of which nothing takes part is zero, and its gradient too.
#[test]
fn attention_to_nothing_is_zero() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::from_slice(&device, &[0.5f32, -1.0, 2.0, 0.25], [1, 2, 2]).track();
        let bools = Tensor::from_slice(&device, &[false, false, true, false], [2, 2]);
        let floats =
            Tensor::from_slice(&device, &[f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], [2, 2]);
        for mask in [bools, floats] {
            let y = Attention { mask: Some(&mask), ..Attention::default() }.apply(&x, &x, &x);
            assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 0.0, 0.5, -1.0], "{device}");
            let grads = y.sum(..).backward().unwrap();
            assert_eq!(grads.get(&x).unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0, 0.0, 0.0], "{device}");
        }
    }
}

#[test]
fn norms_have_pytorchs_parameters() {
    #[derive(Module)]
    struct Net {
        layer: LayerNorm,
        rms: RmsNorm,
        group: GroupNorm,
        instance: InstanceNorm,
    }
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let net = Net {
        layer: LayerNorm::new([3, 2]).init(&device, rng).unwrap(),
        rms: RmsNorm::new([2]).init(&device, rng).unwrap(),
        group: GroupNorm::new(2, 4).init(&device, rng).unwrap(),
        instance: InstanceNorm::new(4).init(&device, rng).unwrap(),
    };
    let names: Vec<String> = net.params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["layer.weight", "layer.bias", "rms.weight", "group.weight", "group.bias"]);
    let x = Tensor::arange(&device, 48).cast(DType::F32).reshape([2, 4, 3, 2]);
    for y in [net.layer.forward(&x), net.group.forward(&x), net.instance.forward(&x)] {
        let (mean, var) = (y.mean(..).item().unwrap(), y.var(.., 0).item().unwrap());
        assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-4, "{mean} {var}");
    }
    assert!((net.rms.forward(&x).square().mean(..).item().unwrap() - 1.0).abs() < 1e-6);
}
