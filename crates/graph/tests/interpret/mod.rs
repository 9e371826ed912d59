//! A backend that runs schedules by plain loops in f64: what it computes is what the schedule says.

use std::sync::{Arc, Mutex};

use thalweg_graph::{
    DType, Device, Error, Operand, Primitive, ReduceOp,
    backend::{Backend, Bindings, PlanReport, Program, Properties, ReadFuture, Region, Stats, Storage, StorageObject},
    ops::random::philox,
    schedule::{
        self, Options,
        ir::{Body, Contract, Inst, LaunchKind, Linear, Loop, Place, Schedule, Val, Whole},
    },
};

struct Memory(Mutex<Vec<f64>>, usize);

impl StorageObject for Memory {
    fn size_bytes(&self) -> usize {
        self.1
    }
}

/// Runs schedules. `schedules` keeps what was run.
#[derive(Debug)]
pub struct Interpreter {
    properties: Properties,
    pub schedules: Mutex<Vec<Schedule>>,
}

impl Interpreter {
    pub fn device() -> (Device, Arc<Interpreter>) {
        let properties = Properties {
            name: "interpreter".into(),
            api: "test",
            hardware: false,
            native_f16: true,
            mixed_gains: false,
            f64: true,
            max_buffers: 12,
            max_binding_bytes: u64::MAX,
            max_tensor_bytes: 1 << 40,
            memory_bytes: None,
            scheduled: true,
        };
        let backend = Arc::new(Interpreter { properties, schedules: Mutex::default() });
        (Device::new(backend.clone()), backend)
    }
}

fn memory(len: usize, size: usize) -> Storage {
    Storage::new(Memory(Mutex::new(vec![0.0; len]), size))
}

fn with<T>(region: &Region, f: impl FnOnce(&mut [f64]) -> T) -> T {
    let memory = region.storage.downcast::<Memory>().expect("own storage");
    f(&mut memory.0.lock().unwrap()[region.offset..region.offset + region.len])
}

fn decode(bytes: &[u8], dtype: DType) -> Vec<f64> {
    let chunks = bytes.chunks_exact(dtype.size_bytes());
    chunks
        .map(|b| match dtype {
            DType::F32 => f64::from(f32::from_le_bytes(b.try_into().unwrap())),
            DType::F64 => f64::from_le_bytes(b.try_into().unwrap()),
            DType::I32 => f64::from(i32::from_le_bytes(b.try_into().unwrap())),
            DType::U32 | DType::Bool => f64::from(u32::from_le_bytes(b.try_into().unwrap())),
            DType::F16 => half::f16::from_le_bytes(b.try_into().unwrap()).to_f64(),
            DType::BF16 => half::bf16::from_le_bytes(b.try_into().unwrap()).to_f64(),
        })
        .collect()
}

fn encode(values: &[f64], dtype: DType) -> Vec<u8> {
    let one = |x: &f64| match dtype {
        DType::F32 => (*x as f32).to_le_bytes().to_vec(),
        DType::F64 => x.to_le_bytes().to_vec(),
        DType::I32 => (*x as i32).to_le_bytes().to_vec(),
        DType::U32 | DType::Bool => (*x as u32).to_le_bytes().to_vec(),
        DType::F16 => half::f16::from_f64(*x).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f64(*x).to_le_bytes().to_vec(),
    };
    values.iter().flat_map(one).collect()
}

impl Backend for Interpreter {
    fn properties(&self) -> &Properties {
        &self.properties
    }
    /// Bytes are decoded when first used, since only then the dtype is known.
    fn upload(&self, bytes: &[u8]) -> Result<Storage, Error> {
        let storage = memory(0, bytes.len());
        storage.downcast::<Memory>().unwrap().0.lock().unwrap().extend(bytes.iter().map(|b| f64::from(*b)));
        Ok(storage)
    }
    fn allocate(&self, size_bytes: usize) -> Result<Storage, Error> {
        Ok(memory(size_bytes, size_bytes))
    }
    fn read(&self, region: &Region) -> Result<Vec<u8>, Error> {
        settle(region);
        Ok(with(region, |v| encode(v, region.dtype)))
    }
    fn read_async(&self, region: &Region) -> ReadFuture {
        let bytes = self.read(region);
        Box::pin(async move { bytes })
    }
    fn copy(&self, copies: &[(Region, Region)]) -> Result<(), Error> {
        copies.iter().try_for_each(|(from, to)| {
            let (program, bindings) = Program::copying(from, to);
            self.run(&program, &bindings).map(drop)
        })
    }
    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>, Error> {
        assert!(program.fits(bindings));
        let schedule = schedule::build(program, &Options { composed: true, ..Options::of(&self.properties) })?;
        let outputs = execute(&schedule, bindings);
        self.schedules.lock().unwrap().push(schedule);
        Ok(outputs)
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

/// Turns uploaded bytes into numbers, once.
fn settle(region: &Region) {
    let memory = region.storage.downcast::<Memory>().unwrap();
    let mut values = memory.0.lock().unwrap();
    let elements = memory.1 / region.dtype.size_bytes();
    if values.len() == memory.1 && memory.1 > 0 && values.len() != elements {
        let bytes: Vec<u8> = values.iter().map(|b| *b as u8).collect();
        *values = decode(&bytes, region.dtype);
    }
}

fn execute(schedule: &Schedule, bindings: &Bindings) -> Vec<Region> {
    let fresh = |len: usize, dtype: DType| {
        let storage = memory(len, len * dtype.size_bytes());
        // Rubbish: nobody may count on zeros.
        storage.downcast::<Memory>().unwrap().0.lock().unwrap().fill(f64::NAN);
        Region { storage, offset: 0, len, dtype }
    };
    let slots: Vec<Region> = schedule.slots.iter().map(|bytes| fresh(*bytes, DType::F64)).collect();
    let mut made: Vec<Region> = Vec::new();
    for (i, target) in bindings.targets.iter().enumerate() {
        let buffer = &schedule.buffers[schedule.outputs[i]];
        made.push(target.clone().unwrap_or_else(|| fresh(buffer.len, buffer.dtype)));
    }
    let mut regions: Vec<Option<Region>> = vec![None; schedule.buffers.len()];
    for (i, buffer) in schedule.buffers.iter().enumerate() {
        regions[i] = match buffer.place {
            Place::Leaf(leaf) => Some(bindings.leaves[leaf].clone()),
            Place::Output(output) => Some(made[output].clone()),
            Place::Slot(slot) => Some(Region { len: buffer.len, dtype: buffer.dtype, ..slots[slot].clone() }),
            Place::Zeroed => {
                let zeroed = fresh(buffer.len, buffer.dtype);
                with(&zeroed, |v| v.fill(0.0));
                Some(zeroed)
            }
            Place::Window { .. } => None,
            Place::Walk { .. } => panic!("scans are composed"),
        };
    }
    for (i, buffer) in schedule.buffers.iter().enumerate() {
        if let Place::Window { of, offset } = buffer.place {
            let whole = regions[of].clone().expect("windows are in buffers");
            regions[i] = Some(Region { offset: whole.offset + offset, len: buffer.len, ..whole });
        }
    }
    let regions: Vec<Region> = regions.into_iter().map(|r| r.expect("placed")).collect();
    regions.iter().for_each(settle);
    // In full precision, as the strict executor has them; the bits that a device gets are rounded to f32.
    let run = Run { regions, scalars: bindings.scalars.clone() };
    for launch in &schedule.launches {
        match &launch.kind {
            LaunchKind::Loop(l) => run.nest(l),
            LaunchKind::Contract(c) => run.contract(c),
            LaunchKind::Whole(whole) => run.whole(whole),
            LaunchKind::Repeat(_) => panic!("scans are composed"),
        }
    }
    schedule.outputs.iter().map(|b| run.regions[*b].clone()).collect()
}

struct Run {
    regions: Vec<Region>,
    scalars: Vec<f64>,
}

/// Every point of a box, in row-major order.
fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for n in extents {
        all = all.into_iter().flat_map(|p| (0..*n).map(move |i| [&p[..], &[i]].concat())).collect();
    }
    all
}

impl Run {
    /// Every primitive but a user's is composed here.
    fn whole(&self, whole: &Whole) {
        let Primitive::Custom(op) = &whole.op else { panic!("{} is composed", whole.op.name()) };
        let data: Vec<Vec<f64>> = whole.inputs.iter().map(|x| with(&self.regions[x.buf], |m| m.to_vec())).collect();
        let operands: Vec<Operand<'_>> =
            data.iter().zip(&whole.inputs).map(|(data, x)| Operand { data, shape: &x.shape }).collect();
        for (result, output) in op.results(&operands).iter().zip(whole.outputs.iter().flatten()) {
            with(&self.regions[output.buf], |m| m.copy_from_slice(result));
        }
    }

    /// The value of an instruction at loop coordinates, reductions and the contraction's sum given.
    fn value(&self, body: &Body, v: Val, at: &[usize], known: &dyn Fn(Val) -> Option<f64>) -> f64 {
        if let Some(value) = known(v) {
            return value;
        }
        let dtype = body.dtypes[v];
        let get = |v: Val| self.value(body, v, at, known);
        let x = match &body.insts[v] {
            Inst::Load { buf, at: access } => match access.at(at) {
                Some(i) => with(&self.regions[*buf], |m| m[i]),
                None => access.fill,
            },
            Inst::InBounds(access) => f64::from(u8::from(access.at(at).is_some())),
            Inst::Gather { buf, at: access, index } => {
                let wanted = get(index.index) as i64;
                let i = wanted.clamp(0, index.bound - 1);
                match access.at(at) {
                    Some(_) if i != wanted && dtype.is_float() => f64::NAN,
                    Some(base) => with(&self.regions[*buf], |m| m[(base as i64 + i * index.stride) as usize]),
                    None => access.fill,
                }
            }
            Inst::Within { index, bound, .. } => {
                let i = get(*index) as i64;
                f64::from(u8::from(i >= 0 && i < *bound))
            }
            Inst::Const(c) => *c,
            Inst::Scalar(i) => self.scalars[*i],
            Inst::Index(linear) => linear.at(at) as f64,
            Inst::Random { at: element, stream } => {
                let [k0, k1, op, draw] = stream.map(|s| get(s) as u32);
                let e = element.at(at) as u32;
                f64::from(philox([e / 4, op, draw, 0], [k0, k1])[(e % 4) as usize])
            }
            Inst::Unary(op, a) => op.reference(get(*a)),
            Inst::Binary(op, a, b) => op.reference_of(body.dtypes[*a], get(*a), get(*b)),
            Inst::Select(c, a, b) => get(if get(*c) != 0.0 { *a } else { *b }),
            Inst::Cast(a) => match dtype {
                DType::F16 | DType::BF16 => dtype.round(get(*a)),
                DType::I32 | DType::U32 => get(*a).trunc(),
                DType::Bool => f64::from(u8::from(get(*a) != 0.0)),
                _ => get(*a),
            },
            Inst::Reduce(..) | Inst::Acc => panic!("reductions are known"),
        };
        match dtype {
            DType::I32 | DType::U32 | DType::Bool => dtype.round(x),
            _ => x,
        }
    }

    fn store(&self, buf: usize, at: &Linear, coordinates: &[usize], value: f64) {
        let region = &self.regions[buf];
        with(region, |m| m[at.at(coordinates) as usize] = region.dtype.round(value));
    }

    fn nest(&self, l: &Loop) {
        let levels = l.levels();
        let sweeps = 1 + levels.iter().map(|l| l.sweep).max().unwrap_or(0);
        let inner = points(&l.inner);
        for row in points(&l.outer) {
            let mut reduced: Vec<Option<f64>> = vec![None; l.body.insts.len()];
            let origin = [&row[..], &vec![0; l.inner.len()]].concat();
            for sweep in 0..sweeps {
                for store in &l.body.stores {
                    if levels[store.value].per_row && levels[store.value].sweep == sweep {
                        let value = self.value(&l.body, store.value, &origin, &|v| reduced[v]);
                        self.store(store.buf, &store.at, &origin, value);
                    }
                }
                let mut sums: Vec<(Val, ReduceOp, Val, Option<(f64, usize)>)> = Vec::new();
                for (v, inst) in l.body.insts.iter().enumerate() {
                    if let Inst::Reduce(op, a) = inst
                        && levels[*a].sweep == sweep
                    {
                        sums.push((v, *op, *a, None));
                    }
                }
                for (i, col) in inner.iter().enumerate() {
                    let at = [&row[..], col].concat();
                    for (_, op, a, sum) in &mut sums {
                        let x = self.value(&l.body, *a, &at, &|v| reduced[v]);
                        *sum = Some(match (*sum, op) {
                            (None, _) => (x, i),
                            (Some((s, _)), ReduceOp::Sum) => (s + x, 0),
                            (Some((s, _)), ReduceOp::Prod) => (s * x, 0),
                            (Some((s, at)), ReduceOp::Max | ReduceOp::ArgMax) => {
                                if x > s {
                                    (x, i)
                                } else {
                                    (s, at)
                                }
                            }
                            (Some((s, at)), ReduceOp::Min | ReduceOp::ArgMin) => {
                                if x < s {
                                    (x, i)
                                } else {
                                    (s, at)
                                }
                            }
                        });
                    }
                    for store in &l.body.stores {
                        if !levels[store.value].per_row && levels[store.value].sweep == sweep {
                            let value = self.value(&l.body, store.value, &at, &|v| reduced[v]);
                            self.store(store.buf, &store.at, &at, value);
                        }
                    }
                }
                for (v, op, _, sum) in sums {
                    reduced[v] = Some(match (op, sum) {
                        (ReduceOp::ArgMax | ReduceOp::ArgMin, Some((_, at))) => at as f64,
                        (_, Some((s, _))) => s,
                        (ReduceOp::Prod, None) => 1.0,
                        (_, None) => 0.0,
                    });
                }
            }
        }
    }

    fn contract(&self, c: &Contract) {
        let load = |buf: usize, access: &thalweg_graph::schedule::ir::Access, at: &[usize], casts: &[DType]| {
            let x = access.at(at).map_or(access.fill, |i| with(&self.regions[buf], |m| m[i]));
            casts.iter().fold(x, |x, d| d.round(x))
        };
        for b in points(&c.batch) {
            for m in points(&c.m) {
                for n in points(&c.n) {
                    let mut acc = 0.0;
                    for k in points(&c.k) {
                        acc += load(c.a.buf, &c.a.at, &[&b[..], &m, &k].concat(), &c.a.casts)
                            * load(c.b.buf, &c.b.at, &[&b[..], &k, &n].concat(), &c.b.casts);
                    }
                    let at = [&b[..], &m, &n].concat();
                    let is_acc = |v: Val| (c.body.insts[v] == Inst::Acc).then_some(acc);
                    for store in &c.body.stores {
                        let value = self.value(&c.body, store.value, &at, &is_acc);
                        self.store(store.buf, &store.at, &at, value);
                    }
                }
            }
        }
    }
}
