//! `verify` finds a kernel that was broken on purpose, alone or only where it is fused, and finds nothing wrong elsewhere.

use std::sync::Arc;

use thalweg::prelude::*;
use thalweg_cpu::FastCpu;
use thalweg_graph::{
    Op,
    backend::{Backend, Bindings, PlanReport, Program, Properties, ReadFuture, Region, Stats, Storage},
    ops::unary::UnaryOp,
};
use thalweg_tests::{cpu, test_gpu};

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let rng = &mut Rng::seed(3);
        Net {
            conv: Conv2d::new(1, 4, 3).padding(1).init(device, rng).unwrap(),
            norm: BatchNorm2d::new(4).init(device, rng).unwrap(),
            dropout: Dropout::new(0.25).init(device, rng).unwrap(),
            head: Linear::new(4 * 4 * 4, 10).init(device, rng).unwrap(),
        }
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        let labels = Tensor::arange(x.device(), x.shape()[0]).fmod(10.0).cast(DType::I32);
        let y = self.norm.forward(&self.conv.forward(x)).tanh().max_pool2d(2);
        self.head.forward(&self.dropout.forward(&y.flatten(1..))).cross_entropy(&labels)
    }
}

fn images(device: &Device) -> Tensor {
    let mut rng = Rng::seed(5);
    let values: Vec<f32> = (0..6 * 64).map(|_| rng.normal() as f32).collect();
    Tensor::from_slice(device, &values, [6, 1, 8, 8])
}

fn check(device: &Device) -> Verdict {
    let (net, x) = (Net::new(device), images(device));
    verify(&net, |net| net.loss(&x)).unwrap()
}

#[test]
fn a_sound_device_agrees_with_the_reference() {
    let gpu = test_gpu!();
    for device in
        [cpu(), gpu.clone(), cpu().with_precision(Precision::MixedF16), gpu.with_precision(Precision::MixedBf16)]
    {
        let verdict = check(&device);
        assert!(verdict.disagreement.is_none() && verdict.compared >= 7, "{device}: {verdict}");
        assert!(verdict.worst > 0.0 && verdict.to_string().contains("all agree"), "{verdict}");
    }
}

/// A device whose kernels of one op compute another, always or only in company.
#[derive(Debug)]
struct Broken {
    inner: FastCpu,
    only_fused: bool,
}

impl Backend for Broken {
    fn properties(&self) -> &Properties {
        self.inner.properties()
    }
    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        self.inner.upload(bytes)
    }
    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        self.inner.allocate(size_bytes)
    }
    fn read(&self, region: &Region) -> Result<Vec<u8>> {
        self.inner.read(region)
    }
    fn read_async(&self, region: &Region) -> ReadFuture {
        self.inner.read_async(region)
    }
    fn copy(&self, copies: &[(Region, Region)]) -> Result<()> {
        self.inner.copy(copies)
    }

    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        let mut broken = program.draft(bindings);
        let computing = broken.nodes.iter().filter(|n| !matches!(n.op, Op::Leaf | Op::Scalar(_))).count();
        for node in &mut broken.nodes {
            if node.op == Op::Unary(UnaryOp::Tanh) && (computing > 1 || !self.only_fused) {
                node.op = Op::Unary(UnaryOp::Sigmoid);
            }
        }
        let (program, bindings) = broken.finish();
        self.inner.run(&program, &bindings)
    }
    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }
    fn stats(&self) -> Stats {
        self.inner.stats()
    }
    fn last_step(&self) -> Option<PlanReport> {
        self.inner.last_step()
    }
}

#[test]
fn a_broken_kernel_is_found_by_its_op_and_line() {
    for only_fused in [false, true] {
        let device = Device::new(Arc::new(Broken { inner: FastCpu::with_threads(1).unwrap(), only_fused }));
        let verdict = check(&device);
        let found = verdict.disagreement.clone().unwrap_or_else(|| panic!("nothing found: {verdict}"));
        assert_eq!((found.label.op, found.alone, &found.shape[..]), ("tanh", !only_fused, &[6usize, 4, 8, 8][..]));
        let text = verdict.to_string();
        assert!(text.contains("verify.rs") && text.contains("norm.bias"), "{text}");
        assert_eq!(text.contains("fused"), only_fused, "{text}");
    }
}
