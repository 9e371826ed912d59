//! Products of vectors that are no plain matrix products.

use crate::{error::ErrorKind, shape::broadcast, tensor::Tensor};

impl Tensor {
    /// `y_ij = a_i b_j`.
    ///
    /// # Shapes
    /// `[M]` and `[N]` → `[M, N]`
    /// # Errors
    /// Something that is no vector.
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if other.check().is_err() {
            return other.clone();
        }
        if self.rank() != 1 || other.rank() != 1 {
            let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
            return self.fail("outer", ErrorKind::Shapes { lhs, rhs, problem: "are not two vectors".into() });
        }
        self.unsqueeze(1) * other
    }

    /// `y_o = Σ_ij a_i W_oij b_j + bias_o`: one matrix product by `W`, and a sum over `j`.
    ///
    /// # Shapes
    /// `[.., I]` and `[.., J]`, `weight [O, I, J]`, `bias [O]` → `[.., O]`; leading axes broadcast
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn bilinear(&self, other: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        for t in [Some(self), Some(other), Some(weight), bias].into_iter().flatten() {
            if t.check().is_err() {
                return t.clone();
            }
        }
        let &[outputs, left, right] = weight.shape() else {
            let problem = "is not that of a weight [outputs, left, right]".to_string();
            return self.fail("bilinear", ErrorKind::Shape { shape: weight.shape().to_vec(), problem });
        };
        let split = |t: &Tensor| t.shape().split_last().map(|(last, lead)| (*last, lead.to_vec()));
        let lead = match (split(self), split(other)) {
            (Some((i, a)), Some((j, b))) if i == left && j == right => broadcast(&a, &b),
            _ => None,
        };
        if lead.is_none() {
            let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
            let problem = format!("do not fit [.., {left}] and [.., {right}] of the weight, with axes that broadcast");
            return self.fail("bilinear", ErrorKind::Shapes { lhs, rhs, problem });
        }
        if let Some(bias) = bias
            && bias.shape() != [outputs]
        {
            let problem = format!("is not that of a bias of {outputs} outputs");
            return self.fail("bilinear", ErrorKind::Shape { shape: bias.shape().to_vec(), problem });
        }
        let by_weight = weight.permute([1, 0, 2]).reshape([left, outputs * right]);
        let mut shape = self.shape()[..self.rank() - 1].to_vec();
        shape.extend([outputs, right]);
        let half = self.unsqueeze(0).matmul(&by_weight).reshape(shape);
        let y = (half * other.unsqueeze(-2)).sum(-1);
        bias.map_or(y.clone(), |b| y + b)
    }
}
