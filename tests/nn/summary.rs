//! Models as tables, and their multiply-adds.

use thalweg::{
    graph::{LayerSummary, multiply_adds},
    prelude::*,
};
use thalweg_tests::{cpu, strict};

#[derive(Module)]
struct Block {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.dropout.forward(&self.norm.forward(&self.conv.forward(x)).relu())
    }
}

#[derive(Module)]
struct Net {
    blocks: Vec<Block>,
    token: Param,
    attention: MultiheadAttention,
    head: KeepF32<Linear>,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let rng = &mut Rng::seed(0);
        let block = |inputs: usize, rng: &mut Rng| {
            Ok(Block {
                conv: Conv2d::new(inputs, 8, 3).padding(1).bias(false).init(device, rng)?,
                norm: BatchNorm2d::new(8).init(device, rng)?,
                dropout: Dropout::new(0.5).init(device, rng)?,
            })
        };
        Ok(Net {
            blocks: vec![block(3, rng)?, block(8, rng)?],
            token: Param::new(Tensor::zeros(device, [1, 8]))?,
            attention: MultiheadAttention::new(8, 2).init(device, rng)?,
            head: KeepF32::new(Linear::new(8, 1000)).init(device, rng)?,
        })
    }

    /// `[B, 3, 8, 8]` → `[B, 1000]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.blocks.iter().fold(x.clone(), |x, block| block.forward(&x).max_pool2d(2));
        let x = x.flatten(2..).transpose(1, 2) + self.token.tensor();
        let x = self.attention.forward(&x, &x, &x, None);
        self.head.forward(&x.mean(1))
    }
}

#[test]
fn a_model_is_a_table() {
    let device = Device::meta();
    let net = Net::new(&device).unwrap();
    net.blocks[0].freeze(true);
    let x = Tensor::zeros(&device, [2, 3, 8, 8]);
    let summary = net.summary(|| net.forward(&x)).unwrap();
    let table = "\
layer         type                output        parameters  multiply-adds  output bytes
───────────────────────────────────────────────────────────────────────────────────────
(model)       Net                 [2, 1000]              8              -             -
  blocks.0    Block               [2, 8, 8, 8]           -              -             -
    conv      Conv2d              [2, 8, 8, 8]         216         27,648       4.0 KiB
    norm      BatchNorm2d         [2, 8, 8, 8]          16              -       4.0 KiB
    dropout   Dropout             -                      -              -             -
  blocks.1    Block               [2, 8, 4, 4]           -              -             -
    conv      Conv2d              [2, 8, 4, 4]         576         18,432       1.0 KiB
    norm      BatchNorm2d         [2, 8, 4, 4]          16              -       1.0 KiB
    dropout   Dropout             -                      -              -             -
  attention   MultiheadAttention  [2, 4, 8]            216          2,048             -
    out_proj  Linear              [2, 4, 8]             72            512         256 B
    dropout   Dropout             -                      -              -             -
  head        KeepF32             [2, 1000]              -              -             -
    layer     Linear              [2, 1000]          9,000         16,000       7.8 KiB
───────────────────────────────────────────────────────────────────────────────────────
parameters     10,120 (9,888 trainable, 232 frozen)
multiply-adds  64,640
memory         input 1.5 KiB, outputs 18.1 KiB, parameters 39.5 KiB";
    assert_eq!(summary.to_string(), table);
    let blocks = summary.to_depth(1);
    assert_eq!(blocks.layers.iter().map(|layer| layer.depth).max(), Some(1));
    assert_eq!((blocks.params(), blocks.multiply_adds()), (10_120, 64_640));
    assert_eq!(blocks.layer("blocks.1").map(|layer| layer.params), Some(592));
}

#[test]
fn looking_changes_nothing() {
    let device = cpu();
    let net = Net::new(&device).unwrap();
    let x = Tensor::ones(&device, [2, 3, 8, 8]);
    let twin = Net::new(&device).unwrap();
    for training in [true, false] {
        if training {
            net.train()
        } else {
            net.eval()
        }
        let runs = device.stats().runs;
        let summary = net.summary(|| net.forward(&x)).unwrap();
        assert_eq!((summary.multiply_adds(), device.stats().runs), (64_640, runs));
        // Also of an input that is made there.
        let inside = net.summary(|| net.forward(&Tensor::ones(&device, [2, 3, 8, 8]))).unwrap();
        assert_eq!((inside.layers, inside.input_bytes), (summary.layers, 0));
    }
    net.train();
    let [a, b] = [&net, &twin].map(|net| net.forward(&x).to_vec::<f32>().unwrap());
    assert_eq!(a, b, "the draws are those of a model that nobody looked at");
    let failed = net.summary(|| net.forward(&Tensor::ones(&device, [2, 4, 8, 8]))).unwrap_err().to_string();
    assert!(failed.contains("conv"), "{failed}");
}

#[test]
fn on_the_meta_device_nothing_has_a_value_or_takes_memory() {
    let device = Device::meta();
    // 40 GB.
    let wide = Linear::new(100_000, 100_000).init(&device, &mut Rng::seed(0)).unwrap();
    assert_eq!(wide.count(), 10_000_100_000);
    let y = wide.forward(&Tensor::ones(&device, [3, 100_000])).relu();
    y.eval().unwrap();
    assert_eq!(y.shape(), [3, 100_000]);
    assert!(y.to_vec::<f32>().unwrap_err().to_string().contains("no values"));
    assert!(device.is_meta() && !strict().is_meta());
    let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&wide).unwrap();
    opt.step(&wide.forward(&Tensor::ones(&device, [3, 100_000])).sum(..)).unwrap();
}

#[test]
fn multiply_adds_are_those_of_the_recorded_graph() {
    let device = strict();
    let linear = Linear::new(5, 7).init(&device, &mut Rng::seed(0)).unwrap();
    let x = Tensor::ones(&device, [3, 5]);
    let y = linear.forward(&x);
    assert_eq!(multiply_adds([&y]), 105);
    // Of the gradient, x being no parameter, that of the weight; and both need y once.
    let loss = (&y * &y).sum(..);
    let grads = loss.backward().unwrap();
    assert_eq!(multiply_adds(grads.iter()), 210);
    assert_eq!(multiply_adds(grads.iter().chain([&loss, &y])), 210);
    // A recurrence: 2 results, one computation, 11 steps.
    let recurrent = Linear::new(5, 5).bias(false).init(&device, &mut Rng::seed(0)).unwrap();
    let step = |carry: &[Tensor], x: &[Tensor]| {
        let h = (recurrent.forward(&carry[0]) + &x[0]).tanh();
        (vec![h.clone()], vec![h])
    };
    let walk = || {
        let (ends, ys) = scan(&[&Tensor::zeros(&device, [3, 5])], &[&Tensor::ones(&device, [11, 3, 5])], step).unwrap();
        [ends[0].clone(), ys[0].clone()]
    };
    let [end, all] = walk();
    assert_eq!(multiply_adds([&end, &all]), 11 * 75);
    let summary = recurrent.summary(walk).unwrap();
    let LayerSummary { kind, output, multiply_adds, .. } = &summary.layers[0];
    assert_eq!((*kind, output.as_deref(), *multiply_adds), ("Linear", Some(&[3, 5][..]), 825));
}
