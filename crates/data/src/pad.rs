//! Sequences of different lengths in one array.

use thalweg_graph::{Element, ErrorKind, Result};

use crate::{
    collate::Collate,
    host::Host,
    place::{error, invalid, item},
    sampler::reserved,
    stack::check,
};

/// The collator of sequences: fills all up to the longest of the batch.
///
/// Every length of batches has a plan of its own, so [`Pad::multiple_of`] keeps the number of lengths small, and
/// [`ByLength`](crate::ByLength) keeps the filling small.
///
/// ```
/// use thalweg_data::{Collate, Pad};
///
/// let batch = Pad::with(-1).multiple_of(4).collate(vec![vec![7, 8, 9], vec![5]])?;
/// assert_eq!(batch.values.shape, [2, 4]);
/// assert_eq!(batch.values.values, [7, 8, 9, -1, 5, -1, -1, -1]);
/// assert_eq!(batch.lengths.values, [3, 1]);
/// assert_eq!(batch.mask.values, [true, true, true, false, true, false, false, false]);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Shapes
/// `B` items of `[Lᵢ, ..]` → `[B, L, ..]`, where L is the longest Lᵢ, rounded up
/// # Errors
/// Items that differ in an axis behind the first; items without axes; a multiple of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad<T> {
    value: T,
    multiple: usize,
    cut: usize,
}

impl<T: Element> Pad<T> {
    /// Fills up with this value.
    pub fn with(value: T) -> Pad<T> {
        Pad { value, multiple: 1, cut: usize::MAX }
    }

    /// Fills up to a multiple of this, so that there are fewer shapes.
    pub fn multiple_of(self, multiple: usize) -> Pad<T> {
        Pad { multiple, ..self }
    }

    /// Leaves out what is behind the first `len` elements of a sequence.
    pub fn cut(self, len: usize) -> Pad<T> {
        Pad { cut: len, ..self }
    }
}

/// Sequences of different lengths in one array.
#[derive(Clone, Debug, PartialEq)]
pub struct Padded<T> {
    /// `[B, L, ..]`
    pub values: Host<T>,
    /// `[B]`: the length of each sequence, without padding.
    pub lengths: Host<i32>,
    /// `[B, L]`: true for an element, false for padding.
    pub mask: Host<bool>,
}

impl<T: Element> Collate<Vec<T>> for Pad<T> {
    type Batch = Padded<T>;

    #[track_caller]
    fn collate(&self, items: Vec<Vec<T>>) -> Result<Padded<T>> {
        let lengths: Vec<[usize; 1]> = items.iter().map(|row| [row.len()]).collect();
        let rows = items.iter().zip(&lengths).map(|(row, shape)| (row.as_slice(), shape.as_slice()));
        self.pad(rows.collect())
    }
}

impl<T: Element> Collate<Host<T>> for Pad<T> {
    type Batch = Padded<T>;

    #[track_caller]
    fn collate(&self, items: Vec<Host<T>>) -> Result<Padded<T>> {
        let rows = items.iter().map(|host| (host.values.as_slice(), host.shape.as_slice()));
        self.pad(rows.collect())
    }
}

impl<T: Element> Pad<T> {
    #[track_caller]
    fn pad(&self, rows: Vec<(&[T], &[usize])>) -> Result<Padded<T>> {
        let rest = inner(&rows)?;
        let lengths: Vec<usize> = rows.iter().map(|(_, shape)| shape[0].min(self.cut)).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if self.multiple == 0 {
            return Err(invalid("pad", "a length cannot be a multiple of 0".into()));
        }
        // Lengths are labels of a loss and offsets on the device, which have 32 bits.
        let length = longest.checked_next_multiple_of(self.multiple).filter(|length| i32::try_from(*length).is_ok());
        let shape = [&[rows.len(), length.unwrap_or(usize::MAX)], rest].concat();
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let (Some(length), Some(count)) = (length, count) else {
            return Err(error("pad", ErrorKind::Shape { shape, problem: "is too large".into() }));
        };
        let (mut values, mut mask) = (reserved(count)?, reserved(rows.len() * length)?);
        let size: usize = rest.iter().product();
        for (i, ((row, _), len)) in rows.iter().zip(&lengths).enumerate() {
            values.extend_from_slice(&row[..len * size]);
            values.resize((i + 1) * length * size, self.value);
            mask.resize(i * length + len, true);
            mask.resize((i + 1) * length, false);
        }
        Ok(Padded {
            values: Host { values, shape },
            lengths: Host { values: lengths.iter().map(|len| *len as i32).collect(), shape: vec![rows.len()] },
            mask: Host { values: mask, shape: vec![rows.len(), length] },
        })
    }
}

/// The axes behind the first, which all items have in common.
#[track_caller]
fn inner<'a, T>(rows: &[(&[T], &'a [usize])]) -> Result<&'a [usize]> {
    let Some((_, first)) = rows.first().copied() else {
        return Err(invalid("pad", "there are no sequences to pad".into()));
    };
    for (i, (values, shape)) in rows.iter().enumerate() {
        if shape.is_empty() {
            let problem = format!("of {} is no sequence", item(i));
            return Err(error("pad", ErrorKind::Shape { shape: vec![], problem }));
        }
        if shape[1..] != first[1..] {
            let problem = format!("of {} and {} differ behind the first axis", item(0), item(i));
            return Err(error("pad", ErrorKind::Shapes { lhs: first.to_vec(), rhs: shape.to_vec(), problem }));
        }
        check(values.len(), shape)?;
    }
    Ok(&first[1..])
}

#[cfg(test)]
mod tests {
    use thalweg_graph::Rng;

    use super::*;

    #[test]
    fn elements_and_padding_are_told_apart() {
        let rng = &mut Rng::seed(1);
        for (rows, most) in [(1, 0), (1, 1), (3, 7), (17, 40)] {
            for (multiple, cut) in [(1, usize::MAX), (8, usize::MAX), (1, 5), (3, 4)] {
                let items: Vec<Vec<i32>> =
                    (0..rows).map(|_| (0..rng.below(most + 1)).map(|_| rng.below(100) as i32).collect()).collect();
                let batch = Pad::with(-1).multiple_of(multiple).cut(cut).collate(items.clone()).unwrap();
                let length = batch.values.shape[1];
                assert_eq!(length % multiple, 0);
                assert!(length < items.iter().map(|i| i.len().min(cut)).max().unwrap() + multiple);
                assert_eq!((&batch.values.shape, &batch.mask.shape), (&vec![rows, length], &vec![rows, length]));
                assert_eq!((batch.values.values.len(), batch.lengths.shape), (rows * length, vec![rows]));
                for (r, item) in items.iter().enumerate() {
                    let len = item.len().min(cut);
                    assert_eq!(batch.lengths.values[r], len as i32);
                    for c in 0..length {
                        let (value, mask) = (batch.values.values[r * length + c], batch.mask.values[r * length + c]);
                        assert_eq!((value, mask), if c < len { (item[c], true) } else { (-1, false) });
                    }
                }
            }
        }
    }

    #[test]
    fn frames_are_filled_whole() {
        let frames = |n: usize| Host { values: vec![n as f32; 2 * n], shape: vec![n, 2] };
        let batch = Pad::with(0.0).collate(vec![frames(1), frames(2)]).unwrap();
        assert_eq!((batch.values.shape, batch.values.values), (vec![2, 2, 2], vec![1., 1., 0., 0., 2., 2., 2., 2.]));
        assert_eq!((batch.mask.shape, batch.mask.values), (vec![2, 2], vec![true, false, true, true]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let host = |shape: &[usize]| Host { values: vec![0.0; shape.iter().product()], shape: shape.to_vec() };
        let message = |pad: Pad<f32>, items: &[&[usize]]| {
            let items: Vec<_> = items.iter().map(|shape| host(shape)).collect();
            pad.collate(items).unwrap_err().to_string()
        };
        let pad = Pad::with(0.0);
        let error = message(pad, &[&[2, 3], &[4, 3], &[2, 4]]);
        assert!(error.starts_with("pad: shapes [2, 3] and [2, 4] of item 0 and item 2 differ behind"), "{error}");
        assert!(message(pad, &[&[1], &[]]).starts_with("pad: shape [] of item 1 is no sequence"));
        assert!(message(pad, &[]).starts_with("pad: there are no sequences to pad"));
        assert!(message(pad.multiple_of(0), &[&[1]]).starts_with("pad: a length cannot be a multiple of 0"));
        let error = message(pad.multiple_of(1 << 40), &[&[1], &[2]]);
        assert!(error.starts_with("pad: shape [2, 18446744073709551615] is too large"), "{error}");
    }
}
