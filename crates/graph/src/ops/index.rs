//! Reading and adding at positions that are data.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{DType, ErrorKind, Op, ReduceOp};

use crate::{
    shape::IntoAxis,
    tensor::{Rule, Tensor},
};

/// # Positions that are data
impl Tensor {
    #[track_caller]
    pub(crate) fn index_of(&self, op: &'static str, index: &Tensor) -> Result<Tensor, Tensor> {
        self.check().map_err(|_| self.clone())?;
        index.check().map_err(|_| index.clone())?;
        match index.dtype() {
            DType::I32 | DType::U32 => Ok(index.cast(DType::I32)),
            got => Err(self.fail(op, ErrorKind::DType { got, problem: "is no index; use i32".into() })),
        }
    }

    /// These positions, after a gather has looked at each: one outside `extent` is reported as a gather's would be.
    #[track_caller]
    pub(crate) fn checked_index(&self, op: &'static str, extent: usize) -> Result<Tensor, Tensor> {
        let index = self.index_of(op, self)?;
        if index.count() == 0 {
            return Ok(index);
        }
        if extent == 0 {
            let problem = "has positions in an axis that has none".to_string();
            return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        let all = Tensor::arange(self.device(), extent);
        Ok(all.gather_of(op, 0, &index.reshape([index.count()])).reshape(index.shape()))
    }

    /// A factor for what depends on these positions of an axis without being read there: 1 for each that is one of `extent`, else
    /// not a number, so that no loss that it enters is one. A position outside is an error of `method`, as it is of
    /// [`Tensor::gather`].
    ///
    /// # Shapes
    /// `[..]` → the same, F32
    /// # Errors
    /// Not I32 or U32.
    #[track_caller]
    pub fn sound_positions(&self, method: &'static str, axis: usize, extent: usize) -> Tensor {
        let index = match self.index_of(method, self) {
            Ok(index) => index,
            Err(failed) => return failed,
        };
        // The table has as many axes as the error is to count.
        let mut shape = vec![1; axis];
        shape.push(extent);
        let ones = Tensor::full(self.device(), 1.0, &shape[..], DType::F32);
        shape[axis] = self.count();
        ones.gather_of(method, axis, &index.reshape(&shape[..])).reshape(self.shape())
    }

    /// Values for these positions, not a number where a position is none.
    #[track_caller]
    pub(crate) fn values_at(&self, op: &'static str, axis: usize, index: &Tensor, extent: usize) -> Tensor {
        match self.dtype().is_float() && index.count() > 0 && extent > 0 {
            true => self * index.sound_positions(op, axis, extent).cast(self.dtype()),
            false => self.clone(),
        }
    }

    /// The same, where negative positions count from the back.
    #[track_caller]
    pub(crate) fn wrapped_index(&self, op: &'static str, extent: usize) -> Result<Tensor, Tensor> {
        let index = self.index_of(op, self)?;
        index.lt(0.0).where_(&index + extent as f64, &index).checked_index(op, extent)
    }

    /// `y[i.., j, k..] = x[i.., index[i.., j, k..], k..]` along the axis. The gradient of an element is the sum over all
    /// that read it.
    ///
    /// A position outside is an error that names it, of the call that computes on a CPU, of the next that reads on a GPU. What it
    /// reads on a GPU is not a number, so that a loss that depends on it is none and its step is skipped; of integers it is the
    /// nearest element. It gets no gradient. So it is wherever positions are data.
    ///
    /// # Shapes
    /// `[.., N, ..]`, an index `[.., J, ..]` of as many axes, which off the axis may be shorter → shaped as the index
    /// # Errors
    /// An axis that there is not; shapes that do not fit; an index that is not I32 or U32.
    #[track_caller]
    pub fn gather(&self, axis: impl IntoAxis, index: &Tensor) -> Tensor {
        self.gather_of("gather", axis, index)
    }

    /// As [`Tensor::gather`], for a method of this name.
    #[track_caller]
    pub(crate) fn gather_of(&self, method: &'static str, axis: impl IntoAxis, index: &Tensor) -> Tensor {
        let (index, axis) = match (self.index_of(method, index), self.axis(method, axis)) {
            (Ok(index), Ok(axis)) => (index, axis),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        let fits =
            index.rank() == self.rank() && (0..self.rank()).all(|d| d == axis || index.shape()[d] <= self.shape()[d]);
        if !fits {
            let (lhs, rhs) = (self.shape().to_vec(), index.shape().to_vec());
            let problem = format!("do not fit: the index may be longer at axis {axis} only");
            return self.fail(method, ErrorKind::Shapes { lhs, rhs, problem });
        }
        let x = (0..self.rank()).filter(|d| *d != axis).fold(self.clone(), |x, d| x.strided(d, 0, 1, index.shape()[d]));
        let (shape, rule) = (index.0.shape.clone(), Rule::named(method));
        Tensor::ruled(
            Op::Gather(axis),
            smallvec![x, index],
            shape,
            self.dtype(),
            self.device(),
            rule,
            Location::caller(),
        )
    }

    /// This plus every `src[i.., j, k..]` at `[i.., index[i.., j, k..], k..]`. Equal positions are added in ascending order
    /// of `j`, so the result does not depend on the device's threads.
    ///
    /// # Shapes
    /// `[.., N, ..]`, an index `[.., J, ..]` of as many axes, which off the axis may be shorter; `src` as the index, or
    /// longer → as this tensor
    /// # Errors
    /// As [`Tensor::gather`]; an index into an axis without elements.
    #[track_caller]
    pub fn scatter_add(&self, axis: impl IntoAxis, index: &Tensor, src: &Tensor) -> Tensor {
        let (index, axis) = match (self.index_of("scatter_add", index), self.axis("scatter_add", axis)) {
            (Ok(index), Ok(axis)) => (index, axis),
            (Err(failed), _) | (_, Err(failed)) => return failed,
        };
        if src.check().is_err() {
            return src.clone();
        }
        let fits = index.rank() == self.rank()
            && src.rank() == self.rank()
            && (0..self.rank())
                .all(|d| index.shape()[d] <= src.shape()[d] && (d == axis || index.shape()[d] <= self.shape()[d]));
        if !fits {
            let (lhs, rhs) = (self.shape().to_vec(), index.shape().to_vec());
            let problem = format!("do not fit, with values of shape {:?}", src.shape());
            return self.fail("scatter_add", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let extent = self.shape()[axis];
        let used = (0..self.rank()).fold(src.clone(), |src, d| src.strided(d, 0, 1, index.shape()[d]));
        // What is repeated is looked at once.
        let thin = index.unexpanded();
        match thin.checked_index("scatter_add", extent) {
            Ok(sound) => {
                let src = used.values_at("scatter_add", axis, &thin, extent);
                self.scatter_add_at(axis, sound.broadcast_to(index.shape()), &src)
            }
            Err(failed) => failed,
        }
    }

    /// As [`Tensor::scatter_add`] of operands that fit, where nothing looks for positions outside.
    #[track_caller]
    pub(crate) fn scatter_add_at(&self, axis: usize, index: Tensor, src: &Tensor) -> Tensor {
        if src.count() == 0 {
            return self.clone();
        }
        let sum = src.cast(self.dtype()).combined("scatter_add", ReduceOp::Sum, axis, &index, self.shape()[axis]).value;
        // Slots beyond the index, off the axis, get nothing.
        let more: Vec<(isize, isize)> =
            self.shape().iter().zip(sum.shape()).map(|(all, some)| (0, (all - some) as isize)).collect();
        // 16-bit floats are added in F32, this among them, and rounded once.
        (self.cast(sum.dtype()) + sum.pad(&more, 0.0)).cast(self.dtype())
    }

    /// The positions `index` of an axis, which may come several times.
    ///
    /// # Shapes
    /// `[.., N, ..]`, `index [J]` → `[.., J, ..]`
    /// # Errors
    /// An axis that there is not; an index that is no vector, or not I32 or U32. Positions outside as in
    /// [`Tensor::gather`].
    #[track_caller]
    pub fn index_select(&self, axis: impl IntoAxis, index: &Tensor) -> Tensor {
        self.index_select_of("index_select", axis, index)
    }

    /// As [`Tensor::index_select`], for a method of this name.
    #[track_caller]
    pub(crate) fn index_select_of(&self, method: &'static str, axis: impl IntoAxis, index: &Tensor) -> Tensor {
        let axis = match self.axis(method, axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        if index.check().is_err() {
            return index.clone();
        }
        if index.rank() != 1 {
            let problem = "is no vector of positions".to_string();
            return self.fail(method, ErrorKind::Shape { shape: index.shape().to_vec(), problem });
        }
        let mut along = vec![1; self.rank()];
        along[axis] = index.count();
        let mut shape = self.shape().to_vec();
        shape[axis] = index.count();
        self.gather_of(method, axis, &index.reshape(along).broadcast_to(&shape))
    }

    /// Rows of this table: `y[.., c] = table[ids[..], c]`.
    ///
    /// # Shapes
    /// `[V, C]`, ids `[..]` → `[.., C]`
    /// # Errors
    /// Not a table of two axes; ids that are not I32 or U32. Ids outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn embedding(&self, ids: &Tensor) -> Tensor {
        if self.check().is_ok() && self.rank() != 2 {
            let problem = "is no table of rows".to_string();
            return self.fail("embedding", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let rows = self.index_select_of("embedding", 0, &ids.reshape([ids.count()]));
        match rows.check() {
            Ok(()) => rows.reshape([ids.shape(), &self.shape()[1..]].concat()),
            Err(_) => rows,
        }
    }

    /// 1 at the class, 0 elsewhere, F32; all 0 for a number that is none of the classes.
    ///
    /// # Shapes
    /// `[..]` → `[.., classes]`
    /// # Errors
    /// Not I32 or U32.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        match self.index_of("one_hot", self) {
            Ok(ids) => ids.unsqueeze(-1).eq(Tensor::arange(self.device(), classes)).cast(DType::F32),
            Err(failed) => failed,
        }
    }
}
