//! The tensor: a handle to a node of a lazily evaluated graph.

use std::{
    cell::Cell,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{
    Bits, DType, Error, ErrorKind, Name, Op, Result,
    backend::Region,
    shape::{MAX_RANK, Type, broadcast, count, excess},
};

use crate::{
    device::Device,
    record::{Live, unrecorded},
    rule::Rule,
    shape::IntoAxis,
    variable::Version,
};

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

/// A node of the graph. Its inputs are older: ids ascend along every edge.
pub(crate) struct Node {
    pub id: u64,
    pub op: Op,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub device: Device,
    pub origin: Origin,
    /// Whether it is a tracked leaf or has a tracked ancestor.
    pub tracked: bool,
    pub error: Option<Error>,
    pub role: Role,
    pub rule: Option<Rule>,
    state: Mutex<State>,
}

/// Where a node was made, and the nearest parameter.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub location: &'static Location<'static>,
    /// With how many edges lie between.
    pub near: Option<(Name, u32)>,
}

impl Origin {
    /// Of a node with these inputs. The nearest parameter is that of the op itself, if it has one, not of what it works on.
    fn new(location: &'static Location<'static>, inputs: &[Tensor]) -> Origin {
        let nearest = inputs.iter().filter_map(|t| t.0.origin.near.as_ref()).min_by_key(|(_, distance)| *distance);
        Origin { location, near: nearest.map(|(name, distance)| (name.clone(), distance.saturating_add(1))) }
    }

    /// The name of the nearest parameter.
    pub fn name(&self) -> Option<Name> {
        self.near.as_ref().map(|(name, _)| name.clone())
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
}

#[derive(Default)]
struct State {
    inputs: Vec<Tensor>,
    value: Option<Region>,
    /// An estimate of how many unevaluated nodes this one needs, itself included; 0 if it has its value. Who acts on it
    /// counts them first.
    pending: usize,
    /// The version that its history read, once a step has written over it and taken the history along.
    ended: Option<Version>,
}

/// As many pending nodes as are counted again for each node that needs them.
const FEW: usize = 64;

/// Unevaluated nodes above which a cone is evaluated at once, so that metrics that nobody reads do not grow for ever.
pub const MAX_PENDING: usize = 32_768;

pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    /// Nodes that this thread makes before it counts a cone again: a cone that was counted grows by at most one with each.
    static COUNT_AFTER: Cell<usize> = const { Cell::new(0) };
}

/// About how many unevaluated nodes a node with this id needs. What its inputs need was mostly made between the oldest of
/// it and now, and ids count what is made: a sum over inputs would double wherever two paths meet. What is few is added
/// instead, because it may be old.
fn pending(id: u64, inputs: &[Tensor]) -> usize {
    let (mut few, mut oldest) = (0, id);
    for input in inputs {
        match input.pending() {
            n if n <= FEW => few += n,
            n => oldest = oldest.min((input.id() + 1).saturating_sub(n as u64)),
        }
    }
    1 + few + usize::try_from(id - oldest).unwrap_or(usize::MAX / 2)
}

impl Node {
    /// What errors and labels call it.
    pub fn name(&self) -> &'static str {
        self.rule.as_ref().map_or(self.op.name(), Rule::name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves nothing half-written, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Node {
    /// Iterative: a chain of a million nodes must not recurse.
    fn drop(&mut self) {
        let take = |node: &mut Node| {
            std::mem::take(&mut node.state.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).inputs)
        };
        let mut stack = take(self);
        while let Some(tensor) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.0) {
                stack.append(&mut take(&mut node));
            }
        }
    }
}

impl Tensor {
    /// A node. `inputs` live on `device`.
    pub(crate) fn node(
        op: Op,
        inputs: Vec<Tensor>,
        shape: Vec<usize>,
        dtype: DType,
        device: &Device,
        location: &'static Location<'static>,
    ) -> Tensor {
        Tensor::node_of(op, inputs, shape, dtype, device, Role::Plain, None, location)
    }

    /// A node with a gradient rule of its own.
    pub(crate) fn ruled(
        op: Op,
        inputs: Vec<Tensor>,
        shape: Vec<usize>,
        dtype: DType,
        device: &Device,
        rule: Rule,
        location: &'static Location<'static>,
    ) -> Tensor {
        Tensor::node_of(op, inputs, shape, dtype, device, Role::Plain, Some(rule), location)
    }

    fn node_of(
        op: Op,
        inputs: Vec<Tensor>,
        shape: Vec<usize>,
        dtype: DType,
        device: &Device,
        role: Role,
        rule: Option<Rule>,
        location: &'static Location<'static>,
    ) -> Tensor {
        let origin = Origin::new(location, &inputs);
        let name = rule.as_ref().map_or(op.name(), Rule::name);
        if let Some(error) = inputs.iter().find_map(|t| t.0.error.clone()) {
            return Tensor::failed(error, device, origin);
        }
        if let Some(problem) = excess(&shape) {
            let kind = ErrorKind::Shape { shape, problem };
            return Tensor::failed(Error::at(name, kind, location, origin.name()), device, origin);
        }
        if let Some(other) = inputs.iter().find(|t| !t.0.device.same(device)) {
            let kind = ErrorKind::Devices { lhs: device.to_string(), rhs: other.0.device.to_string() };
            return Tensor::failed(Error::at(name, kind, location, origin.name()), device, origin);
        }
        if dtype == DType::F64 && !device.profile().f64 {
            let kind = ErrorKind::DType { got: dtype, problem: format!("does not exist on {device}") };
            return Tensor::failed(Error::at(name, kind, location, origin.name()), device, origin);
        }
        let passes = !matches!(op, Op::Detach) || rule.as_ref().is_some_and(Rule::is_own);
        let tracked = passes && inputs.iter().any(|t| t.0.tracked);
        let id = next_id();
        let mut pending = pending(id, &inputs);
        let wait = COUNT_AFTER.get();
        COUNT_AFTER.set(wait.saturating_sub(1));
        if pending > MAX_PENDING && wait == 0 {
            pending = 1 + crate::eval::count_pending(&inputs);
            COUNT_AFTER.set((MAX_PENDING + 1).saturating_sub(pending));
            if pending > MAX_PENDING {
                let values: Vec<Tensor> = inputs.iter().filter(|t| !t.is_number()).cloned().collect();
                if let Err(error) = crate::eval::eval(&values) {
                    return Tensor::failed(error, device, origin);
                }
                pending = 1;
            }
        }
        let eager = device.eager();
        let tensor = Tensor(Arc::new(Node {
            id,
            op,
            shape,
            dtype,
            device: device.clone(),
            origin,
            tracked,
            error: None,
            role,
            rule,
            state: Mutex::new(State { inputs, value: None, pending, ended: None }),
        }));
        if eager
            && !tensor.is_number()
            && let Err(error) = crate::eval::eval(std::slice::from_ref(&tensor))
        {
            let origin = tensor.0.origin.clone();
            return Tensor::failed(error, device, origin);
        }
        tensor
    }

    /// The same op on other inputs.
    pub(crate) fn again(&self, inputs: Vec<Tensor>) -> Tensor {
        // A leaf, a number or a draw is itself the second time.
        if inputs.is_empty() {
            return self.clone();
        }
        let Node { op, shape, dtype, device, origin, role, rule, .. } = &*self.0;
        let (role, rule) = (role.clone(), rule.clone());
        Tensor::node_of(op.clone(), inputs, shape.clone(), *dtype, device, role, rule, origin.location)
    }

    fn failed(error: Error, device: &Device, origin: Origin) -> Tensor {
        Tensor(Arc::new(Node {
            id: next_id(),
            op: Op::Leaf,
            // A model that asks for an extent goes on, and the error reaches whatever needs the value.
            shape: vec![1; MAX_RANK],
            dtype: DType::F32,
            device: device.clone(),
            origin,
            tracked: false,
            error: Some(error),
            role: Role::Plain,
            rule: None,
            state: Mutex::default(),
        }))
    }

    /// A tensor that carries an error of `op`, or the error that this one carries: what a layer returns when it cannot use
    /// its input.
    #[track_caller]
    pub fn fail(&self, op: &'static str, kind: ErrorKind) -> Tensor {
        if self.0.error.is_some() {
            return self.clone();
        }
        let location = Location::caller();
        let origin = Origin { location, near: self.0.origin.near.clone() };
        Tensor::failed(Error::at(op, kind, location, origin.name()), &self.0.device, origin)
    }

    /// A tensor that carries an error of `op`, with nothing to hang it on.
    #[track_caller]
    pub(crate) fn fail_on(device: &Device, op: &'static str, kind: ErrorKind) -> Tensor {
        let location = Location::caller();
        Tensor::failed(Error::at(op, kind, location, None), device, Origin { location, near: None })
    }

    /// Whether it is a host number, at most repeated: stored in 16 bits it would lose digits.
    fn is_number(&self) -> bool {
        match self.0.op {
            Op::Scalar(_) => true,
            Op::Reshape | Op::Expand => !self.is_evaluated() && self.inputs().iter().all(Tensor::is_number),
            _ => false,
        }
    }

    /// Carries an existing error on.
    #[track_caller]
    pub(crate) fn fail_with(device: &Device, error: Error) -> Tensor {
        Tensor::failed(error, device, Origin { location: Location::caller(), near: None })
    }

    /// A number of rank 0 that every replay of a compiled step asks for anew. It is an input of plans whatever it is, as
    /// [`Tensor::scalar`] is not for 0, ±1 and 2, which kernels treat specially.
    #[track_caller]
    pub fn live_scalar(device: &Device, dtype: DType, number: impl Fn() -> f64 + Send + Sync + 'static) -> Tensor {
        let (op, role) = (Op::Scalar(Bits(number())), Role::Live(Live::Number(Arc::new(number))));
        Tensor::node_of(op, vec![], vec![], dtype, device, role, None, Location::caller())
    }

    /// A value that every replay of a compiled step asks for anew. It has the same shape and dtype every time.
    ///
    /// # Errors
    /// The error that the tensor carries.
    #[track_caller]
    pub fn live(tensor: impl Fn() -> Result<Tensor> + Send + Sync + 'static) -> Result<Tensor> {
        let ask = move || unrecorded(|| tensor().and_then(|t| t.eval().map(|()| t)));
        let now = ask()?;
        let no_value = || Error::new("live", ErrorKind::Device("the backend gave no value".into()));
        let region = now.region().ok_or_else(no_value)?;
        let role = Role::Live(Live::Tensor(Arc::new(ask)));
        Ok(Tensor::leaf(region, now.shape().to_vec(), now.device(), false, role, Location::caller()))
    }

    /// A leaf over a region.
    pub(crate) fn leaf(
        region: Region,
        shape: Vec<usize>,
        device: &Device,
        tracked: bool,
        role: Role,
        location: &'static Location<'static>,
    ) -> Tensor {
        let near = if let Role::Variable(version) = &role { Some((version.name().clone(), 0)) } else { None };
        Tensor(Arc::new(Node {
            id: next_id(),
            op: Op::Leaf,
            shape,
            dtype: region.dtype,
            device: device.clone(),
            origin: Origin { location, near },
            tracked,
            error: None,
            role,
            rule: None,
            state: Mutex::new(State { value: Some(region), ..State::default() }),
        }))
    }

    /// The extents of its axes; empty for a scalar. Of a tensor that carries an error they are 1, eight times: a model may ask
    /// for `x.shape()[1]` on the way to whatever tells the error.
    #[doc(alias = "size")]
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The extent of one axis, which counts from the back when negative, or the error the tensor carries.
    ///
    /// # Errors
    /// An axis that there is not.
    #[track_caller]
    #[doc(alias = "size")]
    pub fn dim(&self, axis: impl IntoAxis) -> Result<usize> {
        self.check()?;
        match axis.into().of(self.shape()) {
            Ok(axis) => Ok(self.shape()[axis]),
            Err(kind) => Err(Error::new("dim", kind)),
        }
    }

    /// The extents of exactly `N` axes, or the error the tensor carries, or one that says how many axes there are.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> Result<[usize; N]> {
        self.check()?;
        // Not `map_err`: the caller's position does not go through a closure.
        match self.0.shape.as_slice().try_into() {
            Ok(dims) => Ok(dims),
            Err(_) => {
                let problem = format!("has {} axes, not {N}", self.rank());
                Err(Error::new("dims", ErrorKind::Shape { shape: self.0.shape.clone(), problem }))
            }
        }
    }

    /// The number of axes.
    #[doc(alias = "ndim")]
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// The number of elements.
    #[doc(alias = "numel")]
    pub fn count(&self) -> usize {
        count(&self.0.shape)
    }

    /// Shape and dtype.
    pub(crate) fn type_of(&self) -> Type {
        Type { shape: self.0.shape.clone(), dtype: self.0.dtype }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The error it carries, if any.
    pub fn check(&self) -> Result<()> {
        match &self.0.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Whether both are one tensor, and not two with equal values.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether gradients can be taken with respect to it or one of its ancestors.
    pub fn is_tracked(&self) -> bool {
        self.0.tracked
    }

    /// Whether its value has been computed (or queued on the device).
    pub fn is_evaluated(&self) -> bool {
        self.region().is_some()
    }

    pub(crate) fn region(&self) -> Option<Region> {
        self.0.state().value.clone()
    }

    pub(crate) fn inputs(&self) -> Vec<Tensor> {
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
            if self.0.tracked { Vec::new() } else { std::mem::take(&mut state.inputs) }
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

    /// Two operands made fit for an elementwise op: same dtype, same shape.
    #[track_caller]
    pub(crate) fn broadcast_with(&self, op: &'static str, other: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
        if self.0.error.is_some() {
            return Err(self.clone());
        }
        if other.0.error.is_some() {
            return Err(other.clone());
        }
        let Some(shape) = broadcast(self.shape(), other.shape()) else {
            let (lhs, rhs) = (self.0.shape.clone(), other.0.shape.clone());
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem: "do not broadcast".into() }));
        };
        let dtype = self.0.dtype.promote(other.0.dtype);
        Ok((self.cast(dtype).broadcast_to(&shape), other.cast(dtype).broadcast_to(&shape)))
    }
}
