//! How nodes come to be: checked, and evaluated at once where that is asked for or too many wait.

use std::{cell::Cell, panic::Location, sync::Arc};

use thalweg_ir::{
    Bits, DType, Error, ErrorKind, Op, Result,
    shape::{Extents, Type, excess},
};

use crate::{
    device::Device,
    eval,
    record::unrecorded,
    scope::{Origin, Scope},
    tensor::{Inputs, Live, Node, Role, Rule, State, Tensor, next_id},
};

/// As many pending nodes as are counted again for each node that needs them.
const FEW: usize = 64;

/// Unevaluated nodes above which a cone is evaluated at once, so that metrics that nobody reads do not grow for ever.
pub const MAX_PENDING: usize = 32_768;

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

impl Tensor {
    /// A node. `inputs` live on `device`.
    pub(crate) fn node(
        op: Op,
        inputs: Inputs,
        shape: impl Into<Extents>,
        dtype: DType,
        device: &Device,
        location: &'static Location<'static>,
    ) -> Tensor {
        Tensor::node_of(op, inputs, shape.into(), dtype, device, Role::Plain, None, location)
    }

    /// A node with a gradient rule of its own.
    pub(crate) fn ruled(
        op: Op,
        inputs: Inputs,
        shape: impl Into<Extents>,
        dtype: DType,
        device: &Device,
        rule: Rule,
        location: &'static Location<'static>,
    ) -> Tensor {
        Tensor::node_of(op, inputs, shape.into(), dtype, device, Role::Plain, Some(rule), location)
    }

    fn node_of(
        op: Op,
        inputs: Inputs,
        shape: Extents,
        dtype: DType,
        device: &Device,
        role: Role,
        rule: Option<Rule>,
        location: &'static Location<'static>,
    ) -> Tensor {
        let origin = Origin::new(location, inputs.iter().map(|t| &t.0.origin));
        let name = rule.as_ref().map_or(op.name(), Rule::name);
        if let Some(error) = inputs.iter().find_map(|t| t.0.error.clone()) {
            return Tensor::failed(error, device, origin);
        }
        if let Some(problem) = excess(&shape) {
            let kind = ErrorKind::Shape { shape: shape.into_vec(), problem };
            return Tensor::failed(Error::at(name, kind, origin.location, origin.name()), device, origin);
        }
        if let Some(other) = inputs.iter().find(|t| !t.0.device.same(device)) {
            let kind = ErrorKind::Devices { lhs: device.to_string(), rhs: other.0.device.to_string() };
            return Tensor::failed(Error::at(name, kind, origin.location, origin.name()), device, origin);
        }
        if dtype == DType::F64 && !device.properties().f64 {
            let kind = ErrorKind::DType { got: dtype, problem: format!("does not exist on {device}") };
            return Tensor::failed(Error::at(name, kind, origin.location, origin.name()), device, origin);
        }
        let passes = !matches!(op, Op::Detach) || rule.as_ref().is_some_and(Rule::is_own);
        let tracked = passes && inputs.iter().any(|t| t.0.tracked);
        let id = next_id();
        let mut pending = pending(id, &inputs);
        let wait = COUNT_AFTER.get();
        COUNT_AFTER.set(wait.saturating_sub(1));
        if pending > MAX_PENDING && wait == 0 {
            pending = 1 + eval::count_pending(&inputs);
            COUNT_AFTER.set((MAX_PENDING + 1).saturating_sub(pending));
            if pending > MAX_PENDING {
                let values: Vec<Tensor> = inputs.iter().filter(|t| !t.is_number()).cloned().collect();
                if let Err(error) = eval::eval(&values) {
                    return Tensor::failed(error, device, origin);
                }
                pending = 1;
            }
        }
        let device = Device::meet(device, inputs.iter().map(|t| &t.0.device));
        let eager = device.eager();
        let tensor = Tensor(Arc::new(Node {
            id,
            op,
            shape,
            dtype,
            compute: Scope::compute_dtype(&device),
            device,
            origin,
            tracked,
            error: None,
            role,
            rule,
            state: State::waiting(inputs, pending),
        }));
        if eager
            && !tensor.is_number()
            && let Err(error) = eval::eval(std::slice::from_ref(&tensor))
        {
            let origin = tensor.0.origin.clone();
            let device = tensor.0.device.clone();
            return Tensor::failed(error, &device, origin);
        }
        tensor
    }

    /// Another result of the primitive that this is one of.
    pub(crate) fn sibling(&self, k: usize, of: Type) -> Tensor {
        let op = match &self.0.op {
            Op::Part(primitive, _) => Op::Part(primitive.clone(), k),
            op => op.clone(),
        };
        let Node { device, origin, rule, .. } = &*self.0;
        Tensor::node_of(
            op,
            self.inputs(),
            of.shape.into(),
            of.dtype,
            device,
            Role::Plain,
            rule.clone(),
            origin.location,
        )
    }

    /// The same op on other inputs, for a gradient.
    pub(crate) fn again(&self, inputs: Inputs) -> Tensor {
        // A leaf, a number or a draw is itself the second time.
        if inputs.is_empty() {
            return self.clone();
        }
        let Node { op, shape, dtype, device, origin, compute, role, rule, .. } = &*self.0;
        let (role, rule) = (role.clone(), rule.clone());
        let _scope = Scope::backward(origin, *compute);
        Tensor::node_of(op.clone(), inputs, shape.clone(), *dtype, device, role, rule, origin.location)
    }

    /// Whether it is a host number, at most repeated: stored in 16 bits it would lose digits.
    fn is_number(&self) -> bool {
        match self.0.op {
            Op::Scalar(_) => true,
            Op::Reshape | Op::Expand => !self.is_evaluated() && self.inputs().iter().all(Tensor::is_number),
            _ => false,
        }
    }

    /// A number of rank 0 that every replay of a compiled step asks for anew. It is an input of plans whatever it is, as
    /// [`Tensor::scalar`] is not for 0, ±1 and 2, which kernels treat specially.
    #[track_caller]
    pub fn live_scalar(device: &Device, dtype: DType, number: impl Fn() -> f64 + Send + Sync + 'static) -> Tensor {
        let (op, role) = (Op::Scalar(Bits(number())), Role::Live(Live::Number(Arc::new(number))));
        Tensor::node_of(op, Inputs::new(), Extents::new(), dtype, device, role, None, Location::caller())
    }

    /// A value that every replay of a compiled step asks for anew. It has the same shape and dtype every time.
    ///
    /// # Errors
    /// The error that the tensor carries.
    #[track_caller]
    pub fn live(tensor: impl Fn() -> Result<Tensor> + Send + Sync + 'static) -> Result<Tensor> {
        let ask = move || unrecorded(|| tensor().and_then(|t| eval::eval(std::slice::from_ref(&t)).map(|()| t)));
        let now = ask()?;
        let no_value = || Error::new("live", ErrorKind::Device("the backend gave no value".into()));
        let region = now.region().ok_or_else(no_value)?;
        let role = Role::Live(Live::Tensor(Arc::new(ask)));
        Ok(Tensor::leaf(region, now.shape().to_vec(), now.device(), false, role, Location::caller()))
    }
}
