//! How a node is differentiated, where that is not the way of its op.

use std::panic::Location;

use thalweg_ir::{ErrorKind, Op};

use crate::tensor::{Rule, Tensor};

/// What a caller's rule gives: one gradient for each input, shaped as it is, in its dtype.
pub(crate) fn fitted(
    name: &str,
    mut grads: Vec<Option<Tensor>>,
    inputs: &[Tensor],
) -> Result<Vec<Option<Tensor>>, ErrorKind> {
    if grads.len() != inputs.len() {
        let problem = format!("'{name}' has {} inputs, and its rule gives {} gradients", inputs.len(), grads.len());
        return Err(ErrorKind::Gradient(problem));
    }
    for (i, (slot, input)) in grads.iter_mut().zip(inputs).enumerate() {
        let Some(grad) = slot.as_ref().filter(|grad| grad.check().is_ok() && input.is_tracked()) else { continue };
        if grad.shape() != input.shape() {
            let (got, want) = (grad.shape(), input.shape());
            let problem = format!("the rule of '{name}' gives input {i} of shape {want:?} a gradient of shape {got:?}");
            return Err(ErrorKind::Gradient(problem));
        }
        if !grad.dtype().is_float() {
            let (got, want) = (grad.dtype(), input.dtype());
            let problem = format!("the rule of '{name}' gives input {i} of dtype {want} a gradient of dtype {got}");
            return Err(ErrorKind::Gradient(problem));
        }
        *slot = Some(grad.cast(input.dtype()));
    }
    Ok(grads)
}

/// # Gradient rules of your own
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
    /// The error that an input carries; in `backward`, another number of gradients than of inputs, or one of another
    /// shape, or of integers.
    ///
    /// # Source
    /// JAX's `custom_vjp`. Bengio et al. 2013, arXiv:1308.3432 (straight-through); Ganin & Lempitsky 2015, arXiv:1409.7495 (reversal).
    #[track_caller]
    #[doc(alias("custom_vjp", "Function", "straight_through"))]
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
            let grads = fitted(NAME, vjp(&all[1..], y, g), &all[1..])?;
            Ok(std::iter::once(None).chain(grads).collect())
        });
        let (shape, dtype, device) = (self.shape().to_vec(), self.dtype(), self.device());
        let all = std::iter::once(value).chain(inputs.iter().map(|x| (*x).clone())).collect();
        Tensor::ruled(Op::Detach, all, shape, dtype, device, rule, Location::caller())
    }
}
