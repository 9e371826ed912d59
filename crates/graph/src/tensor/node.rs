//! The node of a graph: what it computes, what it reads, and what is known of it. Types that name each other stand here together.

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{
    DType, Error, ErrorKind, Op, Result,
    shape::{Extents, MAX_RANK, Type},
    storage::Region,
};

use smallvec::{SmallVec, smallvec};

use super::version::Version;
use crate::{device::Device, scope::Origin};

/// An n-dimensional array, or the recipe for one. A cheap clone.
///
/// Methods record what to compute; nothing runs until a value is needed ([`Tensor::to_vec`], [`Tensor::item`]) or a step
/// is taken. An op that cannot be built gives a tensor that carries the error to whatever needs the value.
///
/// In the docs of methods `..` in a shape stands for any axes, the same on both sides of an arrow. Under *Errors* stands what is
/// a method's own; every method also gives the error that an operand carries, [`ErrorKind::Devices`] for operands on different
/// devices, and an error for a result of more than 8 axes. Operands of different dtypes meet in the one both promote to.
#[derive(Clone)]
#[must_use = "tensors are lazy: nothing is computed until a value is asked for"]
pub struct Tensor(pub(crate) Arc<Node>);

/// What a node reads; two lie in place.
pub(crate) type Inputs = SmallVec<[Tensor; 2]>;

/// A node of the graph. Its inputs are older: ids ascend along every edge.
pub(crate) struct Node {
    pub id: u64,
    pub op: Op,
    pub shape: Extents,
    pub dtype: DType,
    pub device: Device,
    pub origin: Origin,
    /// The 16-bit dtype that contractions round their operands to, here and in the gradient, if they do.
    pub compute: Option<DType>,
    /// Whether it is a tracked leaf or has a tracked ancestor.
    pub tracked: bool,
    pub error: Option<Error>,
    pub role: Role,
    pub rule: Option<Rule>,
    pub state: Mutex<State>,
}

impl Node {
    /// What errors and labels call it.
    pub fn name(&self) -> &'static str {
        self.rule.as_ref().map_or(self.op.name(), Rule::name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves nothing half-written, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    /// Iterative: a chain of a million nodes must not recurse.
    fn drop(&mut self) {
        let take =
            |node: &mut Node| std::mem::take(&mut node.state.get_mut().unwrap_or_else(PoisonError::into_inner).inputs);
        let mut stack = take(self);
        while let Some(tensor) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.0) {
                stack.append(&mut take(&mut node));
            }
        }
    }
}

/// What changes of a node when it gets its value.
#[derive(Default)]
pub(crate) struct State {
    inputs: Inputs,
    value: Option<Region>,
    /// An estimate of how many unevaluated nodes this one needs, itself included; 0 if it has its value. Who acts on it
    /// counts them first.
    pending: usize,
    /// The version that its history read, once a step has written over it and taken the history along.
    ended: Option<Version>,
}

impl State {
    /// Of a node that waits for its value, and needs about so many that do.
    pub fn waiting(inputs: Inputs, pending: usize) -> Mutex<State> {
        Mutex::new(State { inputs, pending, ..State::default() })
    }
}

/// What a leaf stands for, beside its value.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Plain,
    /// A version of a parameter or a state: what it reads may be written.
    Variable(Version),
    /// Something that every replay of a compiled step asks for anew.
    Live(Live),
    /// What a recorded step will be given: it has no value of its own.
    Taken,
}

/// A leaf whose value is asked for anew by every replay.
#[derive(Clone)]
pub(crate) enum Live {
    /// A host number.
    Number(Arc<dyn Fn() -> f64 + Send + Sync>),
    /// A tensor that has the same shape and dtype every time.
    Tensor(Arc<dyn Fn() -> Result<Tensor> + Send + Sync>),
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Live::Number(_) => "Number",
            Live::Tensor(_) => "Tensor",
        })
    }
}

/// The gradients of inputs from these, the output, and the output's gradient; `None` for an input through which none passes.
type Vjp = dyn Fn(&[Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>, ErrorKind> + Send + Sync;

/// The gradients of inputs from one of the results, and the gradients of all results that have one.
type JointVjp = dyn Fn(&Tensor, &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>, ErrorKind> + Send + Sync;

/// A gradient rule, and the name of what has it. Of what a node computes it says nothing, and no plan depends on it.
#[derive(Clone)]
pub(crate) struct Rule {
    name: &'static str,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// The op's own.
    Op,
    One(Arc<Vjp>),
    /// Of the results of a primitive, so many, together.
    Joint(Arc<JointVjp>, usize),
}

impl Rule {
    pub fn new(
        name: &'static str,
        vjp: impl Fn(&[Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>, ErrorKind> + Send + Sync + 'static,
    ) -> Rule {
        Rule { name, way: Way::One(Arc::new(vjp)) }
    }

    /// The rule of a primitive's results, of which there are so many: it is asked once for all of them.
    pub fn joint(
        name: &'static str,
        results: usize,
        vjp: impl Fn(&Tensor, &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>, ErrorKind> + Send + Sync + 'static,
    ) -> Rule {
        Rule { name, way: Way::Joint(Arc::new(vjp), results) }
    }

    /// The op's own rule under another name.
    pub fn named(name: &'static str) -> Rule {
        Rule { name, way: Way::Op }
    }

    /// What errors and labels call the node.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The gradients, if they are not the op's own.
    pub fn vjp(&self, inputs: &[Tensor], y: &Tensor, g: &Tensor) -> Option<Result<Vec<Option<Tensor>>, ErrorKind>> {
        if let Way::One(vjp) = &self.way { Some(vjp(inputs, y, g)) } else { None }
    }

    /// Whether it has gradients of its own: also through an op that lets none pass.
    pub fn is_own(&self) -> bool {
        !matches!(self.way, Way::Op)
    }
}

impl Tensor {
    /// Of a result of a primitive whose results are differentiated together: its number among them, and how many there are.
    pub(crate) fn joint_part(&self) -> Option<(usize, usize)> {
        match (&self.0.op, self.0.rule.as_ref().map(|rule| &rule.way)) {
            (Op::Part(_, k), Some(Way::Joint(_, results))) => Some((*k, *results)),
            _ => None,
        }
    }

    /// Whether both are results of one computation that are differentiated together.
    pub(crate) fn is_joined(&self, other: &Tensor) -> bool {
        match (self.0.rule.as_ref().map(|rule| &rule.way), other.0.rule.as_ref().map(|rule| &rule.way)) {
            (Some(Way::Joint(a, _)), Some(Way::Joint(b, _))) => {
                let ids = |t: &Tensor| t.inputs().iter().map(Tensor::id).collect::<Vec<u64>>();
                Arc::ptr_eq(a, b) && ids(self) == ids(other)
            }
            _ => false,
        }
    }

    /// The gradients of its inputs from those of it and all results that belong to it.
    pub(crate) fn joint_vjp(&self, gs: &[Option<Tensor>]) -> Option<Result<Vec<Option<Tensor>>, ErrorKind>> {
        match self.0.rule.as_ref().map(|rule| &rule.way) {
            Some(Way::Joint(vjp, _)) => Some(vjp(self, gs)),
            _ => None,
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

/// The number of the next node or variable.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Tensor {
    /// A node that carries an error.
    pub(crate) fn failed(error: Error, device: &Device, origin: Origin) -> Tensor {
        Tensor(Arc::new(Node {
            id: next_id(),
            op: Op::Leaf,
            // A model that asks for an extent goes on, and the error reaches whatever needs the value.
            shape: smallvec![1; MAX_RANK],
            dtype: DType::F32,
            device: device.clone(),
            origin,
            compute: None,
            tracked: false,
            error: Some(error),
            role: Role::Plain,
            rule: None,
            state: Mutex::default(),
        }))
    }

    /// What a recorded step will be given.
    pub(crate) fn taken(of: Type, device: &Device, location: &'static Location<'static>) -> Tensor {
        Tensor(Arc::new(Node {
            id: next_id(),
            op: Op::Leaf,
            tracked: of.dtype.is_float(),
            shape: of.shape.into(),
            dtype: of.dtype,
            device: device.clone(),
            origin: Origin::leaf(location, None),
            compute: None,
            error: None,
            role: Role::Taken,
            rule: None,
            state: State::waiting(Inputs::new(), 1),
        }))
    }

    /// A leaf over a region.
    pub(crate) fn leaf(
        region: Region,
        shape: impl Into<Extents>,
        device: &Device,
        tracked: bool,
        role: Role,
        location: &'static Location<'static>,
    ) -> Tensor {
        let near = if let Role::Variable(version) = &role { Some((version.name().clone(), 0)) } else { None };
        Tensor(Arc::new(Node {
            id: next_id(),
            op: Op::Leaf,
            shape: shape.into(),
            dtype: region.dtype,
            device: device.clone(),
            origin: Origin::leaf(location, near),
            compute: None,
            tracked,
            error: None,
            role,
            rule: None,
            state: Mutex::new(State { value: Some(region), ..State::default() }),
        }))
    }

    pub(crate) fn region(&self) -> Option<Region> {
        self.0.state().value.clone()
    }

    pub(crate) fn inputs(&self) -> Inputs {
        self.0.state().inputs.clone()
    }

    pub(crate) fn pending(&self) -> usize {
        self.0.state().pending
    }

    /// Gives the node its value; lets go of its inputs unless a gradient may want them.
    pub(crate) fn set_value(&self, region: Region) {
        let released = {
            let mut state = self.0.state();
            state.value = Some(region);
            state.pending = 0;
            if self.0.tracked { Inputs::new() } else { std::mem::take(&mut state.inputs) }
        };
        // Outside the lock: this may drop a long chain.
        drop(released);
    }

    /// Lets go of what it was computed from, which read a version that is no longer current: it has no gradient any more.
    pub(crate) fn end_history(&self, version: &Version) {
        let released = {
            let mut state = self.0.state();
            state.ended = Some(version.clone());
            std::mem::take(&mut state.inputs)
        };
        drop(released);
    }

    /// The version that ended its history, if one did.
    pub(crate) fn ended(&self) -> Option<Version> {
        self.0.state().ended.clone()
    }

    /// Identity, for maps keyed by node.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// What its gradient is kept under: of a leaf over a parameter, the parameter.
    pub(crate) fn key(&self) -> u64 {
        match &self.0.role {
            Role::Variable(version) => version.key(),
            _ => self.0.id,
        }
    }
}
