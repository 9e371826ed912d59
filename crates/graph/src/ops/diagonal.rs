//! Triangles and diagonals of matrices, which the last two axes hold.

use thalweg_ir::{
    DType, ErrorKind,
    shape::{count, excess},
};

use crate::{
    shape::{Integer, IntoAxis},
    tensor::Tensor,
};

/// # Diagonals and triangles
impl Tensor {
    /// Column minus row at each element of a matrix, I32 `[rows, cols]`.
    #[track_caller]
    fn columns_right(&self, rows: usize, cols: usize) -> Tensor {
        Tensor::iota(self.device(), &[1, cols], 1) - Tensor::iota(self.device(), &[rows, 1], 0)
    }

    #[track_caller]
    fn triangle(&self, op: &'static str, keep: impl Fn(&Tensor) -> Tensor) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let &[.., rows, cols] = self.shape() else {
            return self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem: "is no matrix".into() });
        };
        let keep = keep(&self.columns_right(rows, cols));
        if self.dtype() == DType::Bool { keep.and(self) } else { keep.where_(self, 0.0) }
    }

    /// The lower triangle, zeros above: what has `column - row <= diagonal`.
    ///
    /// # Shapes
    /// `[.., R, C]` → the same
    /// # Errors
    /// Less than two axes.
    #[track_caller]
    pub fn tril(&self, diagonal: impl Integer) -> Tensor {
        self.triangle("tril", |right| right.le(diagonal.integer()))
    }

    /// The upper triangle, zeros below: what has `column - row >= diagonal`.
    ///
    /// # Shapes
    /// `[.., R, C]` → the same
    /// # Errors
    /// Less than two axes.
    #[track_caller]
    pub fn triu(&self, diagonal: impl Integer) -> Tensor {
        self.triangle("triu", |right| right.ge(diagonal.integer()))
    }

    /// The elements with `position along b - position along a = offset`, in a new last axis; `a` and `b` go away. None
    /// where there is no such diagonal.
    ///
    /// # Shapes
    /// `[.., R, C]` → `[.., min(R, C - offset)]` for an offset that is not negative, else `[.., min(R + offset, C)]`
    /// # Errors
    /// An axis that there is not; the same axis twice.
    #[track_caller]
    pub fn diagonal(&self, offset: impl Integer, a: impl IntoAxis, b: impl IntoAxis) -> Tensor {
        let offset = offset.integer();
        let (a, b) = match (self.axis("diagonal", a), self.axis("diagonal", b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        if a == b {
            return self.fail("diagonal", ErrorKind::Invalid(format!("axis {a} and itself make no plane")));
        }
        let x = self.movedim(&[a as isize, b as isize], &[-2, -1]);
        let lead = x.rank() - 2;
        let (rows, cols) = (x.shape()[lead], x.shape()[lead + 1]);
        let (row, col) = (if offset < 0 { offset.unsigned_abs() } else { 0 }, offset.max(0) as usize);
        let len = rows.saturating_sub(row).min(cols.saturating_sub(col));
        let square = x.strided(lead, row.min(rows), 1, len).strided(lead + 1, col.min(cols), 1, len);
        // In row-major order the next element of the diagonal is one row and one column away.
        let flat = [&x.shape()[..lead], &[len * len]].concat();
        square.reshape(flat).strided(lead, 0, len as isize + 1, len)
    }

    /// Matrices with the last axis on a diagonal and zeros elsewhere; rows and columns become axes `a` and `b` of the
    /// result.
    ///
    /// # Shapes
    /// `[.., N]` → `[.., N + |offset|, N + |offset|]` with `a = -2`, `b = -1`
    /// # Errors
    /// A scalar; axes that the result has not; the same axis twice.
    #[track_caller]
    pub fn diag_embed(&self, offset: impl Integer, a: impl IntoAxis, b: impl IntoAxis) -> Tensor {
        let offset = offset.integer();
        if self.check().is_err() {
            return self.clone();
        }
        let Some(n) = self.shape().last() else {
            let problem = "is no vector".to_string();
            return self.fail("diag_embed", ErrorKind::Shape { shape: vec![], problem });
        };
        let size = n.saturating_add(offset.unsigned_abs());
        let mut shape = self.shape().to_vec();
        shape.push(size);
        shape[self.rank() - 1] = size;
        if let Some(problem) = excess(&shape) {
            return self.fail("diag_embed", ErrorKind::Shape { shape, problem });
        }
        let x = self.pad(&[(0, (size - n) as isize)], 0.0);
        // Above the main diagonal the row counts the elements, below it the column.
        let x = if offset >= 0 { x.unsqueeze(-1) } else { x.unsqueeze(-2) };
        let on = self.columns_right(size, size).eq(offset as f64);
        let y = if self.dtype() == DType::Bool { on.and(x) } else { on.where_(x, 0.0) };
        y.movedim(&[-2, -1], &[a.into().0, b.into().0])
    }

    /// Of a vector the matrix with it on a diagonal ([`Tensor::diag_embed`]), of a matrix the vector on its diagonal
    /// ([`Tensor::diagonal`]).
    ///
    /// # Shapes
    /// `[N]` → `[N + |offset|, N + |offset|]`; `[R, C]` → `[min(R, C)]` for offset 0
    /// # Errors
    /// Neither a vector nor a matrix.
    #[track_caller]
    pub fn diag(&self, offset: impl Integer) -> Tensor {
        match self.rank() {
            1 => self.diag_embed(offset, -2, -1),
            2 => self.diagonal(offset, 0, 1),
            _ => {
                let problem = "is neither a vector nor a matrix".to_string();
                self.fail("diag", ErrorKind::Shape { shape: self.shape().to_vec(), problem })
            }
        }
    }

    /// The sum of the diagonal of a matrix, or of each of several in the last two axes.
    ///
    /// # Shapes
    /// `[.., R, C]` → `[..]`
    /// # Errors
    /// Less than two axes.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        self.diagonal(0, -2, -1).sum(-1)
    }

    /// The tensor as `[before, n, behind]` around an axis.
    #[track_caller]
    pub(crate) fn around(&self, axis: usize) -> Tensor {
        let s = self.shape();
        self.reshape([count(&s[..axis]), s[axis], count(&s[axis + 1..])])
    }
}
