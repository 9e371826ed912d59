//! Reverse-mode differentiation, from graph to graph: gradients are lazy tensors, and have gradients of their own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use thalweg_ir::{DType, Error, ErrorKind, Op, Result};

use crate::{
    scope::Scope,
    tensor::{Role, Tensor, Version, next_id},
};

/// Something that a gradient can be taken with respect to: a tracked tensor, or a parameter.
pub trait Leaf {
    /// What its gradient is kept under.
    #[doc(hidden)]
    fn gradient_key(&self) -> u64;
    /// The tensor that stands for it.
    #[doc(hidden)]
    fn gradient_leaf(&self) -> Tensor;
}

impl Leaf for Tensor {
    fn gradient_key(&self) -> u64 {
        self.key()
    }
    fn gradient_leaf(&self) -> Tensor {
        self.clone()
    }
}

/// Gradients as a value, each kept under the parameter or the tracked tensor it belongs to. Lazy, like any tensor.
///
/// A parameter's gradient is found whatever has been done to the parameter since: it was renamed, frozen, its mode was changed,
/// an optimizer moved it.
#[derive(Clone, Debug, Default)]
pub struct Grads {
    /// The backward pass.
    pass: Arc<Pass>,
    /// Ordered, so that mapping them records the same graph every time and plans are found again.
    by_key: BTreeMap<u64, Gradient>,
}

/// The backward pass that gradients come from: the same for whatever is made of them but for sums.
#[derive(Debug)]
pub struct Pass {
    number: u64,
    /// The optimizers that have applied them.
    by: Mutex<Vec<u64>>,
}

impl Default for Pass {
    fn default() -> Pass {
        Pass { number: next_id(), by: Mutex::default() }
    }
}

impl Pass {
    /// What tells it from every other.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the optimizer of this number has applied its gradients.
    pub fn is_applied_by(&self, optimizer: u64) -> bool {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).contains(&optimizer)
    }

    /// Notes that it has.
    pub fn applied_by(&self, optimizer: u64) {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).push(optimizer);
    }
}

#[derive(Clone, Debug)]
struct Gradient {
    value: Tensor,
    /// Of a parameter: at which version.
    version: Option<Version>,
}

impl Gradient {
    fn of(leaf: &Tensor, value: Tensor) -> Gradient {
        let version = if let Role::Variable(version) = &leaf.0.role { Some(version.clone()) } else { None };
        Gradient { value, version }
    }

    /// The sum; at the older version, which is then found out.
    fn plus(self, other: Gradient) -> Gradient {
        let older = |a: &Version, b: &Version| a.recorded() <= b.recorded();
        let version = match (self.version, other.version) {
            (Some(a), Some(b)) => Some(if older(&a, &b) { a } else { b }),
            (a, b) => a.or(b),
        };
        Gradient { value: self.value + other.value, version }
    }
}

impl Grads {
    /// None yet, to be filled with [`Grads::insert`].
    pub fn new() -> Grads {
        Grads::default()
    }

    /// The gradient with respect to a parameter or a tracked tensor, or `None` if the loss does not depend on it.
    pub fn get(&self, leaf: &impl Leaf) -> Option<&Tensor> {
        self.by_key.get(&leaf.gradient_key()).map(|g| &g.value)
    }

    /// Takes the gradient with respect to a parameter or a tracked tensor out.
    pub fn remove(&mut self, leaf: &impl Leaf) -> Option<Tensor> {
        self.by_key.remove(&leaf.gradient_key()).map(|g| g.value)
    }

    /// Gives a parameter or a tracked tensor this gradient instead of the one it has; it belongs to the current version.
    ///
    /// # Errors
    /// The error that the gradient carries; another shape than the leaf's.
    #[track_caller]
    pub fn insert(&mut self, leaf: &impl Leaf, gradient: &Tensor) -> Result<()> {
        gradient.check()?;
        let of = leaf.gradient_leaf();
        of.check()?;
        if of.shape() != gradient.shape() {
            let (lhs, rhs) = (of.shape().to_vec(), gradient.shape().to_vec());
            let problem = "differ: a gradient must be shaped as what it belongs to".to_string();
            return Err(Error::new("insert", ErrorKind::Shapes { lhs, rhs, problem }));
        }
        self.by_key.insert(leaf.gradient_key(), Gradient::of(&of, gradient.clone()));
        Ok(())
    }

    /// Gives a parameter's gradient by other means: of the same value, at the same version.
    pub fn replace(&mut self, leaf: &impl Leaf, gradient: &Tensor) {
        if let Some(known) = self.by_key.get_mut(&leaf.gradient_key()) {
            known.value = gradient.clone();
        }
    }

    /// Every gradient changed by a function, say scaled or clipped.
    pub fn map(mut self, mut f: impl FnMut(&Tensor) -> Tensor) -> Grads {
        self.by_key.values_mut().for_each(|g| g.value = f(&g.value));
        self
    }

    /// The gradients, in the order in which what they belong to was made.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.by_key.values().map(|g| &g.value)
    }

    /// The 2-norm over all of them: `√Σ g²`. Finite wherever it fits f32, though a square may not.
    ///
    /// # Shapes
    /// → `[]`, F32
    /// # Errors
    /// There are none.
    #[track_caller]
    pub fn norm(&self) -> Result<Tensor> {
        let _scope = Scope::update();
        let sums = self.iter().map(Squares::of);
        match sums.reduce(Squares::plus) {
            Some(sums) => Ok(sums.root()),
            None => Err(Error::new("norm", ErrorKind::Invalid("there are no gradients".into()))),
        }
    }

    /// Scaled down together to a norm of `max` where theirs is larger: `g · min(1, max / (‖g‖ + 1e-6))`.
    ///
    /// # Errors
    /// There are none; a `max` that is no bound.
    ///
    /// # Source
    /// Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    #[track_caller]
    pub fn clip_norm(self, max: f64) -> Result<Grads> {
        if max.is_nan() || max < 0.0 {
            return Err(Error::new("clip_norm", ErrorKind::Invalid(format!("{max} is no bound"))));
        }
        let _scope = Scope::update();
        let factor = (max / (self.norm()? + 1e-6)).minimum(1.0);
        Ok(self.map(|g| g * factor.cast(g.dtype())))
    }

    /// Computes all of them in one run (queues it on a GPU), so that they do not hold the graph that they came from.
    ///
    /// # Errors
    /// An error that one carries; what goes wrong on the device.
    #[track_caller]
    pub fn eval(&self) -> Result<()> {
        let all: Vec<Tensor> = self.iter().cloned().collect();
        crate::eval::eval(&all)
    }

    /// How many leaves have a gradient.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The backward pass that they come from.
    pub fn pass(&self) -> Arc<Pass> {
        self.pass.clone()
    }

    /// Of a parameter's gradient: at which version it was taken.
    pub(crate) fn version(&self, key: u64) -> Option<&Version> {
        self.by_key.get(&key).and_then(|g| g.version.as_ref())
    }

    fn add(&mut self, key: u64, gradient: Gradient) {
        let sum = match self.by_key.remove(&key) {
            Some(known) => known.plus(gradient),
            None => gradient,
        };
        self.by_key.insert(key, sum);
    }
}

/// Sums gradients, say of several micro batches: what only one of the two has stays as it is.
impl std::ops::Add for Grads {
    type Output = Grads;
    #[track_caller]
    fn add(mut self, other: Grads) -> Grads {
        let _scope = Scope::update();
        self.pass = Arc::default();
        other.by_key.into_iter().for_each(|(key, gradient)| Grads::add(&mut self, key, gradient));
        self
    }
}

/// A sum of squares that has a root wherever the root is a number: as it is, and scaled by `2^-160` for where that overflows.
///
/// # Source
/// Blue 1978, "A portable Fortran program to find the Euclidean norm of a vector": its sums of ordinary and of large numbers, but
/// that every number is in both, so that none is compared.
#[derive(Clone, Debug)]
pub struct Squares {
    ordinary: Tensor,
    scaled: Tensor,
}

/// What numbers are scaled by before they are squared again: where the sum of squares overflows, those that vanish by it do not count.
const SCALE: f64 = 1.0 / (1u128 << 80) as f64;

impl Squares {
    /// Of all elements of a tensor.
    #[track_caller]
    pub fn of(x: &Tensor) -> Squares {
        let x = if x.dtype().is_float() && x.dtype().size_bytes() == 2 { x.cast(DType::F32) } else { x.clone() };
        Squares { ordinary: x.square().sum(..), scaled: (x * SCALE).square().sum(..) }
    }

    /// Of both.
    #[track_caller]
    pub fn plus(self, other: Squares) -> Squares {
        Squares { ordinary: self.ordinary + other.ordinary, scaled: self.scaled + other.scaled }
    }

    /// Whether every element was finite.
    #[track_caller]
    pub fn is_finite(&self) -> Tensor {
        self.scaled.is_finite()
    }

    /// `√Σ x²`.
    #[track_caller]
    pub fn root(&self) -> Tensor {
        // Not whether it is finite: a comparison holds also where a driver takes no sum for infinite.
        let fits = self.ordinary.lt(2f64.powi(120));
        fits.where_(self.ordinary.sqrt(), self.scaled.sqrt() / SCALE)
    }
}

/// # Gradients
impl Tensor {
    /// The gradients of this scalar with respect to every tracked leaf it depends on.
    ///
    /// # Errors
    /// The error the tensor carries; more than one element; nothing tracked; an op without a gradient rule.
    #[track_caller]
    #[doc(alias = "grad")]
    pub fn backward(&self) -> Result<Grads> {
        self.check()?;
        if self.count() != 1 {
            let problem =
                "is no scalar; sum it, or give the gradient that flows into it to backward_from()".to_string();
            return Err(Error::new("backward", ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        self.backward_from(&seed(self))
    }

    /// The gradients of `Σ self · upstream`.
    ///
    /// # Errors
    /// As [`Tensor::backward`]; an upstream of another shape.
    #[track_caller]
    pub fn backward_from(&self, upstream: &Tensor) -> Result<Grads> {
        self.check()?;
        upstream.check()?;
        if upstream.shape() != self.shape() {
            let (lhs, rhs) = (self.shape().to_vec(), upstream.shape().to_vec());
            let problem = "differ: the upstream gradient must be shaped as the output".to_string();
            return Err(Error::new("backward", ErrorKind::Shapes { lhs, rhs, problem }));
        }
        if !self.is_tracked() {
            let problem = "nothing that this was computed from is tracked: call .track() on the tensors to differentiate \
                           with respect to, or put the module into training mode with .train()";
            return Err(Error::new("backward", ErrorKind::Gradient(problem.into())));
        }
        walk(&[(self, upstream)], &[])
    }
}

/// The gradients of the sum of `Σ y · upstream` over several, with respect to the leaves, and to nodes at which the walk is to stop.
#[track_caller]
pub(crate) fn walk(from: &[(&Tensor, &Tensor)], stops: &[u64]) -> Result<Grads> {
    // Ids ascend along edges, so the highest id left never gets another contribution.
    let mut open: BTreeMap<u64, (Tensor, Tensor)> = BTreeMap::new();
    let mut grads = Grads::new();
    for (y, upstream) in from {
        contribute(&mut open, y, upstream.cast(y.dtype()));
    }
    while let Some((_, (node, g))) = open.pop_last() {
        g.check()?;
        if matches!(node.0.op, Op::Leaf) || stops.contains(&node.id()) {
            grads.add(node.key(), Gradient::of(&node, g));
            continue;
        }
        if let Some(kind) = node.ended().and_then(|version| version.stale()) {
            return Err(Error::new("backward", kind));
        }
        let inputs = node.inputs();
        let _scope = Scope::backward(&node.0.origin, node.0.compute);
        let parts = match node.joint_part() {
            Some((k, results)) => {
                // All of them are older than whatever reads one of them: none gets another contribution either.
                let mut gs = vec![None; results];
                gs[k] = Some(g);
                let joined = |(id, (other, _)): (&u64, &(Tensor, Tensor))| {
                    other.joint_part().filter(|_| !stops.contains(id) && other.is_joined(&node)).map(|(k, _)| (*id, k))
                };
                let others: Vec<(u64, usize)> = open.iter().filter_map(joined).collect();
                others.into_iter().for_each(|(id, k)| gs[k] = open.remove(&id).map(|(_, g)| g));
                node.joint_vjp(&gs).unwrap_or_else(|| Ok(vec![None; inputs.len()]))
            }
            None => crate::ops::vjp(&node, &inputs, &g),
        };
        let parts =
            parts.map_err(|kind| Error::at(node.0.name(), kind, node.0.origin.location, node.0.origin.name()))?;
        for (input, part) in inputs.iter().zip(parts) {
            if let Some(part) = part.filter(|_| input.is_tracked()) {
                debug_assert!(part.check().is_err() || part.shape() == input.shape(), "vjp of {:?}", node.0.op);
                contribute(&mut open, input, part);
            }
        }
    }
    Ok(grads)
}

/// Adds to a gradient that others have contributed to; not where the caller of `backward` is, but in the scope of the walk.
fn contribute(open: &mut BTreeMap<u64, (Tensor, Tensor)>, to: &Tensor, part: Tensor) {
    match open.remove(&to.id()) {
        Some((node, sum)) => open.insert(to.id(), (node, sum + part)),
        None => open.insert(to.id(), (to.clone(), part)),
    };
}

/// The gradient of a scalar with respect to itself, made where the scalar was and not by the caller of `backward`.
fn seed(of: &Tensor) -> Tensor {
    let _scope = Scope::backward(&of.0.origin, of.0.compute);
    of.ones_like()
}
