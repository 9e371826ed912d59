//! Small linear algebra for training: Cholesky, QR, triangular solves, symmetric eigenvalues, singular values.
//!
//! These run on the host, at once, in f64: a call waits for the device, reads the matrices, and uploads the result in their
//! dtype. That suits the preconditioners and checks of a training run, not its inner loop; for that there are the products of
//! `thalweg-graph`, and its `orthogonalise`. None has a gradient: a tracked input is an error, so that no gradient is cut
//! without a word. Leading axes are a batch of matrices.
//!
//! ```
//! use thalweg_device::DeviceExt;
//! use thalweg_graph::{Device, Tensor};
//! use thalweg_linalg::{Linalg, Triangle};
//!
//! # fn main() -> thalweg_graph::Result<()> {
//! let device = Device::cpu()?;
//! let a = Tensor::from_slice(&device, &[4.0f32, 2.0, 2.0, 5.0], [2, 2]);
//! let l = a.cholesky()?;
//! assert_eq!(l.to_vec::<f32>()?, [2.0, 0.0, 1.0, 2.0]);
//! // a x = b by two triangular solves.
//! let b = Tensor::from_slice(&device, &[2.0f32, 9.0], [2, 1]);
//! let x = l.t().solve_triangular(&l.solve_triangular(&b, Triangle::Lower)?, Triangle::Upper)?;
//! assert_eq!(x.to_vec::<f32>()?, [-0.5, 2.0]);
//! # Ok(())
//! # }
//! ```

mod batch;

use faer::{Mat, Side};
use thalweg_graph::{Error, ErrorKind, Result, Tensor};

use batch::Batch;

/// Which part of a matrix a triangular solve reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The diagonal and what is below it.
    Lower,
    /// The diagonal and what is above it.
    Upper,
    /// What is below the diagonal, which counts as ones.
    UnitLower,
    /// What is above the diagonal, which counts as ones.
    UnitUpper,
}

/// `A = U diag(s) Vᵀ` with orthonormal columns in U and V.
#[derive(Clone, Debug)]
pub struct Svd {
    /// U: `[.., m, k]` with `k = min(m, n)`.
    pub u: Tensor,
    /// The singular values, descending: `[.., k]`.
    pub s: Tensor,
    /// `Vᵀ`: `[.., k, n]`.
    pub vt: Tensor,
}

/// Decompositions of a tensor's last two axes, through the crate `faer`.
///
/// All fail on a tensor that is tracked, of integers, of less than two axes, or with elements that are not finite.
pub trait Linalg {
    /// `A = L Lᵀ` with L lower triangular and a positive diagonal. The part of A above the diagonal is not read.
    ///
    /// # Shapes
    /// `[.., n, n]` → the same
    /// # Errors
    /// A matrix that is not square or not positive definite.
    fn cholesky(&self) -> Result<Tensor>;

    /// `A = Q R` with orthonormal columns in Q, and R upper triangular with a diagonal that is not negative.
    ///
    /// # Shapes
    /// `[.., m, n]` → `[.., m, k]` and `[.., k, n]` with `k = min(m, n)`
    /// # Errors
    /// As above.
    fn qr(&self) -> Result<(Tensor, Tensor)>;

    /// X with `A X = B` for a triangular A.
    ///
    /// # Shapes
    /// `[.., n, n]`, `b [.., n, k]` with equal leading axes → `[.., n, k]`
    /// # Errors
    /// Shapes that do not fit; a zero on the diagonal.
    fn solve_triangular(&self, b: &Tensor, triangle: Triangle) -> Result<Tensor>;

    /// `A = V diag(w) Vᵀ` of a symmetric A, eigenvalues ascending and eigenvectors in the columns of V. The part of A above
    /// the diagonal is not read.
    ///
    /// # Shapes
    /// `[.., n, n]` → `[.., n]` and `[.., n, n]`
    /// # Errors
    /// A matrix that is not square; an iteration that does not converge.
    fn eigh(&self) -> Result<(Tensor, Tensor)>;

    /// The singular values and vectors, as many as the shorter axis has elements.
    ///
    /// # Shapes
    /// `[.., m, n]`; see [`Svd`].
    /// # Errors
    /// An iteration that does not converge.
    fn svd(&self) -> Result<Svd>;
}

#[track_caller]
fn fails(op: &'static str, problem: String) -> Error {
    Error::new(op, ErrorKind::Invalid(problem))
}

impl Linalg for Tensor {
    #[track_caller]
    fn cholesky(&self) -> Result<Tensor> {
        let a = Batch::square("cholesky", self)?;
        let mut l = Vec::with_capacity(a.data.len());
        for i in 0..a.count {
            let Ok(llt) = a.matrix(i).llt(Side::Lower) else {
                return Err(fails("cholesky", format!("matrix {i} is not positive definite")));
            };
            push(&mut l, a.rows, a.cols, |r, c| if c <= r { llt.L()[(r, c)] } else { 0.0 });
        }
        a.give(l, &[a.rows, a.cols])
    }

    #[track_caller]
    fn qr(&self) -> Result<(Tensor, Tensor)> {
        let a = Batch::of("qr", self)?;
        let k = a.rows.min(a.cols);
        let (mut qs, mut rs) = (Vec::new(), Vec::new());
        for i in 0..a.count {
            let qr = a.matrix(i).qr();
            let (q, r) = (qr.compute_thin_Q(), qr.thin_R());
            // Reflections leave either sign on the diagonal.
            let sign: Vec<f64> = (0..k).map(|d| if r[(d, d)] < 0.0 { -1.0 } else { 1.0 }).collect();
            push(&mut qs, a.rows, k, |row, c| q[(row, c)] * sign[c]);
            push(&mut rs, k, a.cols, |row, c| if c < row { 0.0 } else { r[(row, c)] * sign[row] });
        }
        Ok((a.give(qs, &[a.rows, k])?, a.give(rs, &[k, a.cols])?))
    }

    #[track_caller]
    fn solve_triangular(&self, b: &Tensor, triangle: Triangle) -> Result<Tensor> {
        let op = "solve_triangular";
        let (a, b) = (Batch::square(op, self)?, Batch::of(op, b)?);
        if a.lead != b.lead || a.rows != b.rows {
            let (lhs, rhs) = (a.shape(), b.shape());
            let problem = "are not [.., n, n] and [.., n, k]".to_string();
            return Err(Error::new(op, ErrorKind::Shapes { lhs, rhs, problem }));
        }
        let unit = matches!(triangle, Triangle::UnitLower | Triangle::UnitUpper);
        let mut xs = Vec::with_capacity(b.data.len());
        for i in 0..a.count {
            let (a, mut x): (_, Mat<f64>) = (a.matrix(i), b.matrix(i).to_owned());
            if let Some(d) = (0..a.nrows()).find(|d| !unit && a[(*d, *d)] == 0.0) {
                return Err(fails(op, format!("matrix {i} has a zero on its diagonal, at {d}")));
            }
            match triangle {
                Triangle::Lower => a.solve_lower_triangular_in_place(x.as_mut()),
                Triangle::Upper => a.solve_upper_triangular_in_place(x.as_mut()),
                Triangle::UnitLower => a.solve_unit_lower_triangular_in_place(x.as_mut()),
                Triangle::UnitUpper => a.solve_unit_upper_triangular_in_place(x.as_mut()),
            }
            push(&mut xs, b.rows, b.cols, |r, c| x[(r, c)]);
        }
        b.give(xs, &[b.rows, b.cols])
    }

    #[track_caller]
    fn eigh(&self) -> Result<(Tensor, Tensor)> {
        let a = Batch::square("eigh", self)?;
        let (mut values, mut vectors) = (Vec::new(), Vec::new());
        for i in 0..a.count {
            let Ok(eigen) = a.matrix(i).self_adjoint_eigen(Side::Lower) else {
                return Err(fails("eigh", format!("the iteration does not converge for matrix {i}")));
            };
            let (w, v) = (eigen.S().column_vector(), eigen.U());
            values.extend((0..a.rows).map(|j| w[j]));
            push(&mut vectors, a.rows, a.rows, |r, c| v[(r, c)]);
        }
        Ok((a.give(values, &[a.rows])?, a.give(vectors, &[a.rows, a.rows])?))
    }

    #[track_caller]
    fn svd(&self) -> Result<Svd> {
        let a = Batch::of("svd", self)?;
        let k = a.rows.min(a.cols);
        let (mut us, mut ss, mut vts) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..a.count {
            let Ok(svd) = a.matrix(i).thin_svd() else {
                return Err(fails("svd", format!("the iteration does not converge for matrix {i}")));
            };
            let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
            push(&mut us, a.rows, k, |r, c| u[(r, c)]);
            ss.extend((0..k).map(|j| s[j]));
            push(&mut vts, k, a.cols, |r, c| v[(c, r)]);
        }
        Ok(Svd { u: a.give(us, &[a.rows, k])?, s: a.give(ss, &[k])?, vt: a.give(vts, &[k, a.cols])? })
    }
}

/// A matrix, row by row.
fn push(out: &mut Vec<f64>, rows: usize, cols: usize, element: impl Fn(usize, usize) -> f64) {
    out.extend((0..rows * cols).map(|i| element(i / cols, i % cols)));
}
