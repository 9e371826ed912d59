//! Arrays of one shape, one on top of the other.

use thalweg_graph::{Element, ErrorKind, Result};

use crate::{
    collate::Collate,
    host::Host,
    place::{error, invalid, item},
    sampler::reserved,
};

/// The collator of what has one shape: `B` arrays of shape `[..]` become one of `[B, ..]`, `B` numbers become `[B]`, and tuples
/// become tuples of these.
///
/// # Errors
/// Items of different shapes: the error names both shapes and the items, by their index in the data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stack;

/// What [`Stack`] can put together.
pub trait Stackable: Sized {
    /// What a batch of it is.
    type Stacked;

    /// `B` of them in one.
    ///
    /// # Errors
    /// No items, or items of different shapes.
    #[track_caller]
    fn stack(items: Vec<Self>) -> Result<Self::Stacked>;
}

impl<Item: Stackable> Collate<Item> for Stack {
    type Batch = Item::Stacked;

    #[track_caller]
    fn collate(&self, items: Vec<Item>) -> Result<Item::Stacked> {
        Item::stack(items)
    }
}

/// `[..]` → `[B, ..]`
impl<T: Element> Stackable for Host<T> {
    type Stacked = Host<T>;

    #[track_caller]
    fn stack(items: Vec<Host<T>>) -> Result<Host<T>> {
        let rows = items.iter().map(|host| (host.values.as_slice(), host.shape.as_slice()));
        stack(rows.collect())
    }
}

/// `[n]` → `[B, n]`
impl<T: Element> Stackable for Vec<T> {
    type Stacked = Host<T>;

    #[track_caller]
    fn stack(items: Vec<Vec<T>>) -> Result<Host<T>> {
        let lengths: Vec<[usize; 1]> = items.iter().map(|row| [row.len()]).collect();
        stack(items.iter().zip(&lengths).map(|(row, shape)| (row.as_slice(), shape.as_slice())).collect())
    }
}

/// `[N]` → `[B, N]`
impl<T: Element, const N: usize> Stackable for [T; N] {
    type Stacked = Host<T>;

    #[track_caller]
    fn stack(items: Vec<[T; N]>) -> Result<Host<T>> {
        let shape = [N];
        stack(items.iter().map(|row| (row.as_slice(), shape.as_slice())).collect())
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        /// `[]` → `[B]`
        impl Stackable for $number {
            type Stacked = Host<$number>;

            #[track_caller]
            fn stack(values: Vec<$number>) -> Result<Host<$number>> {
                if values.is_empty() {
                    return Err(nothing());
                }
                Ok(Host { shape: vec![values.len()], values })
            }
        }
    )*};
}

numbers!(f32 f64 i32 u32 i64 bool);

impl<A: Stackable, B: Stackable> Stackable for (A, B) {
    type Stacked = (A::Stacked, B::Stacked);

    #[track_caller]
    fn stack(items: Vec<(A, B)>) -> Result<Self::Stacked> {
        let (a, b): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        Ok((A::stack(a)?, B::stack(b)?))
    }
}

impl<A: Stackable, B: Stackable, C: Stackable> Stackable for (A, B, C) {
    type Stacked = (A::Stacked, B::Stacked, C::Stacked);

    #[track_caller]
    fn stack(items: Vec<(A, B, C)>) -> Result<Self::Stacked> {
        let (a, b, c): (Vec<_>, Vec<_>, Vec<_>) = items.into_iter().collect();
        Ok((A::stack(a)?, B::stack(b)?, C::stack(c)?))
    }
}

#[track_caller]
fn stack<T: Element>(rows: Vec<(&[T], &[usize])>) -> Result<Host<T>> {
    let Some((_, shape)) = rows.first().copied() else { return Err(nothing()) };
    for (i, (values, other)) in rows.iter().enumerate() {
        if *other != shape {
            let problem = format!("of {} and {} cannot be stacked; Pad puts sequences together", item(0), item(i));
            return Err(error("stack", ErrorKind::Shapes { lhs: shape.to_vec(), rhs: other.to_vec(), problem }));
        }
        check(values.len(), other)?;
    }
    let mut values = reserved(rows.iter().map(|(values, _)| values.len()).sum())?;
    rows.iter().for_each(|(row, _)| values.extend_from_slice(row));
    Ok(Host { values, shape: [&[rows.len()], shape].concat() })
}

/// Whether an array has the elements that its shape says.
#[track_caller]
pub(crate) fn check(len: usize, shape: &[usize]) -> Result<()> {
    let want = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    match want == Some(len) {
        true => Ok(()),
        false => {
            let kind = ErrorKind::Length { got: len, want: want.unwrap_or(usize::MAX), shape: shape.to_vec() };
            Err(error("data", kind))
        }
    }
}

#[track_caller]
fn nothing() -> thalweg_graph::Error {
    invalid("stack", "there are no items to stack".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_an_axis_in_front() {
        let host = |values: &[f32], shape: &[usize]| Host { values: values.to_vec(), shape: shape.to_vec() };
        let stacked = Stack.collate(vec![host(&[1.0, 2.0], &[2, 1]), host(&[3.0, 4.0], &[2, 1])]).unwrap();
        assert_eq!(stacked, host(&[1.0, 2.0, 3.0, 4.0], &[2, 2, 1]));
        assert_eq!(Stack.collate(vec![host(&[5.0], &[]); 3]).unwrap(), host(&[5.0; 3], &[3]));
        assert_eq!(Stack.collate(vec![host(&[], &[0, 7]); 2]).unwrap(), host(&[], &[2, 0, 7]));
        assert_eq!(Stack.collate(vec![1i32, 2, 3]).unwrap(), Host { values: vec![1, 2, 3], shape: vec![3] });
        assert_eq!(Stack.collate(vec![vec![true], vec![false]]).unwrap().shape, [2, 1]);
        assert_eq!(Stack.collate(vec![[1u32, 2]; 5]).unwrap().shape, [5, 2]);
    }

    #[test]
    fn tuples_become_tuples() {
        let (x, (y, z)) = Stack.collate(vec![([1.0f32, 2.0], (3i32, true)), ([4.0, 5.0], (6, false))]).unwrap();
        assert_eq!((x.values, x.shape), (vec![1.0, 2.0, 4.0, 5.0], vec![2, 2]));
        assert_eq!((y.values, z.values), (vec![3, 6], vec![true, false]));
        let (a, b, c) = Stack.collate(vec![(1i32, 2i32, 3i32), (4, 5, 6)]).unwrap();
        assert_eq!([a.values, b.values, c.values], [[1, 4], [2, 5], [3, 6]]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_shapes_and_items() {
        let error = Stack.collate(vec![vec![1i32, 2], vec![3, 4], vec![5]]).unwrap_err();
        assert!(error.to_string().starts_with("stack: shapes [2] and [1] of item 0 and item 2 cannot be"), "{error}");
        assert_eq!((error.location().file(), error.location().line()), (file!(), line!() - 2));
        let lying = Host { values: vec![1.0], shape: vec![3] };
        let error = Stack.collate(vec![lying]).unwrap_err().to_string();
        assert!(error.starts_with("data: 1 elements given for shape [3], which has 3"), "{error}");
        let error = Stack.collate(Vec::<f32>::new()).unwrap_err().to_string();
        assert!(error.starts_with("stack: there are no items to stack"), "{error}");
        assert!(Stack.collate(Vec::<Vec<f32>>::new()).is_err());
    }
}
