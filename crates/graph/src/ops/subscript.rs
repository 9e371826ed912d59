//! Subscripts: [`s!`](crate::s), and [`Tensor::at`], which takes them. The ways to read a part of a tensor are
//!
//! | method | positions | PyTorch | |
//! |---|---|---|---|
//! | [`Tensor::at`] | numbers and ranges, for each axis from the first | `x[1:, -1, None]` | view |
//! | [`Tensor::select`] | one of an axis, which goes away | `x.select(dim, i)` | view |
//! | [`Tensor::slice`] | a range of an axis, cut to what there is | `x[a:b]` | view |
//! | [`Tensor::slice_step`] | every `k`-th of a range | `x[a:b:k]` | view |
//! | [`Tensor::narrow`] | a range that must be there | `x.narrow(dim, start, len)` | view |
//! | [`Tensor::dynamic_slice`] | a range that starts where data says | | copy |
//! | [`Tensor::index_select`] | of an axis, a vector of data | `x.index_select(dim, ids)` | copy |
//! | [`Tensor::embedding`] | rows of a table, data of any shape | `F.embedding(ids, x)` | copy |
//! | [`Tensor::index_at`] | of the first axes together, a tensor of data each | `x[i, j]` | copy |
//! | [`Tensor::take`] | of the flattened tensor, data of any shape | `x.take(index)` | copy |
//! | [`Tensor::gather`] | of an axis, for each element of the result | `x.gather(dim, index)` | copy |
//! | [`Tensor::take_along`] | the same, broadcast off the axis | `torch.take_along_dim(x, index, dim)` | copy |
//! | [`Tensor::masked_select`] | where a mask holds | `x[mask]` | copy |
//!
//! A view costs nothing: whatever reads it computes other addresses.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use thalweg_ir::ErrorKind;

use crate::{
    shape::{Integer, IntoRange},
    tensor::Tensor,
};

/// One part of a subscript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscript {
    /// One position of an axis, which goes away; negative ones count from the back.
    Pick(isize),
    /// Positions of an axis.
    Range {
        /// Where the range starts.
        start: Bound<isize>,
        /// Where it ends.
        end: Bound<isize>,
        /// Every how many-th; a negative step walks from the range's end to its start.
        step: isize,
    },
    /// As many whole axes as the other parts leave.
    Ellipsis,
    /// An axis of extent 1 that was not there.
    NewAxis,
}

/// As many whole axes as the other parts of a subscript leave.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// An axis of extent 1 that was not there.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

impl Subscript {
    /// Every `step`-th of the positions; of other parts than ranges themselves.
    pub fn step(self, by: isize) -> Subscript {
        match self {
            Subscript::Range { start, end, .. } => Subscript::Range { start, end, step: by },
            other => other,
        }
    }
}

impl From<Ellipsis> for Subscript {
    fn from(_: Ellipsis) -> Subscript {
        Subscript::Ellipsis
    }
}
impl From<NewAxis> for Subscript {
    fn from(_: NewAxis) -> Subscript {
        Subscript::NewAxis
    }
}
impl<I: Integer> From<I> for Subscript {
    fn from(at: I) -> Subscript {
        Subscript::Pick(at.integer())
    }
}

macro_rules! ranges {
    ($($range:ty $(, $type:ident)?;)*) => {$(
        impl$(<$type: Integer>)? From<$range> for Subscript {
            fn from(range: $range) -> Subscript {
                let (start, end) = range.into_range();
                Subscript::Range { start, end, step: 1 }
            }
        }
    )*};
}
ranges! { RangeFull; Range<I>, I; RangeFrom<I>, I; RangeTo<I>, I; RangeInclusive<I>, I; RangeToInclusive<I>, I; }

/// The parts of a subscript as users write them: [`s!`](crate::s), or one part alone.
pub struct Subscripts(Vec<Subscript>);

/// What [`Tensor::at`] takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a subscript",
    label = "a position, a range, or several parts as `s![..]` are expected here"
)]
pub trait IntoSubscripts: Into<Subscripts> {}
impl<T: Into<Subscripts>> IntoSubscripts for T {}

impl<T: Into<Subscript>> From<T> for Subscripts {
    fn from(part: T) -> Subscripts {
        Subscripts(vec![part.into()])
    }
}
impl<const N: usize> From<[Subscript; N]> for Subscripts {
    fn from(parts: [Subscript; N]) -> Subscripts {
        Subscripts(parts.to_vec())
    }
}
impl<const N: usize> From<&[Subscript; N]> for Subscripts {
    fn from(parts: &[Subscript; N]) -> Subscripts {
        Subscripts(parts.to_vec())
    }
}
impl From<&[Subscript]> for Subscripts {
    fn from(parts: &[Subscript]) -> Subscripts {
        Subscripts(parts.to_vec())
    }
}
impl From<Vec<Subscript>> for Subscripts {
    fn from(parts: Vec<Subscript>) -> Subscripts {
        Subscripts(parts)
    }
}
impl From<&Vec<Subscript>> for Subscripts {
    fn from(parts: &Vec<Subscript>) -> Subscripts {
        Subscripts(parts.clone())
    }
}

/// A subscript for [`Tensor::at`]: positions, ranges, ranges with a step, [`Ellipsis`](crate::Ellipsis) and
/// [`NewAxis`](crate::NewAxis), one for each axis from the first.
///
/// ```
/// use thalweg_graph::{Ellipsis, NewAxis, s};
/// let rows = s![1..3, -1]; //                 rows 1 and 2, the last column
/// let even = s![Ellipsis, ..;2]; //           every second of the last axis
/// let back = s![..;-1, NewAxis]; //           the first axis backwards, then a new one
/// # let _ = (rows, even, back);
/// ```
#[macro_export]
macro_rules! s {
    ($($part:expr $(; $step:expr)?),* $(,)?) => {{
        // `1..-1` is no empty range here.
        #[allow(clippy::reversed_empty_ranges)]
        let parts = [$($crate::Subscript::from($part)$(.step($step))?),*];
        parts
    }};
}

/// # Subscripts
impl Tensor {
    /// The part that a subscript names: `x.at(s![1..3, -1, .., NewAxis])`; of the first axis alone `x.at(1..3)`, `x.at(-1)`.
    /// Positions count from the back when negative; ranges are cut to what there is; a negative step walks from the range's end to its
    /// start; axes that are not named stay whole. A view: nothing is copied.
    ///
    /// For positions that are data see [`Tensor::index_at`] and [`Tensor::dynamic_slice`].
    ///
    /// # Shapes
    /// `[A, B, C]` → `[2, C, 1]` for `s![1..3, -1, .., NewAxis]`
    /// # Errors
    /// More parts than axes; a second ellipsis; a position that there is not; a step of 0.
    #[track_caller]
    #[doc(alias("getitem", "index"))]
    pub fn at(&self, parts: impl IntoSubscripts) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let Subscripts(parts) = parts.into();
        let of_axes = |p: &&Subscript| matches!(p, Subscript::Pick(_) | Subscript::Range { .. });
        let named = parts.iter().filter(of_axes).count();
        if named > self.rank() {
            let problem = format!("has fewer axes than the {named} subscripts");
            return self.fail("at", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        if parts.iter().filter(|p| **p == Subscript::Ellipsis).count() > 1 {
            return self.fail("at", ErrorKind::Invalid("a subscript has one ellipsis at most".into()));
        }
        // The axis that comes next, of the input for messages and of the result.
        let (mut x, mut from, mut to) = (self.clone(), 0, 0);
        for part in &parts {
            match *part {
                Subscript::Pick(index) => {
                    let extent = self.shape()[from];
                    let at = if index < 0 { index.saturating_add(extent as isize) } else { index };
                    let Some(at) = usize::try_from(at).ok().filter(|at| *at < extent) else {
                        return self.fail("at", ErrorKind::Index { index: index as i64, axis: from, extent });
                    };
                    x = x.strided(to, at, 1, 1).squeeze(to);
                    from += 1;
                }
                Subscript::Range { step: 0, .. } => {
                    return self.fail("at", ErrorKind::Invalid("a step of 0 goes nowhere".into()));
                }
                Subscript::Range { start, end, step } => {
                    x = x.slice_step(to, (start, end), step);
                    (from, to) = (from + 1, to + 1);
                }
                Subscript::Ellipsis => {
                    (from, to) = (from + self.rank() - named, to + self.rank() - named);
                }
                Subscript::NewAxis => {
                    x = x.unsqueeze(to);
                    to += 1;
                }
            }
        }
        x
    }
}
