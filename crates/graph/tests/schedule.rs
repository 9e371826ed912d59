//! Schedules mean what the graph means, and have as few launches as they should.
#![allow(missing_docs)]

mod interpret;

use std::sync::Arc;

use interpret::Interpreter;
use thalweg_cpu::StrictCpu;
use thalweg_graph::{ConvConfig, DType, Device, Pool, Rng, Tensor, module::Module, schedule::ir::LaunchKind};
use thalweg_nn::{BatchNorm2d, Conv2d, Linear, Losses};
use thalweg_optim::{AdamW, RuleExt, Sgd};

fn strict() -> Device {
    Device::new(Arc::new(StrictCpu::new()))
}

fn normal(device: &Device, seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = Rng::seed(seed);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::from_slice(device, &data, shape)
}

/// The same function on the strict executor and through schedules, value and gradients of the inputs.
#[track_caller]
fn same(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Tensor) {
    let run = |device: &Device| -> Vec<Vec<f64>> {
        let inputs: Vec<Tensor> =
            shapes.iter().enumerate().map(|(i, s)| normal(device, 7 + i as u64, s).track()).collect();
        let y = f(&inputs);
        let upstream = normal(device, 99, y.shape());
        let grads = y.backward_from(&upstream).unwrap();
        let mut results = vec![y.to_vec::<f64>().unwrap()];
        results.extend(inputs.iter().map(|x| grads.get(x).unwrap().to_vec::<f64>().unwrap()));
        results
    };
    let (interpreted, strict) = (run(&Interpreter::device().0), run(&strict()));
    for (i, (got, want)) in interpreted.iter().zip(&strict).enumerate() {
        assert_eq!(got.len(), want.len(), "result {i}");
        for (j, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= 1e-9 * (1.0 + w.abs()), "result {i} element {j}: {g} against {w}");
        }
    }
}

#[test]
fn elementwise_and_broadcasting() {
    same(&[&[3, 4], &[4]], |x| (&x[0] * &x[1] + 2.5).tanh());
    same(&[&[3, 1, 4], &[5, 1]], |x| (&x[0] - &x[1]).maximum(&x[0]).sigmoid());
}

#[test]
fn views() {
    same(&[&[3, 4, 5]], |x| x[0].permute([2, 0, 1]).reshape([5, 12]).exp().slice(1, 2..9));
    same(&[&[3, 4, 5]], |x| x[0].flip([0, 2]).slice_step(2, .., 2).pad(&[(1, 0), (0, 2)], 3.0) * 2.0);
    same(&[&[4, 6], &[2, 6]], |x| x[0].sigmoid().concat_with(&[x[1].exp(), x[0].clone()], 0).square());
    same(&[&[2, 12]], |x| x[0].exp().reshape([2, 3, 4]).permute([1, 0, 2]).reshape([6, 4]).sin());
    same(&[&[7]], |x| x[0].slice_step(0, .., -3).repeat([2, 2]));
}

#[test]
fn reductions() {
    same(&[&[5, 7]], |x| x[0].softmax(1));
    same(&[&[5, 7]], |x| x[0].softmax(0) * x[0].log_softmax(1));
    same(&[&[2, 3, 4, 5]], |x| x[0].var([0, 2, 3], 1) + x[0].mean([0, 2, 3]));
    same(&[&[4, 6]], |x| x[0].amax(1) - x[0].amin_keepdim(0).reshape([6]).sum(0));
    same(&[&[4, 6]], |x| x[0].max(1).0 * x[0].min(0).0.sum(0) + x[0].prod(1));
    same(&[&[40_001]], |x| x[0].square().sum(0).sqrt());
    same(&[&[2, 20_000]], |x| x[0].logsumexp(1));
}

#[test]
fn contractions() {
    same(&[&[4, 5], &[5, 6]], |x| x[0].matmul(&x[1]).relu());
    same(&[&[3, 2, 4, 5], &[2, 5, 6]], |x| x[0].matmul(&x[1]) + 1.0);
    same(&[&[3, 4, 5], &[6, 5], &[6]], |x| (x[0].matmul(&x[1].t()) + &x[2]).gelu());
    same(&[&[5], &[5, 3]], |x| x[0].exp().matmul(&x[1]));
    let config = ConvConfig { stride: vec![2], padding: vec![1], dilation: vec![1, 2], groups: 2 };
    same(&[&[2, 4, 7, 9], &[6, 2, 3, 3], &[1, 6, 1, 1]], move |x| (x[0].conv2d(&x[1], &config) + &x[2]).relu());
    same(&[&[2, 3, 8], &[5, 3, 3]], |x| x[0].conv(&x[1], &ConvConfig::default()));
    same(&[&[2, 4, 5], &[4, 3, 3]], |x| {
        let config = ConvConfig { stride: vec![2], padding: vec![1], ..ConvConfig::default() };
        x[0].conv_transpose(&x[1], &config, &[1])
    });
}

#[test]
fn pooling_and_indexing() {
    same(&[&[2, 3, 6, 6]], |x| x[0].relu().max_pool2d(2));
    let overlapping = Pool { stride: vec![2], padding: vec![1], ceil_mode: true, ..Pool::new(&[3, 3]) };
    let counted = Pool { count_include_pad: false, ..overlapping.clone() };
    same(&[&[2, 3, 7, 6]], move |x| x[0].max_pool(&overlapping).exp());
    same(&[&[2, 3, 7, 6]], move |x| x[0].avg_pool(&counted) * 2.0);
    same(&[&[5, 4]], |x| {
        let ids = Tensor::from_slice(x[0].device(), &[3i32, 0, 3, 1, 4, 3], [2, 3]);
        x[0].embedding(&ids).exp()
    });
}

#[test]
fn second_derivatives() {
    same(&[&[2, 2, 5, 5], &[3, 2, 3, 3]], |x| {
        let y = x[0].conv2d(&x[1], &ConvConfig::default()).tanh().max_pool2d(2).sum(..);
        let grads = y.backward().unwrap();
        grads.get(&x[0]).unwrap().square().sum(..) + grads.get(&x[1]).unwrap().square().sum(..)
    });
}

struct Mlp(Linear, Linear, Linear);
impl Module for Mlp {
    fn visit(&self, path: &thalweg_graph::Path, v: &mut dyn thalweg_graph::Visitor) {
        self.0.visit(&path.join(0), v);
        self.1.visit(&path.join(1), v);
        self.2.visit(&path.join(2), v);
    }
}

struct Cnn(Conv2d, Conv2d, Linear, Linear, Option<BatchNorm2d>);
impl Module for Cnn {
    fn visit(&self, path: &thalweg_graph::Path, v: &mut dyn thalweg_graph::Visitor) {
        self.0.visit(&path.join(0), v);
        self.1.visit(&path.join(1), v);
        self.2.visit(&path.join(2), v);
        self.3.visit(&path.join(3), v);
        self.4.visit(&path.join(4), v);
    }
}

impl Cnn {
    fn new(device: &Device, channels: [usize; 2], hidden: usize, side: usize, norm: bool) -> Cnn {
        let rng = &mut Rng::seed(1);
        Cnn(
            Conv2d::new(1, channels[0], 3).padding(1).init(device, rng).unwrap(),
            Conv2d::new(channels[0], channels[1], 3).padding(1).init(device, rng).unwrap(),
            Linear::new(channels[1] * (side / 4).pow(2), hidden).init(device, rng).unwrap(),
            Linear::new(hidden, 10).init(device, rng).unwrap(),
            norm.then(|| BatchNorm2d::new(channels[0]).init(device, rng).unwrap()),
        )
    }
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = self.0.forward(x);
        if let Some(norm) = &self.4 {
            x = norm.forward(&x);
        }
        let x = x.relu().max_pool2d(2);
        let x = self.1.forward(&x).relu().max_pool2d(2);
        self.3.forward(&self.2.forward(&x.flatten(1..)).relu())
    }
}

fn labels(device: &Device, n: usize) -> Tensor {
    Tensor::from_slice(device, &(0..n).map(|i| (i * 7 % 10) as i32).collect::<Vec<_>>(), [n])
}

/// Parameters, losses and running statistics after three steps.
fn train(device: &Device, norm: bool, momentum: bool) -> Vec<f64> {
    let net = Cnn::new(device, [2, 3], 5, 8, norm);
    let x = normal(device, 3, &[4, 1, 8, 8]).cast(DType::F32);
    let target = labels(device, 4);
    let mut results = Vec::new();
    let mut sgd = Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() };
    sgd.weight_decay = 0.01;
    let mut adam = (!momentum).then(|| AdamW { lr: 0.01, ..AdamW::default() }.init(&net).unwrap());
    let mut sgd = momentum.then(|| sgd.init(&net).unwrap());
    for _ in 0..3 {
        let loss = net.forward(&x).cross_entropy(&target);
        if let Some(opt) = &mut adam {
            opt.step(&loss).unwrap();
        }
        if let Some(opt) = &mut sgd {
            opt.step(&loss).unwrap();
        }
        results.push(loss.item().unwrap());
    }
    for (_, p) in net.params() {
        results.extend(p.tensor().to_vec::<f64>().unwrap());
    }
    for (_, s) in net.states() {
        results.extend(s.tensor().to_vec::<f64>().unwrap());
    }
    results
}

#[test]
fn training_steps() {
    for (norm, momentum) in [(false, false), (true, true)] {
        let (got, want) = (train(&Interpreter::device().0, norm, momentum), train(&strict(), norm, momentum));
        assert_eq!(got.len(), want.len());
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            // The strict executor rounds every f32 node; a schedule only what it stores.
            assert!((g - w).abs() <= 2e-4 * (1.0 + w.abs()), "{i}: {g} against {w}");
        }
        assert!(got[2] < got[0], "the loss falls: {:?}", &got[..3]);
    }
}

/// Launches of the step, without computing it: on zero-sized work the interpreter is fast enough for small batches.
#[test]
fn a_step_of_the_mlp_is_few_launches() {
    let (device, backend) = Interpreter::device();
    let rng = &mut Rng::seed(0);
    let net = Mlp(
        Linear::new(12, 8).init(&device, rng).unwrap(),
        Linear::new(8, 8).init(&device, rng).unwrap(),
        Linear::new(8, 10).init(&device, rng).unwrap(),
    );
    let opt = AdamW::default().init(&net).unwrap();
    let x = normal(&device, 3, &[6, 12]).cast(DType::F32);
    x.eval().unwrap();
    let h = net.0.forward(&x).relu();
    let h = net.1.forward(&h).relu();
    let loss = net.2.forward(&h).cross_entropy(&labels(&device, 6));
    drop(h);
    opt.step(&loss).unwrap();
    let schedules = backend.schedules.lock().unwrap();
    let launches: Vec<String> = schedules.last().unwrap().launches.iter().map(|l| l.title.to_string()).collect();
    assert!(launches.len() <= 15, "{} launches: {launches:#?}", launches.len());
}

#[test]
fn a_step_of_the_cnn_is_few_launches() {
    let (device, backend) = Interpreter::device();
    let net = Cnn::new(&device, [2, 3], 5, 8, false);
    let opt = AdamW::default().init(&net).unwrap();
    let x = normal(&device, 3, &[4, 1, 8, 8]).cast(DType::F32);
    x.eval().unwrap();
    let loss = net.forward(&x).cross_entropy(&labels(&device, 4));
    opt.step(&loss).unwrap();
    let schedules = backend.schedules.lock().unwrap();
    let launches = &schedules.last().unwrap().launches;
    let labels: Vec<String> = launches.iter().map(|l| l.title.to_string()).collect();
    assert!(launches.len() <= 22, "{} launches: {labels:#?}", launches.len());
    let update = launches.iter().map(|l| l.work.writes().count()).max();
    assert_eq!(update, Some(3), "the optimizer writes parameters and two moments at once, and nothing else is kept");
    let contractions = launches.iter().filter(|l| matches!(l.work.code.kind, LaunchKind::Contract(_))).count();
    assert_eq!(contractions, 4 + 4 + 3, "forward, weights, inputs but the first");
}
