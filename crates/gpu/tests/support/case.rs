//! A builder of schedules by hand, held to the reference interpreter.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use thalweg_gpu::GpuBackend;
use thalweg_graph::{
    DType,
    backend::{Backend, Bindings, Draft, Label, Node, Program, Region},
    schedule::ir::*,
};
use thalweg_ir::{
    bytes::{decode, encode},
    interpret,
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
        Linear::new(offset, coef)
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
        self.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "loop"));
        let want = self.interpret();
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

    /// All buffers as the reference has them.
    pub fn interpret(&self) -> Vec<Vec<f64>> {
        let content = |b: &BufferSpec| match b.place {
            Place::Leaf(i) => self.leaves[i].clone(),
            _ => vec![0.0; b.len],
        };
        let mut buffers: Vec<Vec<f64>> = self.schedule.buffers.iter().map(content).collect();
        let mut scalars = vec![0.0; self.scalars.len()];
        for kind in self.schedule.launches.iter().map(|launch| launch.work.kind()) {
            let Some(body) = kind.body() else { continue };
            for (inst, dtype) in body.insts.iter().zip(&body.dtypes) {
                if let Inst::Scalar(i) = inst {
                    scalars[*i] = decode(*dtype, &self.scalars[*i].to_le_bytes())[0];
                }
            }
        }
        interpret::run(&self.schedule, &mut buffers, &scalars);
        buffers
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
        let (op, inputs, shape) = (thalweg_graph::Op::Leaf, Default::default(), Default::default());
        let node = Node { op, inputs, shape, dtype: DType::F32, compute: None, label, source: 0, slot: None };
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
