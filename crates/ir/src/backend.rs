//! What a device must be able to do.

use std::{
    any::Any,
    collections::HashSet,
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Instant,
};

use crate::{
    dtype::DType,
    error::{Error, ErrorKind},
    name::Name,
    op::Op,
    span::Span,
};

/// A buffer on a device. Its memory goes back to the device's pool with the last clone.
#[derive(Clone)]
pub struct Storage(Arc<dyn StorageObject>);

/// The backend's side of a [`Storage`].
pub trait StorageObject: Any + Send + Sync {
    /// Bytes it holds.
    fn size_bytes(&self) -> usize;
}

impl Storage {
    /// Wraps a backend's buffer.
    pub fn new(object: impl StorageObject) -> Storage {
        Storage(Arc::new(object))
    }

    /// The backend's buffer, if it is a `T`.
    pub fn downcast<T: StorageObject>(&self) -> Option<&T> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// Bytes it holds.
    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes()
    }

    /// Whether this is the only handle to the buffer.
    pub fn is_only(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether both are the same buffer.
    pub fn same(&self, other: &Storage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} bytes)", self.size_bytes())
    }
}

/// Elements `offset .. offset + len` of a storage.
#[derive(Clone, Debug)]
pub struct Region {
    /// The buffer.
    pub storage: Storage,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Their type.
    pub dtype: DType,
}

impl Region {
    /// Whether both have a byte in common.
    pub fn overlaps(&self, other: &Region) -> bool {
        let bytes = |r: &Region| (r.offset * r.dtype.size_bytes(), (r.offset + r.len) * r.dtype.size_bytes());
        let ((a, a_end), (b, b_end)) = (bytes(self), bytes(other));
        self.storage.same(&other.storage) && a < b_end && b < a_end
    }
}

/// Part of a training step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What the caller computes, and evaluation.
    #[default]
    Forward,
    /// Gradients.
    Backward,
    /// What the optimizer makes of them.
    Update,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Forward => "forward",
            Phase::Backward => "backward",
            Phase::Update => "update",
        })
    }
}

/// Where a node comes from; text is made only where it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The op.
    pub op: &'static str,
    /// The method it is a part of, if that is made of several ops: `softmax`, `layer_norm`.
    pub composite: Option<&'static str>,
    /// The nearest parameter.
    pub path: Option<Arc<str>>,
    /// The caller's position; of a gradient where its forward was made, of an update that of the step.
    pub location: &'static Location<'static>,
    /// Which part of a training step it belongs to.
    pub phase: Phase,
}

impl Label {
    /// The method that was called.
    pub fn name(&self) -> &'static str {
        self.composite.unwrap_or(self.op)
    }

    /// The path of the layer that the nearest parameter belongs to.
    pub fn layer(&self) -> Option<&str> {
        let path = self.path.as_deref()?;
        Some(path.rsplit_once('.').map_or(path, |(layer, _)| layer))
    }

    /// Of what no tensor stands for.
    #[track_caller]
    pub fn here(op: &'static str) -> Label {
        Label { op, composite: None, path: None, location: Location::caller(), phase: Phase::Forward }
    }

    /// The error of what a device met there.
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::at(self.op, kind, self.location, self.path.clone().map(Name::from))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().map_or(String::new(), |p| format!("{p} "));
        write!(f, "{} {path}{}:{}", self.op, self.location.file(), self.location.line())
    }
}

/// A node of a [`Trace`].
#[derive(Clone, Debug)]
pub struct TraceNode {
    /// What it computes.
    pub op: Op,
    /// The nodes it reads, earlier in the trace.
    pub inputs: Vec<usize>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: DType,
    /// Of a contraction in f32: the 16-bit dtype that its operands are rounded to, if they are.
    pub compute: Option<DType>,
    /// Op, nearest parameter path and source position.
    pub label: Label,
}

/// A value that a run must produce.
#[derive(Clone, Debug)]
pub struct TraceOutput {
    /// The node.
    pub node: usize,
    /// Where to write it; without one the backend makes a region.
    pub target: Option<Region>,
}

/// A graph to run: nodes in topological order, and what this run binds to them.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The nodes.
    pub nodes: Vec<TraceNode>,
    /// `Op::Leaf` nodes in order, with their regions.
    pub leaves: Vec<(usize, Region)>,
    /// The leaves among them, by node, whose memory is a variable's: it will be written, so no output may share it.
    pub variables: HashSet<usize>,
    /// `Op::Scalar` nodes that are inputs of the plan, in order, with 32 bits as the node's dtype has them (f32 for floats).
    pub scalars: Vec<(usize, u32)>,
    /// What to produce.
    pub outputs: Vec<TraceOutput>,
    /// Everything that a plan depends on, encoded: two traces with equal keys share a plan.
    pub key: Vec<u64>,
    /// Whether this is a training step: the run is counted among the steps in flight.
    pub step: bool,
    /// The plan that ran this trace, for when it runs again.
    pub plan: PlanSlot,
}

impl Trace {
    /// Reads one region and writes it to another, element by element.
    pub fn copying(from: &Region, to: &Region) -> Trace {
        let label = Label::here("copy");
        let node = |op: Op, inputs: Vec<usize>| {
            let (shape, dtype, label) = (vec![from.len], from.dtype, label.clone());
            TraceNode { op, inputs, shape, dtype, compute: None, label }
        };
        let everything = Op::Slice { start: vec![0], step: vec![1] };
        Trace {
            nodes: vec![node(Op::Leaf, vec![]), node(everything, vec![0])],
            leaves: vec![(0, from.clone())],
            outputs: vec![TraceOutput { node: 1, target: Some(to.clone()) }],
            ..Trace::default()
        }
        .changed()
    }
}

/// Where a trace that runs more than once keeps its plan, so that nobody looks for it by its key.
#[derive(Clone, Default)]
pub struct PlanSlot(Arc<OnceLock<Arc<dyn Any + Send + Sync>>>);

impl PlanSlot {
    /// The plan, if there is one of this type.
    pub fn get<P: Any + Send + Sync>(&self) -> Option<Arc<P>> {
        self.0.get()?.clone().downcast().ok()
    }

    /// Keeps the first plan.
    pub fn set<P: Any + Send + Sync>(&self, plan: &Arc<P>) {
        // Another plan of the same trace is as good.
        let _ = self.0.set(plan.clone());
    }
}

impl fmt::Debug for PlanSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanSlot({})", if self.0.get().is_some() { "full" } else { "empty" })
    }
}

/// What a device is and what it can do.
#[derive(Clone, Debug)]
pub struct Properties {
    /// Name as the driver gives it, or `cpu`.
    pub name: String,
    /// `cpu`, `strict`, `vulkan`, `metal`, `dx12`.
    pub api: &'static str,
    /// Whether it is a GPU in hardware.
    pub hardware: bool,
    /// Whether f16 storage is native (otherwise it is packed two to a word).
    pub native_f16: bool,
    /// Whether mixed precision is faster than f32 here.
    pub mixed_gains: bool,
    /// Whether F64 tensors are possible.
    pub f64: bool,
    /// Largest number of buffers one launch may use.
    pub max_buffers: usize,
    /// Bytes of a buffer above which it counts as several of a launch's buffers.
    pub max_binding_bytes: u64,
    /// Bytes that one tensor may take.
    pub max_tensor_bytes: u64,
    /// Bytes of memory, where known.
    pub memory_bytes: Option<u64>,
    /// Whether launches run a [`crate::schedule::ir::Schedule`] (false: the strict executor).
    pub scheduled: bool,
}

/// Counts since the device was opened, and bytes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs of plans.
    pub runs: u64,
    /// Launches.
    pub launches: u64,
    /// Submissions to the device's queue.
    pub submits: u64,
    /// Blocking waits for the device.
    pub waits: u64,
    /// Buffers mapped for reading.
    pub maps: u64,
    /// Plans built.
    pub plans_built: u64,
    /// Distinct kernels compiled.
    pub kernels: u64,
    /// Bytes allocated on the device now, pools included.
    pub device_bytes: u64,
}

/// What a plan costs, for printing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanReport {
    /// Launches in one run.
    pub launches: usize,
    /// Distinct kernels among them.
    pub kernels: usize,
    /// Bytes of the activation pool that the plan needs.
    pub planned_bytes: u64,
}

/// A pending read.
pub type ReadFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>>;

/// A device. Runs are queued in call order; nothing waits but `read`, `synchronize` and a step for the step two before.
pub trait Backend: Send + Sync + fmt::Debug {
    /// What it is.
    fn properties(&self) -> &Properties;
    /// A buffer with these bytes (elements as stored: little-endian, Bool as u32).
    fn upload(&self, bytes: &[u8]) -> Result<Storage, Error>;
    /// A buffer of zeros.
    fn allocate(&self, size_bytes: usize) -> Result<Storage, Error>;
    /// The bytes of a region, after all that was queued before.
    fn read(&self, region: &Region) -> Result<Vec<u8>, Error>;
    /// The same, without waiting.
    fn read_async(&self, region: &Region) -> ReadFuture;
    /// Queues copies, each of one region's elements to another of the same length and dtype. No two of them overlap.
    fn copy(&self, copies: &[(Region, Region)]) -> Result<(), Error>;
    /// Queues a graph; gives a region for each output.
    fn run(&self, trace: &Trace) -> Result<Vec<Region>, Error>;
    /// Runs a graph as [`Backend::run`] does, waits for it, and adds a span for each of its launches; here one for all, for devices
    /// that cannot tell them apart.
    fn run_timed(&self, trace: &Trace, spans: &mut Vec<Span>) -> Result<Vec<Region>, Error> {
        let start = Instant::now();
        let regions = self.run(trace)?;
        self.synchronize()?;
        spans.push(Span::whole(trace, start));
        Ok(regions)
    }
    /// Waits for all that was queued, and reports what went wrong on the device.
    fn synchronize(&self) -> Result<(), Error>;
    /// Counts and bytes.
    fn stats(&self) -> Stats;
    /// What the most recent training step's plan costs.
    fn last_step(&self) -> Option<PlanReport>;
}
