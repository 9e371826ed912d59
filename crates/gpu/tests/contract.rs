//! The contraction template on a device, against plain loops over [`Access::at`].

#![allow(missing_docs)]

mod support;

use support::Bare;
use thalweg_gpu::{
    GpuBackend, Selector,
    templates::{Caps, kernel::Source, kernels, params::Word},
};
use thalweg_graph::{
    Conv, DType, Op, Window,
    backend::{Backend, Draft, Label, Node, Region},
    ops::{binary::BinaryOp, unary::UnaryOp},
    schedule::ir::*,
};
use thalweg_ir::{
    bytes::{decode, encode},
    interpret,
};

/// Where a case runs: the backend as it is, or its kernels as they would be written for another device.
enum Runner {
    Backend(Box<GpuBackend>),
    Bare(Box<Bare>, Caps),
}

fn gpu() -> Runner {
    let name = std::env::var("THALWEG_DEVICE").unwrap_or_default();
    let backend = GpuBackend::open(&Selector::Name(name));
    Runner::Backend(Box::new(backend.expect("a device with Vulkan, Metal or DX12 (mesa-vulkan-drivers will do)")))
}

/// The least a device may have, which is hardware: workgroup memory, no subgroups, 16-bit floats packed in words.
fn modest() -> Runner {
    Runner::Bare(Box::new(Bare::open()), Caps::default())
}

/// A CPU that runs shaders without subgroups.
fn alone() -> Runner {
    Runner::Bare(Box::new(Bare::open()), Caps { software: true, ..Caps::default() })
}

/// The device as it is, but that every contraction has a text of its own.
fn unshared() -> Runner {
    let Runner::Backend(backend) = gpu() else { unreachable!("gpu() opens a backend") };
    Runner::Bare(Box::new(Bare::open()), Caps { shared_texts: false, ..backend.caps().clone() })
}

fn noise(seed: u32, n: usize) -> Vec<f64> {
    (0..n as u32)
        .map(|i| {
            let mut h = i.wrapping_add(seed.wrapping_mul(0x9e37_79b9));
            h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
            h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
            f64::from((h ^ (h >> 16)) >> 8) / f64::from(1 << 23) - 1.0
        })
        .collect()
}

/// A contraction with its operands' contents. Buffers: 0 is A, 1 is B, then what the body reads, then outputs.
struct Case {
    c: Contract,
    buffers: Vec<BufferSpec>,
    data: Vec<Vec<f64>>,
    what: String,
}

/// What the body does.
#[derive(Clone, Copy, PartialEq)]
enum Body0 {
    Plain,
    /// `y = relu(acc + bias[last axis of n])`, and `z = acc` as f16.
    BiasRelu,
}

fn linear(offset: i64, coef: Vec<i64>) -> Linear {
    Linear::new(offset, &coef)
}

fn plain(coef: Vec<i64>) -> Access {
    Access { base: linear(0, coef), terms: vec![], fill: 0.0 }
}

fn strides(shape: &[usize]) -> Vec<i64> {
    let mut s = vec![1; shape.len()];
    for d in (0..shape.len().saturating_sub(1)).rev() {
        s[d] = s[d + 1] * shape[d + 1] as i64;
    }
    s
}

fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |points, e| {
        points.iter().flat_map(|p| (0..*e).map(move |i| [&p[..], &[i]].concat())).collect()
    })
}

impl Case {
    fn new(what: String, kind: ContractKind, extents: [Vec<usize>; 4], a: Operand, b: Operand, dtype: DType) -> Case {
        let [batch, m, n, k] = extents;
        let len = |side: &Operand, extents: &[usize]| {
            points(extents).iter().filter_map(|i| side.read().unwrap().at.at(i)).max().unwrap_or(0) + 1
        };
        let la = len(&a, &[&batch[..], &m, &k].concat());
        let lb = len(&b, &[&batch[..], &k, &n].concat());
        let spec = |dtype, len, i| BufferSpec { dtype, len, place: Place::Leaf(i) };
        let round = |x: Vec<f64>| x.into_iter().map(|x| dtype.round(x)).collect();
        Case {
            c: Contract { kind, batch, m, n, k, a, b, body: Body::default() },
            buffers: vec![spec(dtype, la, 0), spec(dtype, lb, 1)],
            data: vec![round(noise(1, la)), round(noise(2, lb))],
            what,
        }
    }

    fn check(mut self, gpu: &Runner, kind: Body0, to: DType) {
        let c = &mut self.c;
        let shape = [&c.batch[..], &c.m, &c.n].concat();
        let len: usize = shape.iter().product();
        let at = linear(0, strides(&shape));
        let mut push = |inst, dtype| {
            c.body.insts.push(inst);
            c.body.dtypes.push(dtype);
            c.body.insts.len() - 1
        };
        let acc = push(Inst::Acc, DType::F32);
        let mut outputs = vec![to];
        let mut values = vec![acc];
        if kind == Body0::BiasRelu {
            let columns = *shape.last().unwrap();
            let mut coef = vec![0; shape.len()];
            *coef.last_mut().unwrap() = 1;
            let bias = push(Inst::Load { buf: 2, at: plain(coef) }, DType::F32);
            let sum = push(Inst::Binary(BinaryOp::Add, acc, bias), DType::F32);
            values[0] = push(Inst::Unary(UnaryOp::Relu, sum), DType::F32);
            values.push(push(Inst::Cast(acc), DType::F16));
            outputs.push(DType::F16);
            self.buffers.push(BufferSpec { dtype: DType::F32, len: columns, place: Place::Leaf(2) });
            self.data.push(noise(3, columns));
        }
        let first = self.buffers.len();
        for (i, dtype) in outputs.iter().enumerate() {
            self.buffers.push(BufferSpec { dtype: *dtype, len, place: Place::Output(i) });
            c.body.stores.push(Store { buf: first + i, at: at.clone(), value: values[i] });
        }
        let schedule = Schedule {
            buffers: self.buffers.clone(),
            launches: vec![Launch::here(LaunchKind::Contract(self.c.clone()), "matmul")],
            outputs: (first..first + outputs.len()).collect(),
            ..Schedule::default()
        };
        let got = run(gpu, &schedule, &self.data, &self.what);
        let c = &self.c;
        let depth: usize = c.k.iter().product();
        let ks = points(&c.k);
        for (flat, i) in points(&shape).iter().enumerate() {
            let (nb, nm) = (c.batch.len(), c.m.len());
            let (mut sum, mut size) = (0.0, 0.0);
            for k in &ks {
                let left = [&i[..nb + nm], k].concat();
                let right = [&i[..nb], k, &i[nb + nm..]].concat();
                let element = |side: &Operand, at: &[usize]| {
                    let read = side.read().unwrap();
                    let x = read.at.at(at).map_or(0.0, |at| self.data[read.buf][at]);
                    read.casts.iter().fold(x, |x, d| d.round(x))
                };
                let x = element(&c.a, &left) * element(&c.b, &right);
                sum += x;
                size += x.abs();
            }
            let expect = match kind {
                Body0::Plain => vec![to.round(sum)],
                Body0::BiasRelu => {
                    vec![to.round((sum + self.data[2][*i.last().unwrap()]).max(0.0)), DType::F16.round(sum)]
                }
            };
            for (o, want) in expect.iter().enumerate() {
                let ulp = match outputs[o] {
                    DType::F16 => 1e-3,
                    DType::BF16 => 8e-3,
                    _ => 1e-7,
                };
                let allowed = size * 1.2e-7 * (depth as f64).sqrt().max(4.0) + want.abs() * ulp;
                let got = got[o][flat];
                assert!((got - want).abs() <= allowed, "{}: output {o} at {i:?}: got {got}, want {want}", self.what);
            }
        }
    }
}

fn run(gpu: &Runner, schedule: &Schedule, data: &[Vec<f64>], what: &str) -> Vec<Vec<f64>> {
    match gpu {
        Runner::Backend(gpu) => on_backend(gpu, schedule, data, what),
        Runner::Bare(bare, caps) => on_bare(bare, caps, schedule, data),
    }
}

fn on_backend(gpu: &GpuBackend, schedule: &Schedule, data: &[Vec<f64>], what: &str) -> Vec<Vec<f64>> {
    let label = Label::here("test");
    let node = Node {
        op: Op::Leaf,
        inputs: Default::default(),
        shape: Default::default(),
        dtype: DType::F32,
        compute: None,
        label,
        source: 0,
        slot: None,
    };
    let leaf = |(data, spec): (&Vec<f64>, &BufferSpec)| {
        let storage = gpu.upload(&encode(spec.dtype, data)).unwrap();
        (0, Region { storage, offset: 0, len: data.len(), dtype: spec.dtype }, false)
    };
    let draft = Draft {
        nodes: vec![node],
        leaves: data.iter().zip(&schedule.buffers).map(leaf).collect(),
        outputs: schedule.outputs.iter().map(|_| (0, None)).collect(),
        ..Draft::default()
    };
    let (program, bindings) = draft.finish();
    let regions = gpu.run_schedule(schedule.clone(), &program, &bindings).unwrap_or_else(|e| panic!("{what}: {e}"));
    regions.iter().map(|r| decode(r.dtype, &gpu.read(r).unwrap_or_else(|e| panic!("{what}: {e}")))).collect()
}

fn on_bare(bare: &Bare, caps: &Caps, schedule: &Schedule, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let kernels = kernels(&schedule.launches[0].work.kind(), &schedule.buffers, caps).unwrap();
    let scratch_len = kernels.iter().map(|k| k.scratch_len).max().unwrap_or(0);
    let scratch = bare.buffer(&vec![0xff; scratch_len * 4]);
    let buffers: Vec<wgpu::Buffer> = schedule
        .buffers
        .iter()
        .enumerate()
        .map(|(i, spec)| match data.get(i) {
            Some(data) => bare.buffer(&encode(spec.dtype, data)),
            None => bare.buffer(&vec![0; spec.len * spec.dtype.size_bytes()]),
        })
        .collect();
    for kernel in &kernels {
        thalweg_gpu::registry::check(kernel).unwrap_or_else(|e| panic!("{e}\n{}", kernel.wgsl(0)));
        let words: Vec<u32> = kernel
            .words
            .iter()
            .map(|word| match word {
                Word::Fixed(x) | Word::Offset { elements: x, .. } => *x,
                _ => 0,
            })
            .collect();
        let words = bare.uniform(&words);
        let mut bound = vec![&words];
        bound.extend(kernel.bindings.iter().map(|b| match b.source {
            Source::Buffer(buf) => &buffers[buf],
            _ => &scratch,
        }));
        let pipeline = bare.pipeline(&kernel.wgsl(0));
        let group = bare.bind(&pipeline, &bound);
        bare.run(&[(&pipeline, &group, kernel.grid)]);
    }
    let read = |buf: &BufId| {
        let spec = &schedule.buffers[*buf];
        decode(spec.dtype, &bare.read(&buffers[*buf])[..spec.len * spec.dtype.size_bytes()])
    };
    schedule.outputs.iter().map(read).collect()
}

/// `a [batch, m, k]` or its transpose, times `b [batch, k, n]` or its transpose; `shared`: b has no batch.
fn matmul(batch: usize, [m, n, k]: [usize; 3], ta: bool, tb: bool, shared: bool, dtype: DType) -> Case {
    let [bm, bn, bk] = [m as i64, n as i64, k as i64];
    let a = plain(if ta { vec![bm * bk, 1, bm] } else { vec![bm * bk, bk, 1] });
    let sb = if shared { 0 } else { bk * bn };
    let b = plain(if tb { vec![sb, 1, bk] } else { vec![sb, bn, 1] });
    let operand = |buf, at| Operand::load(buf, dtype, at);
    let what = format!("matmul {batch}×{m}×{n}×{k} ta {ta} tb {tb} shared {shared} {dtype}");
    let extents = [vec![batch], vec![m], vec![n], vec![k]];
    Case::new(what, ContractKind::Matmul, extents, operand(0, a), operand(1, b), dtype)
}

fn products_of_odd_sizes(gpu: &Runner) {
    let sizes = [
        [1, 1, 1],
        [1, 7, 5],
        [7, 1, 13],
        [3, 5, 1],
        [17, 13, 19],
        [31, 33, 32],
        [32, 32, 4],
        [33, 36, 8],
        [64, 10, 40],
        [129, 70, 20],
        [16, 131, 18],
    ];
    for size in sizes {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            matmul(1, size, ta, tb, false, DType::F32).check(gpu, Body0::Plain, DType::F32);
        }
    }
}

fn batches_and_bodies_and_storage(gpu: &Runner) {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for shared in [false, true] {
            matmul(3, [9, 20, 12], false, false, shared, dtype).check(gpu, Body0::BiasRelu, dtype);
            matmul(2, [20, 9, 12], false, true, shared, dtype).check(gpu, Body0::BiasRelu, DType::F32);
            matmul(2, [8, 13, 7], true, false, shared, dtype).check(gpu, Body0::Plain, dtype);
        }
    }
}

fn operands_are_cast_as_they_are_read(gpu: &Runner) {
    for (size, tb) in [([33, 20, 16], false), ([5, 7, 9], true)] {
        let mut case = matmul(1, size, false, tb, false, DType::F32);
        case.c.a = case.c.a.cast(DType::F16);
        case.c.b = case.c.b.cast(DType::F16).cast(DType::F32);
        case.check(gpu, Body0::Plain, DType::F32);
    }
}

/// What an operand may be beside an element of a buffer.
#[derive(Clone, Copy, Debug)]
enum Computed {
    /// `(q − 3) · scale[row]` of integers.
    Dequantised,
    /// `x` where the step is not beyond the row, else 0.
    Triangle,
    /// `x + table[position[row], step]`.
    Gathered,
    /// `relu(x) · y`, each of a buffer of its own, the second with other strides.
    Gated,
    /// `1`, in place of all else.
    Constant,
}

/// Makes the left side something that is computed, over `[batch, m, k]`. All numbers are small and whole, so that sums are exact.
fn compute(case: &mut Case, how: Computed) {
    let Contract { m, k, a, .. } = &mut case.c;
    let (m, k) = (m[0], k[0]);
    let dtype = case.buffers[0].dtype;
    let mut buffer = |dtype: DType, data: Vec<f64>| {
        case.buffers.push(BufferSpec { dtype, len: data.len(), place: Place::Leaf(case.data.len()) });
        case.data.push(data);
        case.data.len() - 1
    };
    let whole = |seed: u32, n: usize| noise(seed, n).into_iter().map(|x| (x * 4.0).round()).collect::<Vec<f64>>();
    let mut body = a.body.clone();
    let mut push = |inst: Inst, dtype: DType| {
        body.insts.push(inst);
        body.dtypes.push(dtype);
        body.insts.len() - 1
    };
    match how {
        Computed::Dequantised => {
            let scale = buffer(DType::F32, whole(5, m));
            let zero = push(Inst::Const(3.0), DType::F32);
            let x = push(Inst::Binary(BinaryOp::Sub, 0, zero), DType::F32);
            let scale = push(Inst::Load { buf: scale, at: plain(vec![0, 1, 0]) }, DType::F32);
            push(Inst::Binary(BinaryOp::Mul, x, scale), DType::F32);
        }
        Computed::Triangle => {
            let [row, step] =
                [1, 2].map(|d| push(Inst::Index(linear(0, (0..3).map(|c| i64::from(c == d)).collect())), DType::I32));
            let inside = push(Inst::Binary(BinaryOp::Le, step, row), DType::Bool);
            let zero = push(Inst::Const(0.0), dtype);
            push(Inst::Select(inside, 0, zero), dtype);
        }
        Computed::Gathered => {
            let table = buffer(dtype, whole(6, 5 * k));
            let positions = buffer(DType::I32, (0..m).map(|i| (i * 7 % 5) as f64).collect());
            let index = push(Inst::Load { buf: positions, at: plain(vec![0, 1, 0]) }, DType::I32);
            let index = Indirect { index, stride: k as i64, bound: 5, check: 0 };
            let gathered = push(Inst::Gather { buf: table, at: plain(vec![0, 0, 1]), index }, dtype);
            push(Inst::Binary(BinaryOp::Add, gathered, 0), DType::F32);
        }
        Computed::Gated => {
            let other = buffer(DType::F16, whole(7, m * k));
            let x = push(Inst::Unary(UnaryOp::Relu, 0), dtype);
            let y = push(Inst::Load { buf: other, at: plain(vec![0, 1, m as i64]) }, DType::F16);
            push(Inst::Binary(BinaryOp::Mul, x, y), DType::F32);
        }
        Computed::Constant => drop(push(Inst::Const(1.0), DType::F32)),
    }
    a.body = body;
}

fn operands_are_computed_as_they_are_read(gpu: &Runner) {
    use Computed::*;
    for how in [Dequantised, Triangle, Gathered, Gated, Constant] {
        for (batch, [m, n, k], ta, tb) in [
            (1, [33, 20, 16], false, true),
            (2, [5, 7, 9], true, false),
            (1, [64, 40, 36], true, false),
            (1, [17, 19, 300], false, false),
        ] {
            let mut case = matmul(batch, [m, n, k], ta, tb, false, DType::F32);
            case.data.iter_mut().flatten().for_each(|x| *x = (*x * 4.0).round());
            compute(&mut case, how);
            let what = format!("{how:?} {}", case.what);
            let (to, at) = (case.buffers.len(), linear(0, strides(&[batch, m, n])));
            case.buffers.push(BufferSpec { dtype: DType::F32, len: batch * m * n, place: Place::Output(0) });
            let stores = vec![Store { buf: to, at, value: 0 }];
            let check = Check { label: Label::here("test"), axis: 0, node: 0 };
            case.c.body = Body { insts: vec![Inst::Acc], dtypes: vec![DType::F32], stores, checks: vec![check] };
            let launch = Launch::here(LaunchKind::Contract(case.c), "matmul");
            let schedule =
                Schedule { buffers: case.buffers, launches: vec![launch], outputs: vec![to], ..Schedule::default() };
            let mut memory = [&case.data[..], &[vec![0.0; batch * m * n]]].concat();
            interpret::run(&schedule, &mut memory, &[]);
            assert_eq!(run(gpu, &schedule, &case.data, &what)[0], memory[to], "{what}");
        }
    }
}

fn long_sums_are_split(gpu: &Runner) {
    matmul(1, [5, 8, 70_001], false, false, false, DType::F32).check(gpu, Body0::BiasRelu, DType::F32);
    matmul(1, [17, 36, 35_000], true, false, false, DType::F32).check(gpu, Body0::BiasRelu, DType::F32);
    matmul(1, [3, 5, 40_000], true, false, false, DType::F32).check(gpu, Body0::BiasRelu, DType::F32);
    matmul(2, [8, 12, 4096], false, true, false, DType::F32).check(gpu, Body0::Plain, DType::F16);
}

struct Shape {
    b: usize,
    c: usize,
    o: usize,
    image: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    pad: usize,
    dilation: usize,
    groups: usize,
}

impl Shape {
    fn out(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.image[d] + 2 * self.pad - self.dilation * (self.kernel[d] - 1) - 1) / self.stride + 1)
    }

    fn conv(&self) -> Box<Conv> {
        let window = Window {
            kernel: self.kernel.to_vec(),
            stride: vec![self.stride; 2],
            dilation: vec![self.dilation; 2],
            pad: vec![self.pad; 2],
        };
        Conv { window, groups: self.groups }.into()
    }

    fn name(&self, what: &str) -> String {
        format!(
            "{what} x [{}, {}, {:?}] o {} kernel {:?} stride {} pad {} dilation {} groups {}",
            self.b, self.c, self.image, self.o, self.kernel, self.stride, self.pad, self.dilation, self.groups
        )
    }

    /// `y[b, g·O + o, oy, ox] = Σ x[b, g·C + c, oy·s + ky·d − p, …] w[g·O + o, c, ky, kx]`; y comes out as [g, o, b, oy, ox].
    fn forward(&self, dtype: DType) -> Case {
        let (cg, og) = (self.c / self.groups, self.o / self.groups);
        let [kh, kw] = self.kernel;
        let [oh, ow] = self.out();
        let [h, w] = self.image.map(|e| e as i64);
        let ws = strides(&[self.o, cg, kh, kw]);
        let a = plain(vec![og as i64 * ws[0], ws[0], ws[1], ws[2], ws[3]]);
        // g, c, ky, kx, b, oy, ox
        let plane = h * w;
        let base = linear(0, vec![cg as i64 * plane, plane, 0, 0, self.c as i64 * plane, 0, 0]);
        let (s, d, p) = (self.stride as i64, self.dilation as i64, -(self.pad as i64));
        let terms = vec![
            Term { at: linear(p, vec![0, 0, d, 0, 0, s, 0]), div: 1, bound: h, stride: w },
            Term { at: linear(p, vec![0, 0, 0, d, 0, 0, s]), div: 1, bound: w, stride: 1 },
        ];
        let b = Access { base, terms, fill: 0.0 };
        let extents = [vec![self.groups], vec![og], vec![self.b, oh, ow], vec![cg, kh, kw]];
        let operand = |buf, at| Operand::load(buf, dtype, at);
        Case::new(self.name("conv"), ContractKind::Conv(self.conv()), extents, operand(0, a), operand(1, b), dtype)
    }

    /// `dx[g, c, b, y, x] = Σ_{o, ky, kx} w[o, c, ky, kx] dy[b, o, (y + p − ky·d) / s, …]`.
    fn input(&self, dtype: DType) -> Case {
        let (cg, og) = (self.c / self.groups, self.o / self.groups);
        let [kh, kw] = self.kernel;
        let [oh, ow] = self.out();
        let ws = strides(&[self.o, cg, kh, kw]);
        // g, c, o, ky, kx
        let a = plain(vec![og as i64 * ws[0], ws[1], ws[0], ws[2], ws[3]]);
        let plane = (oh * ow) as i64;
        // g, o, ky, kx, b, y, x
        let base = linear(0, vec![og as i64 * plane, plane, 0, 0, self.o as i64 * plane, 0, 0]);
        let (s, d, p) = (self.stride as i64, self.dilation as i64, self.pad as i64);
        let terms = vec![
            Term { at: linear(p, vec![0, 0, -d, 0, 0, 1, 0]), div: s, bound: oh as i64, stride: ow as i64 },
            Term { at: linear(p, vec![0, 0, 0, -d, 0, 0, 1]), div: s, bound: ow as i64, stride: 1 },
        ];
        let b = Access { base, terms, fill: 0.0 };
        let extents = [vec![self.groups], vec![cg], vec![self.b, self.image[0], self.image[1]], vec![og, kh, kw]];
        let operand = |buf, at| Operand::load(buf, dtype, at);
        Case::new(
            self.name("conv_input"),
            ContractKind::ConvInput(self.conv()),
            extents,
            operand(0, a),
            operand(1, b),
            dtype,
        )
    }

    /// `dw[g, o, c, ky, kx] = Σ_{b, oy, ox} dy[b, o, oy, ox] x[b, c, oy·s + ky·d − p, …]`.
    fn weight(&self, dtype: DType) -> Case {
        let (cg, og) = (self.c / self.groups, self.o / self.groups);
        let [kh, kw] = self.kernel;
        let [oh, ow] = self.out();
        let [h, w] = self.image.map(|e| e as i64);
        let out_plane = (oh * ow) as i64;
        // g, o, b, oy, ox
        let a = plain(vec![og as i64 * out_plane, out_plane, self.o as i64 * out_plane, ow as i64, 1]);
        let plane = h * w;
        // g, b, oy, ox, c, ky, kx
        let base = linear(0, vec![cg as i64 * plane, self.c as i64 * plane, 0, 0, plane, 0, 0]);
        let (s, d, p) = (self.stride as i64, self.dilation as i64, -(self.pad as i64));
        let terms = vec![
            Term { at: linear(p, vec![0, 0, s, 0, 0, d, 0]), div: 1, bound: h, stride: w },
            Term { at: linear(p, vec![0, 0, 0, s, 0, 0, d]), div: 1, bound: w, stride: 1 },
        ];
        let b = Access { base, terms, fill: 0.0 };
        let extents = [vec![self.groups], vec![og], vec![cg, kh, kw], vec![self.b, oh, ow]];
        let operand = |buf, at| Operand::load(buf, dtype, at);
        Case::new(
            self.name("conv_weight"),
            ContractKind::ConvWeight(self.conv()),
            extents,
            operand(0, a),
            operand(1, b),
            dtype,
        )
    }
}

fn convolutions_and_their_adjoints(gpu: &Runner) {
    let shapes = [
        Shape { b: 1, c: 1, o: 1, image: [1, 1], kernel: [1, 1], stride: 1, pad: 0, dilation: 1, groups: 1 },
        Shape { b: 2, c: 3, o: 8, image: [8, 8], kernel: [3, 3], stride: 1, pad: 1, dilation: 1, groups: 1 },
        Shape { b: 2, c: 4, o: 5, image: [7, 9], kernel: [3, 2], stride: 2, pad: 1, dilation: 1, groups: 1 },
        Shape { b: 3, c: 2, o: 4, image: [11, 10], kernel: [3, 3], stride: 3, pad: 2, dilation: 2, groups: 2 },
        Shape { b: 2, c: 6, o: 6, image: [6, 8], kernel: [3, 3], stride: 1, pad: 1, dilation: 1, groups: 6 },
        Shape { b: 2, c: 17, o: 18, image: [6, 8], kernel: [3, 3], stride: 1, pad: 1, dilation: 1, groups: 1 },
        Shape { b: 1, c: 16, o: 17, image: [9, 10], kernel: [3, 3], stride: 2, pad: 2, dilation: 2, groups: 1 },
        Shape { b: 1, c: 2, o: 35, image: [5, 12], kernel: [1, 1], stride: 1, pad: 0, dilation: 1, groups: 1 },
    ];
    for shape in &shapes {
        for dtype in [DType::F32, DType::F16] {
            shape.forward(dtype).check(gpu, Body0::Plain, dtype);
            shape.input(dtype).check(gpu, Body0::Plain, dtype);
            shape.weight(dtype).check(gpu, Body0::BiasRelu, dtype);
        }
    }
}

fn a_weight_gradient(gpu: &Runner) {
    let shape = Shape { b: 48, c: 1, o: 4, image: [28, 28], kernel: [3, 3], stride: 1, pad: 1, dilation: 1, groups: 1 };
    shape.weight(DType::F32).check(gpu, Body0::Plain, DType::F32);
}

/// One test for each set of cases and each device that kernels are written for.
macro_rules! on_every_device {
    ($($name:ident: $case:ident;)*) => {
        $(mod $name {
            #[test]
            fn as_opened() { super::$case(&super::gpu()) }
            #[test]
            fn modest() { super::$case(&super::modest()) }
            #[test]
            fn alone() { super::$case(&super::alone()) }
            #[test]
            fn unshared() { super::$case(&super::unshared()) }
        })*
    };
}

on_every_device! {
    products: products_of_odd_sizes;
    bodies: batches_and_bodies_and_storage;
    casts: operands_are_cast_as_they_are_read;
    code: operands_are_computed_as_they_are_read;
    splits: long_sums_are_split;
    convolutions: convolutions_and_their_adjoints;
    weight_gradients: a_weight_gradient;
}
