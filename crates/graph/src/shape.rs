//! Shapes, axes and ranges as users write them.

use std::ops::{Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use thalweg_ir::ErrorKind;
pub use thalweg_ir::shape::{Extents, MAX_ELEMENTS, MAX_RANK, broadcast, count, excess, strides};

/// A whole number of any type: an axis, a position, an extent, where negative ones have a meaning of their own.
#[diagnostic::on_unimplemented(message = "`{Self}` is not an integer", label = "an integer is expected here")]
pub trait Integer: Copy {
    /// As an `isize`, saturating.
    fn integer(self) -> isize;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Integer for $type {
            fn integer(self) -> isize {
                #[allow(irrefutable_let_patterns, unused_comparisons, reason = "one text for every integer type")]
                isize::try_from(self).unwrap_or(if self < 0 { isize::MIN } else { isize::MAX })
            }
        }
    )*};
}
integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

/// An axis: counted from the front, or from the back when negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis(pub isize);

impl Axis {
    /// The axis from the front in a tensor of this shape.
    pub fn of(self, shape: &[usize]) -> Result<usize, ErrorKind> {
        let rank = shape.len();
        let axis = if self.0 < 0 { self.0 + rank as isize } else { self.0 };
        usize::try_from(axis).ok().filter(|a| *a < rank).ok_or(ErrorKind::Axis {
            axis: self.0,
            rank,
            shape: shape.to_vec(),
        })
    }
}

impl<I: Integer> From<I> for Axis {
    fn from(a: I) -> Axis {
        Axis(a.integer())
    }
}

/// What a method takes as its axis: any integer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an axis",
    label = "one axis is expected here: an integer, counted from the back when negative",
    note = "`amax(..)`, `amin(..)`, `sum(..)`, `mean(..)` and the like take `..` for all axes, or an array of several; `max` and `min` \
            take one axis, and give the position as well"
)]
pub trait IntoAxis: Into<Axis> {}
impl<T: Into<Axis>> IntoAxis for T {}

/// A set of axes: one, several, or `..` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Every axis.
    All,
    /// These.
    Some(Vec<Axis>),
}

impl Axes {
    /// The axes from the front, ascending, each once.
    pub fn of(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        match self {
            Axes::All => Ok((0..shape.len()).collect()),
            Axes::Some(axes) => {
                let mut of = axes.iter().map(|a| a.of(shape)).collect::<Result<Vec<_>, _>>()?;
                of.sort_unstable();
                if of.windows(2).any(|w| w[0] == w[1]) {
                    let named: Vec<isize> = axes.iter().map(|a| a.0).collect();
                    return Err(ErrorKind::Invalid(format!("an axis is named twice in {named:?}")));
                }
                Ok(of)
            }
        }
    }
}

/// What a method takes as its axes: an integer, an array, slice or `Vec` of them, or `..` for all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of axes",
    label = "axes are expected here: an integer, an array, slice or `Vec` of them, or `..` for all"
)]
pub trait IntoAxes: Into<Axes> {}
impl<T: Into<Axes>> IntoAxes for T {}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Axes {
        Axes::All
    }
}
impl<A: Into<Axis>> From<A> for Axes {
    fn from(a: A) -> Axes {
        Axes::Some(vec![a.into()])
    }
}
impl<A: Into<Axis> + Copy, const N: usize> From<[A; N]> for Axes {
    fn from(a: [A; N]) -> Axes {
        Axes::Some(a.iter().map(|a| (*a).into()).collect())
    }
}
impl<A: Into<Axis> + Copy> From<&[A]> for Axes {
    fn from(a: &[A]) -> Axes {
        Axes::Some(a.iter().map(|a| (*a).into()).collect())
    }
}
impl<A: Into<Axis> + Copy, const N: usize> From<&[A; N]> for Axes {
    fn from(a: &[A; N]) -> Axes {
        a.as_slice().into()
    }
}
impl<A: Into<Axis>> From<Vec<A>> for Axes {
    fn from(a: Vec<A>) -> Axes {
        Axes::Some(a.into_iter().map(Into::into).collect())
    }
}

/// A shape as users write it: `[2, 3]`, `(2, 3)`, `&[usize]`, `Vec<usize>`, one extent, or `()` for a scalar.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shape",
    label = "a shape is expected here: `[2, 3]`, a slice or a `Vec` of `usize`, or `()` for a scalar"
)]
pub trait IntoShape {
    /// The extents.
    fn into_shape(self) -> Vec<usize>;
}

impl<const N: usize> IntoShape for [usize; N] {
    fn into_shape(self) -> Vec<usize> {
        self.to_vec()
    }
}
impl<const N: usize> IntoShape for &[usize; N] {
    fn into_shape(self) -> Vec<usize> {
        self.to_vec()
    }
}
impl IntoShape for &[usize] {
    fn into_shape(self) -> Vec<usize> {
        self.to_vec()
    }
}
impl IntoShape for Vec<usize> {
    fn into_shape(self) -> Vec<usize> {
        self
    }
}
impl IntoShape for &Vec<usize> {
    fn into_shape(self) -> Vec<usize> {
        self.clone()
    }
}
impl IntoShape for usize {
    fn into_shape(self) -> Vec<usize> {
        vec![self]
    }
}
impl IntoShape for () {
    fn into_shape(self) -> Vec<usize> {
        Vec::new()
    }
}

/// A shape of which one extent may be -1, whose meaning is the method's: `[b, c]`, or `(b, -1)` where the types differ.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shape",
    label = "a shape is expected here: `[2, 3]`, `(b, -1)`, a slice or a `Vec` of integers, or `()` for a scalar"
)]
pub trait IntoReshape {
    /// The extents as given.
    fn into_reshape(self) -> Vec<isize>;
}

impl<I: Integer, const N: usize> IntoReshape for [I; N] {
    fn into_reshape(self) -> Vec<isize> {
        self.as_slice().into_reshape()
    }
}
impl<I: Integer, const N: usize> IntoReshape for &[I; N] {
    fn into_reshape(self) -> Vec<isize> {
        self.as_slice().into_reshape()
    }
}
impl<I: Integer> IntoReshape for &[I] {
    fn into_reshape(self) -> Vec<isize> {
        self.iter().map(|d| d.integer()).collect()
    }
}
impl<I: Integer> IntoReshape for Vec<I> {
    fn into_reshape(self) -> Vec<isize> {
        self.as_slice().into_reshape()
    }
}
impl<I: Integer> IntoReshape for &Vec<I> {
    fn into_reshape(self) -> Vec<isize> {
        self.as_slice().into_reshape()
    }
}
impl<I: Integer> IntoReshape for I {
    fn into_reshape(self) -> Vec<isize> {
        vec![self.integer()]
    }
}
impl IntoReshape for () {
    fn into_reshape(self) -> Vec<isize> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($($(($name:ident $usize:ident))*;)*) => {$(
        impl IntoShape for ($($usize,)*) {
            fn into_shape(self) -> Vec<usize> {
                #[expect(non_snake_case, reason = "a part is named like its type")]
                let ($($name,)*) = self;
                vec![$($name),*]
            }
        }
        impl<$($name: Integer),*> IntoReshape for ($($name,)*) {
            fn into_reshape(self) -> Vec<isize> {
                #[expect(non_snake_case, reason = "a part is named like its type")]
                let ($($name,)*) = self;
                vec![$($name.integer()),*]
            }
        }
    )*};
}
tuples! {
    (A usize);
    (A usize) (B usize);
    (A usize) (B usize) (C usize);
    (A usize) (B usize) (C usize) (D usize);
    (A usize) (B usize) (C usize) (D usize) (E usize);
    (A usize) (B usize) (C usize) (D usize) (E usize) (F usize);
    (A usize) (B usize) (C usize) (D usize) (E usize) (F usize) (G usize);
    (A usize) (B usize) (C usize) (D usize) (E usize) (F usize) (G usize) (H usize);
}

/// A range of positions, which count from the back when negative: `1..`, `..-1`, `0..n`, `..`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range of integers",
    label = "a range is expected here: `0..n`, `1..`, `..-1` or `..`"
)]
pub trait IntoRange {
    /// Where it starts and ends.
    fn into_range(self) -> (Bound<isize>, Bound<isize>);
}

impl IntoRange for RangeFull {
    fn into_range(self) -> (Bound<isize>, Bound<isize>) {
        (Bound::Unbounded, Bound::Unbounded)
    }
}

macro_rules! ranges {
    ($($range:ty)*) => {$(
        impl<I: Integer> IntoRange for $range {
            fn into_range(self) -> (Bound<isize>, Bound<isize>) {
                (self.start_bound().map(|i| i.integer()), self.end_bound().map(|i| i.integer()))
            }
        }
    )*};
}
ranges! { Range<I> RangeFrom<I> RangeTo<I> RangeInclusive<I> RangeToInclusive<I> (Bound<I>, Bound<I>) }

/// The positions of a range along an axis: from the first to before the second.
pub fn bounds(range: impl IntoRange, extent: usize) -> (usize, usize) {
    let clamp = |i: isize| {
        let i = if i < 0 { i.saturating_add(extent as isize) } else { i };
        i.clamp(0, extent as isize) as usize
    };
    // Behind the last position there is none that counts from the back.
    let behind = |i: isize| if i == -1 { extent } else { clamp(i.saturating_add(1)) };
    let (start, end) = range.into_range();
    let start = match start {
        Bound::Included(i) => clamp(i),
        Bound::Excluded(i) => behind(i),
        Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(i) => behind(i),
        Bound::Excluded(i) => clamp(i),
        Bound::Unbounded => extent,
    };
    (start, end.max(start))
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_last_axis() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Some(smallvec![2, 3, 4]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[], &[0, 3]), Some(smallvec![0, 3]));
    }

    #[test]
    fn sizes_beyond_an_address_are_told_not_computed() {
        assert_eq!(count(&[usize::MAX, 3, 0]), 0);
        assert_eq!(count(&[usize::MAX, 3]), usize::MAX);
        assert_eq!(strides(&[2, usize::MAX, 3]), [usize::MAX, 3, 1]);
        assert_eq!(excess(&[1 << 20, 1 << 20]), None);
        assert_eq!(excess(&[1; MAX_RANK]), None);
        assert!(excess(&[1; MAX_RANK + 1]).is_some_and(|p| p.contains("more than 8 axes")));
        assert!(excess(&[0, usize::MAX]).is_some_and(|p| p.contains("too large")));
    }

    #[test]
    fn ranges_count_from_the_back() {
        assert_eq!(bounds(..-1, 5), (0, 4));
        assert_eq!(bounds(-3.., 5), (2, 5));
        let (start, end) = (4, 2);
        assert_eq!(bounds(start..end, 5), (4, 4));
        assert_eq!(bounds(..=-1, 5), (0, 5));
        assert_eq!(bounds(..4usize, 5), (0, 4));
        assert_eq!(bounds(..u64::MAX, 5), (0, 5));
    }
}
