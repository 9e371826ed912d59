//! Rows combined by the segment that each belongs to.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{
    DType, ErrorKind, Op, Primitive, ReduceOp,
    op::{compound::Compound, segments::Segments},
    shape::count,
};

use crate::tensor::{Rule, Tensor};

/// What the rows of each segment come to, and how many they are; both broadcast to one another.
pub(super) struct Combined {
    pub value: Tensor,
    /// I32.
    pub rows: Tensor,
}

/// # Segments
impl Tensor {
    /// The sums of the rows of each segment, in their order: `y_s = Σ_{j: ids_j = s} x_j`. A row of a segment that there is not
    /// belongs to none; a segment without rows is 0. The time is that of reading the rows and writing the segments.
    ///
    /// # Shapes
    /// `[J, ..]`, ids `[J]` → `[segments, ..]`
    /// # Errors
    /// Ids that are no vector with a number for each row, or not I32 or U32.
    #[track_caller]
    #[doc(alias("segment_reduce", "scatter_reduce"))]
    pub fn segment_sum(&self, ids: &Tensor, segments: usize) -> Tensor {
        self.by_segment("segment_sum", ReduceOp::Sum, ids, segments)
    }

    /// The products of the rows of each segment; 1 for one without rows. As [`Tensor::segment_sum`] in all else.
    #[track_caller]
    #[doc(alias = "segment_reduce")]
    pub fn segment_prod(&self, ids: &Tensor, segments: usize) -> Tensor {
        self.by_segment("segment_prod", ReduceOp::Prod, ids, segments)
    }

    /// The largest elements of the rows of each segment, NaN if one is; `-∞`, or the least integer, for one without rows. Equal ones
    /// share the gradient. As [`Tensor::segment_sum`] in all else.
    #[track_caller]
    #[doc(alias = "segment_reduce")]
    pub fn segment_max(&self, ids: &Tensor, segments: usize) -> Tensor {
        self.by_segment("segment_max", ReduceOp::Max, ids, segments)
    }

    /// The smallest elements of the rows of each segment; `∞`, or the greatest integer, for one without rows. As
    /// [`Tensor::segment_max`] in all else.
    #[track_caller]
    #[doc(alias = "segment_reduce")]
    pub fn segment_min(&self, ids: &Tensor, segments: usize) -> Tensor {
        self.by_segment("segment_min", ReduceOp::Min, ids, segments)
    }

    #[track_caller]
    fn by_segment(&self, method: &'static str, op: ReduceOp, ids: &Tensor, segments: usize) -> Tensor {
        let ids = match self.index_of(method, ids) {
            Ok(ids) => ids,
            Err(failed) => return failed,
        };
        if self.rank() == 0 || ids.shape() != &self.shape()[..1] {
            let (lhs, rhs) = (self.shape().to_vec(), ids.shape().to_vec());
            let problem = "do not fit: each row needs the number of its segment".to_string();
            return self.fail(method, ErrorKind::Shapes { lhs, rhs, problem });
        }
        if self.dtype() == DType::Bool {
            let problem = "is not combined; cast to a number first".to_string();
            return self.fail(method, ErrorKind::DType { got: self.dtype(), problem });
        }
        let mut along = vec![1; self.rank()];
        along[0] = ids.count();
        let index = ids.reshape(along).broadcast_to(self.shape());
        self.combined(method, op, 0, &index, segments).value.cast(self.dtype())
    }

    /// Elements combined along an axis by positions of `index`, which is shaped alike; sums and products of 16-bit floats are F32.
    /// Positions that are none are left out.
    #[track_caller]
    pub(super) fn combined(
        &self,
        method: &'static str,
        op: ReduceOp,
        axis: usize,
        index: &Tensor,
        segments: usize,
    ) -> Combined {
        let shape = self.shape();
        let (before, len, behind) = (count(&shape[..axis]), shape[axis], count(&shape[axis + 1..]));
        let mut result = shape.to_vec();
        result[axis] = segments;
        if let Some(thin) = index.same_behind(axis) {
            let ids = thin.reshape([before, len]);
            let [value, rows] = self.reshape([before, len, behind]).segments(method, op, &ids, segments);
            let mut narrow = vec![1; shape.len()];
            narrow[..=axis].copy_from_slice(&result[..=axis]);
            return Combined { value: value.reshape(&result[..]), rows: rows.reshape(narrow) };
        }
        // Every column has segments of its own.
        let columns = |t: &Tensor| t.around(axis).permute([0, 2, 1]).reshape([before * behind, len]);
        let [value, rows] = columns(self).unsqueeze(-1).segments(method, op, &columns(index), segments);
        let back = |t: Tensor| t.reshape([before, behind, segments]).permute([0, 2, 1]).reshape(&result[..]);
        Combined { value: back(value), rows: back(rows) }
    }

    /// This index with extent 1 behind the axis, if it is known to be the same all over there.
    #[track_caller]
    fn same_behind(&self, axis: usize) -> Option<Tensor> {
        let thin = self.unexpanded();
        let shape = thin.shape();
        let mut wide = self.shape()[..=axis].to_vec();
        wide.resize(self.rank(), 1);
        shape[axis + 1..].iter().all(|n| *n == 1).then(|| thin.broadcast_to(&wide[..]))
    }

    /// What this repeats along axes of extent 1, if it is known to.
    pub(super) fn unexpanded(&self) -> Tensor {
        match (&self.0.op, &self.inputs()[..]) {
            (Op::Expand, [thin]) => thin.unexpanded(),
            _ => self.clone(),
        }
    }

    /// Both results of [`Segments`], of `[A, J, B]` and ids `[A, J]`.
    #[track_caller]
    fn segments(&self, method: &'static str, op: ReduceOp, ids: &Tensor, segments: usize) -> [Tensor; 2] {
        let of = Segments { op, count: segments };
        let outputs = of.outputs(&[self.type_of(), ids.type_of()]);
        let part = |k: usize| {
            let (inputs, rule) = (smallvec![self.clone(), ids.clone()], Rule::named(method));
            let (op, output) = (Op::Part(Primitive::Segments(of).into(), k), &outputs[k]);
            Tensor::ruled(op, inputs, &output.shape[..], output.dtype, self.device(), rule, Location::caller())
        };
        [part(0), part(1)]
    }
}

/// The gradients of the inputs from that of result `k`.
///
/// `Σ`: `g_s` for each row of `s`. `Π`: `g_s Π_{i ≠ j} x_i`. Extremes: `g_s`, shared by the rows that are one.
pub(super) fn vjp(of: &Segments, k: usize, inputs: &[Tensor], y: &Tensor, g: &Tensor) -> Vec<Option<Tensor>> {
    let (x, ids) = (&inputs[0], &inputs[1]);
    if k == 1 || of.count == 0 {
        return vec![None, None];
    }
    let inside = (ids.ge(0.0) & ids.lt(of.count as f64)).unsqueeze(-1);
    let at = ids.maximum(0.0).minimum(of.count as f64 - 1.0).unsqueeze(-1).broadcast_to(x.shape());
    let of_rows = |t: &Tensor| t.gather(1, &at);
    let sums = |t: &Tensor| of_rows(&t.segments("segment_sum", ReduceOp::Sum, ids, of.count)[0]);
    let wide = x.wide();
    let part = match of.op {
        ReduceOp::Sum => of_rows(g),
        ReduceOp::Prod => {
            // The product of the others that are not 0, and of the only one that is: 0 itself, but not its derivative.
            let zero = wide.eq(0.0);
            let (number, value) = (zero.cast(DType::I32), zero.where_(&wide, 0.0));
            let (more, other) = (sums(&number) - number, sums(&value) - value);
            let others = zero.where_(1.0, &wide);
            let product = of_rows(&others.segments("segment_prod", ReduceOp::Prod, ids, of.count)[0]);
            of_rows(g) * (product / others) * more.eq(0.0).where_(1.0, more.eq(1.0).where_(other, 0.0))
        }
        _ => {
            let best = x.eq(of_rows(y));
            of_rows(g) * best.where_(1.0 / sums(&best.cast(wide.dtype())), 0.0).cast(g.dtype())
        }
    };
    vec![Some(inside.where_(part, 0.0).cast(x.dtype())), None]
}
