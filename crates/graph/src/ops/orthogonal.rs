//! Orthogonal matrices near given ones, by products alone.

use super::vector_norm::root;
use thalweg_ir::ErrorKind;

use crate::tensor::Tensor;

/// The most steps: each is recorded, and a few dozen converge to the last bit.
const MAX_STEPS: usize = 1000;

/// How [`Tensor::orthogonalise`] iterates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz {
    /// How many times the polynomial is applied.
    pub steps: usize,
    /// a, b and c of `p(σ) = a σ + b σ³ + c σ⁵`.
    pub coefficients: [f64; 3],
    /// The least norm that the matrix is divided by.
    pub eps: f64,
}

impl Default for NewtonSchulz {
    /// Five steps with the coefficients of Muon, which are steep at 0: singular values come into 0.7 to 1.2 or so, from
    /// as little as a thousandth of the norm, but not to 1.
    fn default() -> NewtonSchulz {
        NewtonSchulz { steps: 5, coefficients: [3.4445, -4.7750, 2.0315], eps: 1e-7 }
    }
}

impl NewtonSchulz {
    /// The coefficients with which singular values converge to 1, `(15 σ - 10 σ³ + 3 σ⁵) / 8`, in this many steps: the error
    /// shrinks cubically once it is small, and small singular values grow by 15/8 a step before that.
    pub fn exact(steps: usize) -> NewtonSchulz {
        NewtonSchulz { steps, coefficients: [1.875, -1.25, 0.375], ..NewtonSchulz::default() }
    }
}

/// # Orthogonal matrices
impl Tensor {
    /// About `U Vᵀ` of `X = U S Vᵀ`, the nearest matrix with orthonormal rows or columns, whichever are fewer. With
    /// `X ← X / ‖X‖`, the norm over all elements of a matrix, `X ← a X + (b A + c A²) X` with `A = X Xᵀ` some times.
    ///
    /// Each step is three products on the device; all singular values go through the polynomial at once.
    ///
    /// # Shapes
    /// `[.., m, n]` → the same, matrix by matrix
    /// # Errors
    /// Less than two axes; integers.
    /// # Source
    /// Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the iteration is that of Björck and Bowie
    /// 1971, "An iterative algorithm for computing the best estimate of an orthogonal matrix".
    #[track_caller]
    #[doc(alias("orthogonalize", "newton_schulz"))]
    pub fn orthogonalise(&self, how: &NewtonSchulz) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if !self.dtype().is_float() {
            let problem = "has no orthogonal matrices; cast to a float first".to_string();
            return self.fail("orthogonalise", ErrorKind::DType { got: self.dtype(), problem });
        }
        if how.steps > MAX_STEPS {
            let kind = ErrorKind::Invalid(format!("{} steps, more than {MAX_STEPS}", how.steps));
            return self.fail("orthogonalise", kind);
        }
        let &[.., m, n] = self.shape() else {
            let problem = "is no matrix".to_string();
            return self.fail("orthogonalise", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        };
        if self.count() == 0 {
            return self.clone();
        }
        // Wide matrices have the smaller products.
        let x = if m > n { self.wide().t() } else { self.wide() };
        let norm = root(&x.square().sum_keepdim([-2, -1]), 2.0);
        let [a, b, c] = how.coefficients;
        let start = &x / norm.clamp_min(how.eps);
        let y = (0..how.steps).fold(start, |x, _| {
            let gram = x.matmul(&x.t());
            &x * a + (&gram * b + gram.matmul(&gram) * c).matmul(&x)
        });
        if m > n { y.t().cast(self.dtype()) } else { y.cast(self.dtype()) }
    }
}
