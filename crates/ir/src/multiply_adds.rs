//! Multiply-adds, as papers count them to compare models: the products that contractions sum. What is done element by element is not
//! counted, nor are biases, norms and activations.

use crate::{
    fragment::Fragment,
    op::{Op, primitive::Primitive},
    shape::count,
};

impl Op {
    /// The products that a node of this op sums, of inputs and a result of these shapes.
    ///
    /// ```text
    /// Matmul      [.., M, K] × [.., K, N] → [.., M, N]           every result sums K products
    /// Conv        x, w [O, C/g, K..] → y [B, O, S..]             every y sums C/g · ΠK
    /// ConvInput   dy [B, O, S..], w [O, C/g, K..] → dx           every dy is a factor of C/g · ΠK
    /// ConvWeight  x, dy [B, O, S..] → dw [O, C/g, K..]           every dy is a factor of C/g · ΠK
    /// Scan        so many times those of its step
    /// ```
    ///
    /// A user's own op is not known to have any.
    pub fn multiply_adds(&self, inputs: &[&[usize]], output: &[usize]) -> u64 {
        let (summed, terms): (&[usize], &[usize]) = match (self, inputs) {
            (Op::Matmul, [lhs, _]) => (output, lhs.last().map_or(&[], std::slice::from_ref)),
            (Op::Conv(_), [_, w]) => (output, w.get(1..).unwrap_or_default()),
            (Op::ConvInput(_), [dy, w]) => (dy, w.get(1..).unwrap_or_default()),
            (Op::ConvWeight(_), [_, dy]) => (dy, output.get(1..).unwrap_or_default()),
            (Op::Part(of, _), _) if let Primitive::Scan(scan) = &**of => {
                let step = scan.step.program().map_or(0, Fragment::multiply_adds);
                return step.saturating_mul(scan.steps as u64);
            }
            _ => return 0,
        };
        (count(summed) as u64).saturating_mul(count(terms) as u64)
    }
}

impl Fragment {
    /// Those of all of its nodes.
    fn multiply_adds(&self) -> u64 {
        let nodes = self.nodes.iter().enumerate();
        // All results of a primitive are computed at once.
        let first = |(i, node): &(usize, &crate::Node)| !self.nodes[..*i].iter().any(|other| other.is_sibling(node));
        let of = |(_, node): (usize, &crate::Node)| {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|input| self.nodes[*input].shape.as_slice()).collect();
            node.op.multiply_adds(&inputs, &node.shape)
        };
        nodes.filter(first).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Conv, ReduceOp, Window};

    #[test]
    fn contractions_count_their_products_and_nothing_else_does() {
        let window = Window { kernel: vec![3, 5], stride: vec![2, 1], dilation: vec![1; 2], pad: vec![1, 0] };
        let conv = || Box::new(Conv { window: window.clone(), groups: 2 });
        let (x, w, y): (&[usize], &[usize], &[usize]) = (&[2, 4, 9, 9], &[6, 2, 3, 5], &[2, 6, 5, 5]);
        // 300 results of 30 products each, whichever of the three is not there yet.
        assert_eq!(Op::Conv(conv()).multiply_adds(&[x, w], y), 9000);
        assert_eq!(Op::ConvInput(conv()).multiply_adds(&[y, w], x), 9000);
        assert_eq!(Op::ConvWeight(conv()).multiply_adds(&[x, y], w), 9000);
        assert_eq!(Op::Matmul.multiply_adds(&[&[7, 2, 3], &[3, 5]], &[7, 2, 5]), 210);
        assert_eq!(Op::Matmul.multiply_adds(&[&[2, 0], &[0, 5]], &[2, 5]), 0);
        assert_eq!(Op::Reduce(ReduceOp::Sum, vec![0]).multiply_adds(&[&[7, 2]], &[1, 2]), 0);
        assert_eq!(Op::Cast.multiply_adds(&[&[7]], &[7]), 0);
    }
}
