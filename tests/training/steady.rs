//! A steady training loop: constant memory, no reads, no waits but for the step two before, the same bits again.

use thalweg::prelude::*;
use thalweg_tests::{cpu, test_gpu};

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> thalweg_graph::Result<Net> {
        let mut rng = Rng::seed(3);
        Ok(Net {
            conv: Conv2d::new(1, 8, 3).padding(1).init(device, &mut rng)?,
            norm: BatchNorm2d::new(8).init(device, &mut rng)?,
            head: Linear::new(8 * 4 * 4, 10).init(device, &mut rng)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.conv.forward(x)).relu().max_pool2d(2);
        self.head.forward(&x.flatten(1..))
    }
}

fn batch(device: &Device, rng: &mut Rng) -> (Tensor, Tensor) {
    let images: Vec<f32> = (0..32 * 64).map(|_| rng.normal() as f32).collect();
    let labels: Vec<i32> = (0..32).map(|_| rng.below(10) as i32).collect();
    (Tensor::from_slice(device, &images, [32, 1, 8, 8]), Tensor::from_slice(device, &labels, [32]))
}

/// Trains for some steps, calling `watch` after each; gives every weight.
fn train(device: &Device, steps: usize, mut watch: impl FnMut(usize)) -> thalweg_graph::Result<Vec<Vec<f32>>> {
    let net = Net::new(device)?;
    let opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&net)?;
    let mut rng = Rng::seed(5);
    for step in 0..steps {
        let (x, y) = batch(device, &mut rng);
        let loss = net.forward(&x).cross_entropy(&y);
        opt.step(&loss)?;
        drop((x, y, loss));
        watch(step);
    }
    net.params().iter().map(|(_, p)| p.tensor().to_vec()).collect()
}

#[test]
fn a_steady_loop_neither_reads_nor_grows_on_gpu() {
    // A device of its own: other tests must not show in its counts.
    let name = test_gpu!().properties().name.clone();
    let device = Device::named(&name).unwrap();
    let mut counts = Vec::new();
    train(&device, 40, |_| counts.push(device.stats())).unwrap();
    let (early, late) = (counts[9], counts[39]);
    assert_eq!(late.maps, early.maps, "reads of a loop that reads nothing");
    assert!(late.waits - early.waits <= 30, "{} waits in 30 steps", late.waits - early.waits);
    assert_eq!(late.plans_built, early.plans_built, "plans built in a steady loop");
    assert_eq!(late.kernels, early.kernels, "kernels compiled in a steady loop");
    assert_eq!(late.device_bytes, early.device_bytes, "bytes of a steady loop");
    assert_eq!(late.runs - early.runs, 30);
}

#[test]
fn a_steady_loop_does_not_grow_on_cpu() {
    let device = cpu();
    let mut counts = Vec::new();
    train(&device, 40, |_| counts.push(device.stats())).unwrap();
    assert_eq!(counts[39].device_bytes, counts[9].device_bytes);
    assert_eq!(counts[39].plans_built, counts[9].plans_built);
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    for device in [cpu(), test_gpu!()] {
        let [first, second] = [(); 2].map(|()| train(&device, 8, |_| ()).unwrap());
        assert_eq!(first, second, "{device}");
    }
}
