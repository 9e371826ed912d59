//! Reverse-mode differentiation, from graph to graph: gradients are lazy tensors, and have gradients of their own.

use std::collections::BTreeMap;

use crate::{
    error::{Error, ErrorKind, Result},
    module::Module,
    op::Op,
    tensor::Tensor,
};

/// Gradients, by the leaf they belong to.
#[derive(Clone, Debug, Default)]
pub struct Grads {
    /// Ordered, so that mapping them records the same graph every time and plans are found again.
    by_leaf: BTreeMap<u64, Tensor>,
}

impl Grads {
    /// The gradient with respect to a tracked leaf, or `None` if the loss does not depend on it.
    pub fn get(&self, leaf: &Tensor) -> Option<&Tensor> {
        self.by_leaf.get(&leaf.id())
    }

    /// Takes the gradient with respect to a tracked leaf out.
    pub fn remove(&mut self, leaf: &Tensor) -> Option<Tensor> {
        self.by_leaf.remove(&leaf.id())
    }

    /// Every gradient changed by a function, say scaled or clipped.
    pub fn map(mut self, f: impl Fn(&Tensor) -> Tensor) -> Grads {
        self.by_leaf.values_mut().for_each(|g| *g = f(g));
        self
    }

    /// The parameters of a module that have no gradient: frozen ones, and those the loss does not depend on, which is mostly a
    /// mistake.
    pub fn missing(&self, module: &dyn Module) -> Vec<String> {
        let params = module.params().into_iter();
        params.filter(|(_, p)| self.get(&p.tensor()).is_none()).map(|(name, _)| name).collect()
    }

    /// How many leaves have a gradient.
    pub fn len(&self) -> usize {
        self.by_leaf.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_leaf.is_empty()
    }
}

impl Tensor {
    /// The gradients of this scalar with respect to every tracked leaf it depends on.
    ///
    /// # Errors
    /// The error the tensor carries; more than one element; nothing tracked; an op without a gradient rule.
    #[track_caller]
    pub fn backward(&self) -> Result<Grads> {
        self.check()?;
        if self.count() != 1 {
            let problem =
                "is no scalar; sum it, or give the gradient that flows into it to backward_from()".to_string();
            return Err(Error::new("backward", ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        self.backward_from(&self.ones_like())
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
        self.walk(upstream, &[])
    }

    /// The gradients of `Σ self · upstream` with respect to the leaves, and to nodes at which the walk is to stop.
    #[track_caller]
    pub(crate) fn walk(&self, upstream: &Tensor, stops: &[u64]) -> Result<Grads> {
        // Ids ascend along edges, so the highest id left never gets another contribution.
        let mut open: BTreeMap<u64, (Tensor, Tensor)> = BTreeMap::new();
        let mut grads = Grads::default();
        open.insert(self.id(), (self.clone(), upstream.cast(self.dtype())));
        while let Some((_, (node, g))) = open.pop_last() {
            g.check()?;
            if matches!(node.0.op, Op::Leaf) || stops.contains(&node.id()) {
                grads.by_leaf.insert(node.id(), g);
                continue;
            }
            let inputs = node.inputs();
            let parts = crate::ops::vjp(&node, &inputs, &g).map_err(|kind| {
                Error::at(node.0.op.name(), kind, node.0.origin.location, node.0.origin.path.clone())
            })?;
            for (input, part) in inputs.iter().zip(parts) {
                let Some(part) = part.filter(|_| input.is_tracked()) else { continue };
                debug_assert!(part.check().is_err() || part.shape() == input.shape(), "vjp of {:?}", node.0.op);
                match open.remove(&input.id()) {
                    Some((leaf, sum)) => open.insert(input.id(), (leaf, sum + part)),
                    None => open.insert(input.id(), (input.clone(), part)),
                };
            }
        }
        Ok(grads)
    }
}
