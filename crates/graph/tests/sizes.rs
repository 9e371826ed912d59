//! What is planned as a graph of other extents was is planned as if that had never been.
#![allow(missing_docs)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use thalweg_cpu::StrictCpu;
use thalweg_graph::{
    Device, Error, Pool, Precision, Rng, Tensor,
    backend::{Backend, Bindings, PlanReport, Program, Properties, ReadFuture, Region, Stats, Storage},
    schedule::{self, Options, pieces::Pieces},
};
use thalweg_nn::{BatchNorm2d, Conv2d, Linear, Losses};
use thalweg_optim::{AdamW, RuleExt};

/// Plans every program twice, by itself and with what is known of those before, and computes nothing.
#[derive(Debug)]
struct Planner {
    memory: StrictCpu,
    properties: Properties,
    known: Mutex<Known>,
    plans: AtomicU64,
}

#[derive(Default)]
struct Known(Pieces);

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} plans like others", self.0.repeated())
    }
}

impl Planner {
    fn device(precision: Precision, max_binding_bytes: u64) -> (Device, Arc<Planner>) {
        let memory = StrictCpu::new();
        let properties = Properties {
            name: "planner".into(),
            max_buffers: 8,
            max_binding_bytes,
            scheduled: true,
            ..memory.properties().clone()
        };
        let planner = Arc::new(Planner { memory, properties, known: Mutex::default(), plans: AtomicU64::new(0) });
        (Device::new(planner.clone()).with_precision(precision), planner)
    }

    /// How many plans were made, and how many as one before.
    fn plans(&self) -> (u64, u64) {
        (self.plans.load(Ordering::Relaxed), self.known.lock().unwrap().0.repeated())
    }
}

impl Backend for Planner {
    fn properties(&self) -> &Properties {
        &self.properties
    }
    fn upload(&self, bytes: &[u8]) -> Result<Storage, Error> {
        self.memory.upload(bytes)
    }
    fn allocate(&self, size_bytes: usize) -> Result<Storage, Error> {
        self.memory.allocate(size_bytes)
    }
    fn read(&self, region: &Region) -> Result<Vec<u8>, Error> {
        self.memory.read(region)
    }
    fn read_async(&self, region: &Region) -> ReadFuture {
        self.memory.read_async(region)
    }
    fn copy(&self, copies: &[(Region, Region)]) -> Result<(), Error> {
        self.memory.copy(copies)
    }
    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>, Error> {
        let options = Options::of(&self.properties);
        let alone = schedule::build(program, &options)?;
        let known = schedule::build_of(program, &options, &mut self.known.lock().unwrap().0)?;
        // By their text: what is not a number is equal to nothing.
        assert_eq!(format!("{known:#?}"), format!("{alone:#?}"));
        self.plans.fetch_add(1, Ordering::Relaxed);
        let made = |(output, target): (&usize, &Option<Region>)| {
            let spec = &alone.buffers[*output];
            let fresh = || self.allocate(spec.len * spec.dtype.size_bytes());
            let region = |storage| Region { storage, offset: 0, len: spec.len, dtype: spec.dtype };
            target.clone().map_or_else(|| fresh().map(region), Ok)
        };
        alone.outputs.iter().zip(&bindings.targets).map(made).collect()
    }
    fn synchronize(&self) -> Result<(), Error> {
        Ok(())
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn last_step(&self) -> Option<PlanReport> {
        None
    }
}

/// Numbers that nobody looks at.
fn input(device: &Device, shape: &[usize]) -> Tensor {
    Tensor::from_slice(device, &vec![0.5f32; shape.iter().product()], shape)
}

/// The value of a function of one tensor.
fn computed(x: Tensor, f: impl Fn(&Tensor) -> Tensor) {
    let y = f(&x);
    y.eval().unwrap();
}

/// Value and gradient of a function of one tensor.
fn differentiated(x: Tensor, f: impl Fn(&Tensor) -> Tensor) {
    let x = x.track();
    let y = f(&x);
    let grads = y.square().sum(..).backward().unwrap();
    grads.get(&x).unwrap().eval().unwrap();
    y.eval().unwrap();
}

/// A program, of a size.
type Run = fn(&Device, usize);

/// Around one, and on both sides of what is compared with extents: 64 rows, 16,384 and 131,072 elements, sizes that divide each other, and
/// sizes that are another axis's too.
const SIZES: [usize; 17] = [7, 9, 1, 2, 3, 4, 8, 10, 12, 63, 64, 65, 128, 129, 2049, 8192, 16_390];

const PROGRAMS: [(&str, Run); 12] = [
    ("softmax", |d, n| differentiated(input(d, &[n, 12]), |x| x.softmax(1) * x.softmax(0))),
    ("norm", |d, n| {
        differentiated(input(d, &[n, 12]), |x| (x - x.mean_keepdim(0)) / (x.var_keepdim(1, 1) + 1.0).sqrt())
    }),
    ("reshape", |d, n| computed(input(d, &[n, 12]), |x| x.exp().reshape([3, n * 4]).sin())),
    ("columns", |d, n| differentiated(input(d, &[n, 32]), |x| x.softmax(0))),
    ("merge", |d, n| {
        differentiated(input(d, &[2, n, 6]), |x| x.exp().permute([1, 0, 2]).reshape([n * 2, 6]).softmax(0))
    }),
    ("pad", |d, n| differentiated(input(d, &[n, 4]), |x| x.tanh().pad(&[(1, 2), (0, 1)], 0.5).cumsum(1))),
    ("pool", |d, n| differentiated(input(d, &[n, 2, 8]), |x| x.max_pool(&Pool::new(&[2])))),
    ("concat", |d, n| {
        differentiated(input(d, &[n, 4]), |x| x.sigmoid().concat_with(&[x.exp(), x.clone()], 1).sum_keepdim(0))
    }),
    ("attention", |d, n| {
        let n = n.min(300);
        differentiated(input(d, &[2, n, 8]), |x| x.matmul(&x.transpose(1, 2)).softmax(2).matmul(x));
    }),
    ("search", |d, n| computed(input(d, &[n, 3]), |x| x.argmax(0))),
    ("mlp", |d, n| {
        let rng = &mut Rng::seed(1);
        let net = (Linear::new(12, 8).init(d, rng).unwrap(), Linear::new(8, 10).init(d, rng).unwrap());
        let opt = AdamW::default().init(&net).unwrap();
        for _ in 0..2 {
            let y = net.1.forward(&net.0.forward(&input(d, &[n, 12])).relu());
            opt.step(&y.cross_entropy(&labels(d, n))).unwrap();
        }
    }),
    ("cnn", |d, n| {
        let (n, rng) = (n.min(130), &mut Rng::seed(1));
        let conv = Conv2d::new(1, 4, 3).padding(1).init(d, rng).unwrap();
        let net = (conv, BatchNorm2d::new(4).init(d, rng).unwrap(), Linear::new(64, 10).init(d, rng).unwrap());
        let opt = AdamW::default().init(&net).unwrap();
        let y = net.1.forward(&net.0.forward(&input(d, &[n, 1, 8, 8]))).relu().max_pool2d(2);
        opt.step(&net.2.forward(&y.reshape([n, 64])).cross_entropy(&labels(d, n))).unwrap();
    }),
];

fn labels(device: &Device, n: usize) -> Tensor {
    Tensor::from_slice(device, &vec![1i32; n], [n])
}

#[test]
fn a_new_size_is_planned_as_if_it_were_the_first() {
    for (precision, max_binding_bytes) in [(Precision::F32, u64::MAX), (Precision::MixedBf16, 1 << 16)] {
        for (name, run) in PROGRAMS {
            let (device, planner) = Planner::device(precision, max_binding_bytes);
            SIZES.iter().for_each(|n| run(&device, *n));
            let (plans, alike) = planner.plans();
            assert!(alike > 0, "{name}: none of {plans} plans was made as one before");
        }
    }
}
