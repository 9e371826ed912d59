//! A backend that runs schedules by the reference interpreter, in memory that is shared as the schedule says.

use std::sync::{Arc, Mutex};

use thalweg_graph::{
    DType, Device, Error,
    backend::{Backend, Bindings, PlanReport, Program, Properties, ReadFuture, Region, Stats, Storage, StorageObject},
    schedule::{
        self, Options,
        ir::{Place, Schedule},
    },
};
use thalweg_ir::{
    bytes::{decode, encode},
    interpret,
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
        Ok(with(region, |v| encode(region.dtype, v)))
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
        *values = decode(region.dtype, &bytes);
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
    let mut regions = Regions(regions);
    interpret::run(schedule, &mut regions, &bindings.scalars);
    schedule.outputs.iter().map(|b| regions.0[*b].clone()).collect()
}

/// The region of each buffer.
struct Regions(Vec<Region>);

impl interpret::Memory for Regions {
    fn load(&self, buf: usize, element: usize) -> f64 {
        with(&self.0[buf], |m| m[element])
    }
    fn store(&mut self, buf: usize, element: usize, value: f64) {
        with(&self.0[buf], |m| m[element] = value);
    }
}
