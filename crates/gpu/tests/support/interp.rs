//! Plain loops that do what a launch says, in f64, and a builder of schedules by hand.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use thalweg_gpu::GpuBackend;
use thalweg_graph::{
    Class, DType, ReduceOp,
    backend::{Backend, Bindings, Draft, Label, Node, Program, Region},
    schedule::ir::*,
};

/// A schedule of one launch under construction: buffers are leaves or outputs, in order of the calls.
#[derive(Default)]
pub struct Case {
    pub schedule: Schedule,
    pub body: Body,
    /// Contents of the leaves.
    pub leaves: Vec<Vec<f64>>,
    pub scalars: Vec<u32>,
    rank: usize,
    outputs: usize,
}

impl Case {
    pub fn new(rank: usize) -> Case {
        Case { rank, ..Case::default() }
    }

    pub fn leaf(&mut self, dtype: DType, data: Vec<f64>) -> BufId {
        let place = Place::Leaf(self.leaves.len());
        self.schedule.buffers.push(BufferSpec { dtype, len: data.len(), place });
        self.leaves.push(data.into_iter().map(|x| dtype.round(x)).collect());
        self.schedule.buffers.len() - 1
    }

    pub fn output(&mut self, dtype: DType, len: usize) -> BufId {
        self.schedule.buffers.push(BufferSpec { dtype, len, place: Place::Output(self.outputs) });
        self.outputs += 1;
        let buf = self.schedule.buffers.len() - 1;
        self.schedule.outputs.push(buf);
        buf
    }

    pub fn inst(&mut self, inst: Inst, dtype: DType) -> Val {
        self.body.insts.push(inst);
        self.body.dtypes.push(dtype);
        self.body.insts.len() - 1
    }

    pub fn linear(&self, offset: i64, coef: &[i64]) -> Linear {
        assert_eq!(coef.len(), self.rank);
        Linear { offset, coef: coef.to_vec() }
    }

    pub fn load(&mut self, buf: BufId, offset: i64, coef: &[i64]) -> Val {
        let at = Access { base: self.linear(offset, coef), terms: vec![], fill: 0.0 };
        let dtype = self.schedule.buffers[buf].dtype;
        self.inst(Inst::Load { buf, at }, dtype)
    }

    pub fn store(&mut self, buf: BufId, offset: i64, coef: &[i64], value: Val) {
        let at = self.linear(offset, coef);
        self.body.stores.push(Store { buf, at, value });
    }

    /// Makes the loop nest and runs it on the device and in f64; compares every element.
    pub fn check(mut self, gpu: &GpuBackend, outer: &[usize], inner: &[usize], tolerance: f64, what: &str) {
        let nest = Loop { outer: outer.to_vec(), inner: inner.to_vec(), body: std::mem::take(&mut self.body) };
        self.schedule.scalars = self.scalars.len();
        let want = interpret(&nest, &self.schedule, &self.leaves, &self.scalars);
        self.schedule.launches.push(Launch { kind: LaunchKind::Loop(nest), label: what.into(), members: vec![] });
        let got = self.run(gpu, what);
        for (o, buf) in self.schedule.outputs.iter().enumerate() {
            let dtype = self.schedule.buffers[*buf].dtype;
            for (i, (got, want)) in got[o].iter().zip(&want[*buf]).enumerate() {
                let same = got == want || (got.is_nan() && want.is_nan());
                let ulp = match dtype {
                    DType::F16 => 1e-3,
                    DType::BF16 => 8e-3,
                    _ => 0.0,
                };
                // Sixteen-bit results may fall on the other side of a tie when f32 arithmetic differs from f64.
                let near = tolerance > 0.0 && (got - want).abs() <= (tolerance + ulp) * want.abs().max(1.0);
                assert!(same || near, "{what}: output {o} element {i}: got {got}, want {want}");
            }
        }
    }

    pub fn run(&self, gpu: &GpuBackend, what: &str) -> Vec<Vec<f64>> {
        let (program, bindings) = self.program(gpu);
        let regions =
            gpu.run_schedule(self.schedule.clone(), &program, &bindings).unwrap_or_else(|e| panic!("{what}: {e}"));
        regions.iter().map(|r| decode(r.dtype, &gpu.read(r).unwrap_or_else(|e| panic!("{what}: {e}")))).collect()
    }

    pub fn program(&self, gpu: &GpuBackend) -> (Program, Bindings) {
        self.draft(gpu).finish()
    }

    /// Of a schedule without a graph: a node stands for all of it.
    pub fn draft(&self, gpu: &GpuBackend) -> Draft {
        let label = Label::here("test");
        let op = thalweg_graph::Op::Leaf;
        let node =
            Node { op, inputs: vec![], shape: vec![], dtype: DType::F32, compute: None, label, source: 0, slot: None };
        let leaf_dtypes: Vec<DType> =
            self.schedule.buffers.iter().filter(|b| matches!(b.place, Place::Leaf(_))).map(|b| b.dtype).collect();
        let leaves = self.leaves.iter().zip(leaf_dtypes).map(|(data, dtype)| {
            let storage = gpu.upload(&encode(dtype, data)).unwrap();
            (0, Region { storage, offset: 0, len: data.len(), dtype }, false)
        });
        Draft {
            nodes: vec![node],
            leaves: leaves.collect(),
            scalars: self.scalars.iter().map(|s| (0, f64::from(f32::from_bits(*s)))).collect(),
            outputs: (0..self.outputs).map(|_| (0, None)).collect(),
            ..Draft::default()
        }
    }
}

pub fn encode(dtype: DType, data: &[f64]) -> Vec<u8> {
    let each = |x: &f64| match dtype {
        DType::F16 => half::f16::from_f64(*x).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f64(*x).to_le_bytes().to_vec(),
        DType::I32 => (*x as i32).to_le_bytes().to_vec(),
        DType::U32 | DType::Bool => (*x as u32).to_le_bytes().to_vec(),
        _ => (*x as f32).to_le_bytes().to_vec(),
    };
    data.iter().flat_map(each).collect()
}

pub fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks_exact(dtype.size_bytes())
        .map(|b| match dtype {
            DType::F16 => half::f16::from_le_bytes([b[0], b[1]]).to_f64(),
            DType::BF16 => half::bf16::from_le_bytes([b[0], b[1]]).to_f64(),
            DType::I32 => f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            DType::U32 | DType::Bool => f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            _ => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        })
        .collect()
}

/// All buffers after the loop nest.
pub fn interpret(l: &Loop, s: &Schedule, leaves: &[Vec<f64>], scalars: &[u32]) -> Vec<Vec<f64>> {
    let mut buffers: Vec<Vec<f64>> = s
        .buffers
        .iter()
        .map(|b| match b.place {
            Place::Leaf(i) => leaves[i].clone(),
            _ => vec![0.0; b.len],
        })
        .collect();
    let before = buffers.clone();
    for row in points(&l.outer) {
        let mut reduced = vec![None; l.body.insts.len()];
        for v in 0..l.body.insts.len() {
            if let Inst::Reduce(op, x) = l.body.insts[v] {
                reduced[v] = Some(reduce(l, op, x, &row, &reduced, &before, scalars));
            }
        }
        for col in points(&l.inner) {
            let i: Vec<usize> = row.iter().chain(&col).copied().collect();
            for store in &l.body.stores {
                let x = eval(l, store.value, &i, &reduced, &before, scalars);
                buffers[store.buf][store.at.at(&i) as usize] = s.buffers[store.buf].dtype.round(x);
            }
        }
    }
    buffers
}

fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |points, e| {
        points.iter().flat_map(|p| (0..*e).map(move |i| [&p[..], &[i]].concat())).collect()
    })
}

fn reduce(
    l: &Loop,
    op: ReduceOp,
    x: Val,
    row: &[usize],
    reduced: &[Option<f64>],
    buffers: &[Vec<f64>],
    scalars: &[u32],
) -> f64 {
    let values: Vec<f64> =
        points(&l.inner).iter().map(|col| eval(l, x, &[row, col].concat(), reduced, buffers, scalars)).collect();
    let larger = |a: f64, b: f64| (b.is_nan() && !a.is_nan()) || b > a;
    let smaller = |a: f64, b: f64| (b.is_nan() && !a.is_nan()) || b < a;
    let search = |better: &dyn Fn(f64, f64) -> bool| {
        (1..values.len()).fold(0, |best, i| if better(values[best], values[i]) { i } else { best })
    };
    match op {
        ReduceOp::Sum => values.iter().sum(),
        ReduceOp::Prod => values.iter().product(),
        ReduceOp::Max => values[search(&larger)],
        ReduceOp::Min => values[search(&smaller)],
        ReduceOp::ArgMax => search(&larger) as f64,
        ReduceOp::ArgMin => search(&smaller) as f64,
    }
}

fn eval(l: &Loop, v: Val, i: &[usize], reduced: &[Option<f64>], buffers: &[Vec<f64>], scalars: &[u32]) -> f64 {
    let dtype = l.body.dtypes[v];
    let at = |v: Val| eval(l, v, i, reduced, buffers, scalars);
    match &l.body.insts[v] {
        Inst::Load { buf, at: access } => access.at(i).map_or(access.fill, |a| buffers[*buf][a]),
        Inst::Gather { buf, at: access, index } => {
            let wanted = at(index.index) as i64;
            let position = wanted.clamp(0, index.bound - 1);
            match access.at(i) {
                None => access.fill,
                Some(_) if position != wanted && dtype.is_float() => f64::NAN,
                Some(a) => buffers[*buf][a + (position * index.stride) as usize],
            }
        }
        Inst::InBounds(access) => {
            let guards = Access { base: Linear { offset: 0, coef: vec![0; i.len()] }, ..access.clone() };
            f64::from(u8::from(guards.at(i).is_some()))
        }
        Inst::Within { index, bound, .. } => {
            let i = at(*index) as i64;
            f64::from(u8::from(i >= 0 && i < *bound))
        }
        Inst::Const(c) => *c,
        Inst::Scalar(s) => match dtype.class() {
            Class::Float => f64::from(f32::from_bits(scalars[*s])),
            Class::Int => f64::from(scalars[*s] as i32),
            _ => f64::from(scalars[*s]),
        },
        Inst::Index(form) => dtype.round(form.at(i) as f64),
        Inst::Random { at: form, stream } => {
            let element = form.at(i) as u32;
            let [k0, k1, op, draw] = stream.map(|s| at(s) as u32);
            f64::from(philox([element / 4, op, draw, 0], [k0, k1])[element as usize % 4])
        }
        Inst::Unary(op, a) => op.reference(at(*a)),
        Inst::Binary(op, a, b) => op.reference_of(l.body.dtypes[*a], at(*a), at(*b)),
        Inst::Select(c, a, b) => at(if at(*c) != 0.0 { *a } else { *b }),
        Inst::Cast(a) => dtype.round(at(*a)),
        Inst::Reduce(..) => reduced[v].expect("reduced in order"),
        Inst::Acc => unreachable!("loops have no sums of products"),
    }
}

/// Philox4x32-10 by 64-bit products.
pub fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = u64::from(c[0]) * 0xd251_1f53;
        let p1 = u64::from(c[2]) * 0xcd9e_8d57;
        c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
        k = [k[0].wrapping_add(0x9e37_79b9), k[1].wrapping_add(0xbb67_ae85)];
    }
    c
}

/// `n` numbers in [-1, 1).
pub fn noise(seed: u32, n: usize) -> Vec<f64> {
    (0..n as u32)
        .map(|i| {
            let mut h = i.wrapping_add(seed.wrapping_mul(0x9e37_79b9));
            h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
            h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
            f64::from((h ^ (h >> 16)) >> 8) / f64::from(1 << 23) - 1.0
        })
        .collect()
}
