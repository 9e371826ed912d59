use thalweg::prelude::*;
use thalweg_tests::{cpu, strict, test_gpu};

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    head: Linear,
}

fn net(device: &Device) -> thalweg_graph::Result<Net> {
    let mut rng = Rng::seed(1);
    Ok(Net {
        conv: Conv2d::new(1, 4, 3).padding(1).init(device, &mut rng)?,
        norm: BatchNorm2d::new(4).init(device, &mut rng)?,
        head: Linear::new(4, 2).init(device, &mut rng)?,
    })
}

#[test]
fn parameters_have_the_names_of_their_fields() {
    let names: Vec<String> = net(&strict()).unwrap().params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"]);
    let states: Vec<String> = net(&strict()).unwrap().states().into_iter().map(|(name, _)| name).collect();
    assert_eq!(states, ["norm.running_mean", "norm.running_var"]);
}

#[test]
fn an_error_names_the_nearest_parameter() {
    let net = net(&strict()).unwrap();
    net.train();
    let text = net.head.forward(&Tensor::ones(&strict(), [2, 3])).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("matmul") && text.contains("[2, 3]") && text.contains("layers.rs"), "{text}");
    let text = net.norm.forward(&Tensor::ones(&strict(), [2, 3, 1, 1])).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("batch_norm2d") && text.contains("3 channels, not 4"), "{text}");
}

/// In training the batch's statistics, in evaluation the running ones.
#[test]
fn batch_norm_normalises_and_remembers() {
    let device = strict();
    let norm = BatchNorm2d::new(1).momentum(0.5).init(&device, &mut Rng::seed(0)).unwrap();
    let x = Tensor::from_slice(&device, &[1.0f32, 3.0, 5.0, 7.0], [4, 1, 1, 1]);
    let y = norm.forward(&x).to_vec::<f64>().unwrap();
    let rstd = 1.0 / (5.0f64 + 1e-5).sqrt();
    for (y, x) in y.iter().zip([-3.0, -1.0, 1.0, 3.0]) {
        assert!((y - x * rstd).abs() < 1e-6, "{y}");
    }
    // Mean 4 and unbiased variance 20/3, half way from 0 and 1.
    assert!((norm.running_mean.as_ref().unwrap().tensor().item().unwrap() - 2.0).abs() < 1e-6);
    assert!((norm.running_var.as_ref().unwrap().tensor().item().unwrap() - (0.5 + 10.0 / 3.0)).abs() < 1e-6);
    norm.eval();
    let y = norm.forward(&x).to_vec::<f64>().unwrap();
    assert!((y[0] - (1.0 - 2.0) / (0.5f64 + 10.0 / 3.0 + 1e-5).sqrt()).abs() < 1e-6, "{y:?}");
}

/// What is normalised in 16 bits is what 32 bits give, rounded once; so are the gradient and the running statistics.
#[test]
fn batch_norm_of_16_bits_keeps_its_digits() {
    for device in [strict(), cpu()] {
        // Halves of 16 bits are a whole quarter apart up here.
        let x = Tensor::from_slice(&device, &[300.0f32, 300.25, 300.5, 301.0], [4, 1, 1, 1]);
        let up = Tensor::from_slice(&device, &[1.0f32, -2.0, 0.5, 0.75], [4, 1, 1, 1]);
        let run = |dtype: DType| {
            let norm = BatchNorm2d::new(1).momentum(1.0).init(&device, &mut Rng::seed(0)).unwrap();
            let x = x.cast(dtype).track();
            let y = norm.forward(&x);
            let grads = (&y * up.cast(dtype)).cast(DType::F32).sum(..).backward().unwrap();
            assert_eq!((y.dtype(), norm.running_var.as_ref().unwrap().tensor().dtype()), (dtype, DType::F32));
            let round = |t: &Tensor| t.cast(DType::F16).to_vec::<f64>().unwrap();
            [
                round(&y),
                round(grads.get(&x).unwrap()),
                norm.running_var.as_ref().unwrap().tensor().to_vec::<f64>().unwrap(),
            ]
        };
        assert_eq!(run(DType::F16), run(DType::F32));
    }
}

/// The same stream draws the same mask on every device, and another one next time.
#[test]
fn dropout_is_the_same_everywhere_and_new_every_time() {
    let masks: Vec<Vec<f32>> = [strict(), cpu(), test_gpu!()]
        .iter()
        .flat_map(|device| {
            let dropout = Dropout::new(0.25).init(device, &mut Rng::seed(7)).unwrap();
            let x = Tensor::ones(device, [64, 33]);
            [dropout.forward(&x).to_vec::<f32>().unwrap(), dropout.forward(&x).to_vec::<f32>().unwrap()]
        })
        .collect();
    assert_ne!(masks[0], masks[1]);
    for pair in masks.chunks_exact(2) {
        assert_eq!(pair, &masks[..2]);
    }
    let kept = masks[0].iter().filter(|m| **m != 0.0).count() as f64 / masks[0].len() as f64;
    assert!((kept - 0.75).abs() < 0.04, "{kept}");
    assert!(masks[0].iter().all(|m| *m == 0.0 || (m - 4.0 / 3.0).abs() < 1e-6));
}

/// As in PyTorch: an empty batch moves nothing, and one value has no variance to normalise by.
#[test]
fn norms_of_too_few_values() {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(0);
        let batch = BatchNorm2d::new(3).init(&device, rng).unwrap();
        let instance = InstanceNorm::new(3).track_running_stats(true).init(&device, rng).unwrap();
        for shape in [[0, 3, 2, 2], [2, 3, 0, 2]] {
            let x = Tensor::zeros(&device, shape);
            assert_eq!(batch.forward(&x).shape(), shape);
            assert_eq!(instance.forward(&x).shape(), shape);
            for (mean, var) in [
                (batch.running_mean.as_ref().unwrap(), batch.running_var.as_ref().unwrap()),
                (instance.running_mean.as_ref().unwrap(), instance.running_var.as_ref().unwrap()),
            ] {
                assert_eq!(mean.tensor().to_vec::<f32>().unwrap(), [0.0; 3], "{device}");
                assert_eq!(var.tensor().to_vec::<f32>().unwrap(), [1.0; 3], "{device}");
            }
        }
        let fails = |y: Tensor, op: &str| {
            let text = y.to_vec::<f32>().unwrap_err().to_string();
            assert!(
                text.starts_with(op) && text.contains("one value for each") && text.contains("layers.rs"),
                "{text}"
            );
        };
        let one = Tensor::ones(&device, [1, 3, 1, 1]);
        fails(batch.forward(&one), "batch_norm2d");
        fails(instance.forward(&Tensor::ones(&device, [4, 3, 1, 1])), "instance_norm");
        fails(InstanceNorm::new(3).init(&device, rng).unwrap().forward(&one), "instance_norm");
        fails(GroupNorm::new(3, 3).init(&device, rng).unwrap().forward(&one), "group_norm");
        assert_eq!(batch.running_var.as_ref().unwrap().tensor().to_vec::<f32>().unwrap(), [1.0; 3], "{device}");
        // By running statistics one value will do.
        batch.eval();
        instance.eval();
        let near = |y: Tensor| y.to_vec::<f32>().unwrap().iter().all(|v| (v - 1.0).abs() < 1e-4);
        assert!(near(batch.forward(&one)) && near(instance.forward(&one)), "{device}");
    }
}
