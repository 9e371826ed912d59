//! A compiled step does what its function does, to the bit, and does not trace.

use thalweg::prelude::*;
use thalweg_graph::{Result, compile};
use thalweg_tests::{cpu, strict, test_gpu};

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let mut rng = Rng::seed(3);
        Ok(Net {
            conv: Conv2d::new(1, 4, 3).padding(1).init(device, &mut rng)?,
            norm: BatchNorm2d::new(4).init(device, &mut rng)?,
            dropout: Dropout::new(0.25).init(device, &mut rng)?,
            head: Linear::new(4 * 4 * 4, 10).init(device, &mut rng)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.conv.forward(x)).relu().max_pool2d(2);
        self.head.forward(&self.dropout.forward(&x.flatten(1..)))
    }
}

fn batch(device: &Device, rng: &mut Rng, n: usize) -> [Tensor; 2] {
    let images: Vec<f32> = (0..n * 64).map(|_| rng.normal() as f32).collect();
    let labels: Vec<i32> = (0..n).map(|_| rng.below(10) as i32).collect();
    [Tensor::from_slice(device, &images, [n, 1, 8, 8]), Tensor::from_slice(device, &labels, [n])]
}

/// What the loop below is asked to do.
#[derive(Clone, Copy)]
struct Loop {
    compiled: bool,
    schedule: bool,
}

/// Losses, weights and running statistics of a few steps with two sizes of batches.
fn train(device: &Device, how: Loop) -> Result<Vec<f32>> {
    let net = Net::new(device)?;
    let mut opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&net)?.clip_norm(1.0);
    if how.schedule {
        opt = opt.schedule(|step| 1e-2 / (1.0 + step as f64));
    }
    let rate = opt.rate();
    let mut found = Vec::new();
    let mut rng = Rng::seed(5);
    {
        let body = |[x, y]: [Tensor; 2]| {
            let loss = net.forward(&x).cross_entropy(&y);
            opt.step(&loss)?;
            Ok([loss])
        };
        let mut losses = Vec::new();
        if how.compiled {
            let mut step = compile(body);
            for i in 0..40 {
                rate.set(0.01 * f64::from(i % 3)).unwrap();
                let [x, y] = batch(device, &mut rng, 8 + 4 * (i as usize % 2));
                losses.extend(step.call([&x, &y])?);
            }
            assert_eq!(step.recordings(), 2, "one for each batch size");
        } else {
            for i in 0..40 {
                rate.set(0.01 * f64::from(i % 3)).unwrap();
                losses.extend(body(batch(device, &mut rng, 8 + 4 * (i as usize % 2)))?);
            }
        }
        for loss in losses {
            found.extend(loss.to_vec::<f32>()?);
        }
    }
    for tensor in net.params().iter().map(|(_, p)| p.tensor()).chain(net.states().iter().map(|(_, s)| s.tensor())) {
        found.extend(tensor.to_vec::<f32>()?);
    }
    Ok(found)
}

#[test]
fn a_compiled_step_trains_to_the_same_bits() {
    for device in [strict(), cpu(), test_gpu!(), cpu().with_precision(Precision::MixedF16)] {
        for schedule in [false, true] {
            let plain = train(&device, Loop { compiled: false, schedule }).unwrap();
            let compiled = train(&device, Loop { compiled: true, schedule }).unwrap();
            assert!(plain.iter().all(|v| v.is_finite()));
            assert_eq!(plain, compiled, "{device}, schedule {schedule}");
        }
    }
}

#[test]
fn inputs_may_share_a_buffer_and_be_results() {
    for device in [strict(), cpu(), test_gpu!()] {
        let mut step = compile(|[a, b]: [Tensor; 2]| Ok([&a + &b, a.reshape([-1]), &b * 2.0]));
        let x = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 4]);
        for _ in 0..3 {
            let [sum, first, twice] = step.call([&x, &x]).unwrap();
            assert_eq!(sum.to_vec::<f32>().unwrap(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]);
            assert_eq!(first.shape(), [8]);
            // Results of earlier calls keep their values.
            let y = &x + 1.0;
            let [other, ..] = step.call([&x, &y]).unwrap();
            assert_eq!(other.to_vec::<f32>().unwrap()[0], 3.0);
            assert_eq!(first.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
            assert_eq!(twice.to_vec::<f32>().unwrap()[7], 16.0);
        }
        // A row of a larger buffer.
        let rows = Tensor::from_slice(&device, &[1.0f32; 24], [3, 2, 4]);
        let [sum, ..] = step.call([&rows.select(0, 1), &rows.select(0, 2)]).unwrap();
        assert_eq!(sum.to_vec::<f32>().unwrap(), [2.0; 8]);
        assert_eq!(step.recordings(), 1);
    }
}

#[test]
fn states_and_draws_move_on_without_an_optimizer() {
    for device in [strict(), cpu(), test_gpu!()] {
        let norm = || BatchNorm2d::new(3).init(&device, &mut Rng::seed(1)).unwrap();
        let (plain, compiled) = (norm(), norm());
        let stream = || Rng::seed(9).stream();
        let (draws, again) = (stream(), stream());
        let mut step = compile(|[x]: [Tensor; 1]| {
            let noise = again.uniform(x.device(), x.shape());
            Ok([compiled.forward(&(x * &noise)), noise])
        });
        for i in 0..5 {
            let values: Vec<f32> = (0..2 * 3 * 4).map(|v| (v * (i + 2) % 7) as f32).collect();
            let x = Tensor::from_slice(&device, &values, [2, 3, 2, 2]);
            let noise = draws.uniform(&device, x.shape());
            let want = plain.forward(&(&x * &noise)).to_vec::<f32>().unwrap();
            let [y, drawn] = step.call([&x]).unwrap();
            assert_eq!(drawn.to_vec::<f32>().unwrap(), noise.to_vec::<f32>().unwrap(), "{device}, call {i}");
            assert_eq!(y.to_vec::<f32>().unwrap(), want, "{device}, call {i}");
        }
        drop(step);
        for ((name, a), (_, b)) in plain.states().iter().zip(compiled.states()) {
            assert_eq!(a.tensor().to_vec::<f32>().unwrap(), b.tensor().to_vec::<f32>().unwrap(), "{device}: {name}");
        }
    }
}

#[test]
fn what_a_replay_could_not_repeat_is_an_error() {
    let device = strict();
    let x = Tensor::ones(&device, [2]);
    let reads = compile(|[x]: [Tensor; 1]| Ok([x.sum(..) * x.to_vec::<f32>()?[0]])).call([&x]).unwrap_err();
    let text = reads.to_string();
    assert!(text.contains("being compiled reads a value") && text.contains("compiled.rs"), "{text}");
    let makes = compile(|[x]: [Tensor; 1]| {
        let param = Param::new(&x * 2.0)?;
        param.set(&(&x * 3.0))?;
        Ok([param.tensor()])
    });
    let text = { makes }.call([&x]).unwrap_err().to_string();
    assert!(text.contains("make it outside"), "{text}");
    // The thread is fit to record again.
    assert_eq!(compile(|[x]: [Tensor; 1]| Ok([x + 1.0])).call([&x]).unwrap()[0].to_vec::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn a_parameter_in_another_buffer_is_recorded_again() {
    let device = cpu();
    let net = Linear::new(2, 2).init(&device, &mut Rng::seed(1)).unwrap();
    let x = Tensor::ones(&device, [1, 2]);
    let mut step = compile(|[x]: [Tensor; 1]| Ok([net.forward(&x)]));
    let before = step.call([&x]).unwrap()[0].to_vec::<f32>().unwrap();
    // Packs the parameters.
    let _opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&net).unwrap();
    assert_eq!(step.call([&x]).unwrap()[0].to_vec::<f32>().unwrap(), before);
    let (_, weight) = &net.params()[0];
    weight.set(&Tensor::zeros(&device, weight.shape())).unwrap();
    let after = step.call([&x]).unwrap()[0].to_vec::<f32>().unwrap();
    assert_eq!(after, net.forward(&x).to_vec::<f32>().unwrap());
    assert_ne!(after, before);
}
