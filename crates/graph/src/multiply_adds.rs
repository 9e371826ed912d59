//! What a recorded computation multiplies and adds, counted over its nodes.

use std::collections::HashSet;

use thalweg_ir::{Op, Primitive};

use crate::tensor::Tensor;

/// The multiply-adds that these tensors take together, as papers count them: one for each product that a matrix product or a convolution
/// sums. Biases, norms and activations are not counted, and what several of the tensors need is counted once.
///
/// Nothing runs. What was computed before counts as well as long as its history is there, which is the case for what is tracked:
/// [`Tensor::is_tracked`].
///
/// ```ignore
/// let forward = multiply_adds([&net.forward(&x)]);
/// ```
pub fn multiply_adds<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> u64 {
    let tensors: Vec<Tensor> = tensors.into_iter().cloned().collect();
    history(&tensors).iter().map(|node| node.multiply_adds()).sum()
}

/// A node of a history with its inputs, and whether another result of the same computation stands before it.
pub(crate) struct Recorded {
    pub node: Tensor,
    pub inputs: Vec<Tensor>,
    repeated: bool,
}

impl Recorded {
    pub fn multiply_adds(&self) -> u64 {
        let shapes: Vec<&[usize]> = self.inputs.iter().map(Tensor::shape).collect();
        if self.repeated { 0 } else { self.node.0.op.multiply_adds(&shapes, self.node.shape()) }
    }
}

/// Everything that these tensors are made of, themselves included, in the order in which it was recorded.
pub(crate) fn history(tensors: &[Tensor]) -> Vec<Recorded> {
    let (mut seen, mut stack) = (HashSet::new(), tensors.to_vec());
    let mut nodes = Vec::new();
    while let Some(node) = stack.pop() {
        if seen.insert(node.id()) {
            let inputs = node.inputs();
            stack.extend(inputs.iter().cloned());
            nodes.push(Recorded { node, inputs, repeated: false });
        }
    }
    nodes.sort_unstable_by_key(|recorded| recorded.node.id());
    let mut computed: HashSet<(Primitive, Vec<u64>)> = HashSet::new();
    for Recorded { node, inputs, repeated } in &mut nodes {
        if let Op::Part(primitive, _) = &node.0.op {
            *repeated = !computed.insert((primitive.clone(), inputs.iter().map(Tensor::id).collect()));
        }
    }
    nodes
}
