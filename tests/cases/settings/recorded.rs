use thalweg::prelude::*;
use thalweg_graph::{checkpoint, module::Arena};

use crate::{Case, cases::floats};

/// What is no function of its own: a part that is computed twice, gradients that are packed, and gradients of gradients.
pub fn recorded() -> Vec<Case> {
    vec![
        Case::new("checkpoint", vec![floats(&[3, 4]), floats(&[4])], |x| {
            let inner = checkpoint(&[&x[0], &x[1]], |x| (&x[0] * &x[1]).tanh().softmax(1));
            checkpoint(&[&inner], |x| x[0].exp().sum(0)) * &x[1]
        }),
        Case::new("with_gradient", vec![floats(&[3, 4]), floats(&[4])], |x| {
            let product = &x[0].detach() * &x[1].detach();
            let of_product =
                |x: &[Tensor], y: &Tensor, g: &Tensor| vec![Some(g * &x[1] + y * 0.0), Some((g * &x[0]).sum(0))];
            product.with_gradient(&[&x[0], &x[1]], of_product).tanh()
        }),
        Case::new("a gradient", vec![floats(&[3]), floats(&[3])], |x| {
            let grads = (x[0].sin() * x[1].exp()).sum(..).backward().unwrap_or_else(|e| panic!("{e}"));
            grads.get(&x[0]).map(Tensor::square).unwrap_or_else(|| x[0].clone())
        }),
        Case::new("gradients in one vector", vec![floats(&[2, 3])], |x| {
            packed(&x[0]).unwrap_or_else(|e| panic!("{e}"))
        }),
    ]
}

#[derive(Module)]
struct Net {
    a: Param,
    b: Param,
}

/// The gradients of two parameters, as an optimizer sees them: a function of the data.
fn packed(x: &Tensor) -> Result<Tensor> {
    let of = |value: &Tensor| Param::new(value.detach().cast(x.dtype()));
    let ones = Tensor::ones(x.device(), [3]);
    let net = Net { a: of(&(&ones * 0.5))?, b: of(&ones.slice(0, ..1))? };
    let arena = Arena::pack(net.params())?;
    let y = ((x * net.a.tensor()).tanh() * net.b.tensor()).sum(1).square().sum(..);
    let grads = y.backward()?;
    let parts = arena.params().iter().map(|p| grads.get(p).cloned().unwrap_or_else(|| p.tensor().zeros_like()));
    Ok(arena.layout().join(parts.collect(), arena.dtype()))
}
