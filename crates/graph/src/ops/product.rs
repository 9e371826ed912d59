//! Products of vectors that are no plain matrix products.

use thalweg_ir::{ErrorKind, shape::broadcast};

use crate::tensor::Tensor;

/// # Products of vectors
impl Tensor {
    /// `Σ_i a_i b_i`.
    ///
    /// # Shapes
    /// `[N]` and `[N]` → `[]`
    /// # Errors
    /// Something that is no vector; two lengths; dtypes as in [`Tensor::matmul`].
    #[track_caller]
    #[doc(alias("inner", "vdot"))]
    pub fn dot(&self, other: &Tensor) -> Tensor {
        match self.two_vectors("dot", other) {
            Ok(()) if self.count() != other.count() => {
                let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
                self.fail("dot", ErrorKind::Shapes { lhs, rhs, problem: "are not of one length".into() })
            }
            Ok(()) => self.matmul(other),
            Err(failed) => failed,
        }
    }

    /// `y_ij = a_i b_j`.
    ///
    /// # Shapes
    /// `[M]` and `[N]` → `[M, N]`
    /// # Errors
    /// Something that is no vector.
    #[track_caller]
    #[doc(alias = "ger")]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        self.two_vectors("outer", other).map_or_else(|failed| failed, |()| self.unsqueeze(1) * other)
    }

    #[track_caller]
    fn two_vectors(&self, op: &'static str, other: &Tensor) -> Result<(), Tensor> {
        self.check().map_err(|_| self.clone())?;
        other.check().map_err(|_| other.clone())?;
        if self.rank() != 1 || other.rank() != 1 {
            let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem: "are not two vectors".into() }));
        }
        Ok(())
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
        let dtype = half.dtype().promote(other.dtype());
        let y = (half.cast(dtype.wide()) * other.unsqueeze(-2)).sum(-1);
        bias.map_or(y.clone(), |b| y + b).cast(bias.map_or(dtype, |b| dtype.promote(b.dtype())))
    }
}
