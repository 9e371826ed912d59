//! How a node is differentiated, where that is not the way of its op.

use std::panic::Location;

use thalweg_ir::{ErrorKind, Op};

use crate::tensor::{Rule, Tensor};

/// One gradient for each input, shaped as it is.
pub(crate) fn check(name: &str, grads: &[Option<Tensor>], inputs: &[Tensor]) -> Result<(), ErrorKind> {
    if grads.len() != inputs.len() {
        let problem = format!("'{name}' has {} inputs, and its rule gives {} gradients", inputs.len(), grads.len());
        return Err(ErrorKind::Gradient(problem));
    }
    for (i, (grad, input)) in grads.iter().zip(inputs).enumerate() {
        if let Some(grad) = grad.as_ref().filter(|g| g.check().is_ok() && g.shape() != input.shape()) {
            let (got, want) = (grad.shape(), input.shape());
            let problem = format!("the rule of '{name}' gives input {i} of shape {want:?} a gradient of shape {got:?}");
            return Err(ErrorKind::Gradient(problem));
        }
    }
    Ok(())
}

impl Tensor {
    /// The same value with another gradient: what flows into it goes to `inputs` as `vjp(inputs, y, g)` says, and nowhere else. `y` is
    /// the result, `g` its gradient; `None` for an input through which none passes. The gradients are tensor ops, and so have gradients
    /// of their own.
    ///
    /// A straight-through estimator rounds, and lets gradients pass as if it did not:
    ///
    /// ```ignore
    /// let y = x.round().with_gradient(&[&x], |_, _, g| vec![Some(g.clone())]);
    /// ```
    ///
    /// Gradient reversal is `x.with_gradient(&[&x], |_, _, g| vec![Some(-g)])`.
    ///
    /// # Errors
    /// The error that an input carries; in `backward`, another number of gradients than of inputs, or one of another shape.
    ///
    /// # Source
    /// JAX's `custom_vjp`. Bengio et al. 2013, arXiv:1308.3432 (straight-through); Ganin & Lempitsky 2015, arXiv:1409.7495 (reversal).
    #[track_caller]
    pub fn with_gradient(
        &self,
        inputs: &[&Tensor],
        vjp: impl Fn(&[Tensor], &Tensor, &Tensor) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    ) -> Tensor {
        const NAME: &str = "with_gradient";
        let value = self.detach();
        if value.check().is_err() || inputs.iter().all(|x| x.check().is_ok() && !x.is_tracked()) {
            return value;
        }
        let rule = Rule::new(NAME, move |all, y, g| {
            let grads = vjp(&all[1..], y, g);
            check(NAME, &grads, &all[1..])?;
            Ok(std::iter::once(None).chain(grads).collect())
        });
        let (shape, dtype, device) = (self.shape().to_vec(), self.dtype(), self.device());
        let all = std::iter::once(value).chain(inputs.iter().map(|x| (*x).clone())).collect();
        Tensor::ruled(Op::Detach, all, shape, dtype, device, rule, Location::caller())
    }
}
