//! 16-bit floats are computed with in F32, and what comes out is rounded once.
//!
//! A function composed of several ops rounds at each of them if they run one by one, and at none of them where they are fused;
//! and what it computes on the way (a sum, a square) may overflow where its result does not. So such a function widens its
//! input first and casts its result.

use thalweg_ir::{DType, ErrorKind};

use crate::tensor::Tensor;

impl Tensor {
    /// In F32 at least.
    #[track_caller]
    pub(crate) fn wide(&self) -> Tensor {
        self.cast(self.dtype().promote(DType::F32))
    }

    /// 16-bit floats in F32, everything else as it is.
    #[track_caller]
    pub(crate) fn widened(&self) -> Tensor {
        self.cast(self.dtype().wide())
    }

    /// Floats in F32 at least; or the tensor that carries why this has none.
    #[track_caller]
    pub(crate) fn wide_floats(&self, op: &'static str) -> Result<Tensor, Tensor> {
        self.check().map_err(|_| self.clone())?;
        match self.dtype().is_float() {
            true => Ok(self.wide()),
            false => {
                let problem = "is not what this is for; cast to a float first".to_string();
                Err(self.fail(op, ErrorKind::DType { got: self.dtype(), problem }))
            }
        }
    }
}
