//! A long sequence as many short ones.

use std::sync::Arc;

use thalweg_graph::Result;

use crate::{
    dataset::Dataset,
    place::{invalid, out_of_range},
};

/// Windows of a sequence, each with the same window one element later: what a model reads, and what it is to say next. A cheap
/// clone.
///
/// ```
/// use thalweg_data::{Dataset, Seed, Shuffled, Stack, Windows};
///
/// let text: Vec<i32> = "to be or not to be".bytes().map(i32::from).collect();
/// let windows = Windows::new(text, 4)?;
/// assert_eq!(windows.len(), 4); // 17 elements have a next one
/// for batch in windows.loader(2, Shuffled(Seed(1)), Stack)?.epoch(0) {
///     let (x, y) = batch?;
///     assert_eq!((x.shape, y.shape), (vec![2, 4], vec![2, 4]));
///     assert_eq!(x.values[1..4], y.values[..3]);
/// }
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windows<T> {
    sequence: Arc<[T]>,
    len: usize,
    stride: usize,
}

impl<T> Windows<T> {
    /// Windows of `len` elements, one behind the other; what does not fill a window at the end is left out.
    ///
    /// # Errors
    /// Windows of nothing; fewer than `len + 1` elements.
    #[track_caller]
    pub fn new(sequence: impl Into<Arc<[T]>>, len: usize) -> Result<Windows<T>> {
        let sequence = sequence.into();
        if len == 0 {
            return Err(invalid("windows", "a window needs at least one element".into()));
        }
        if sequence.len() <= len {
            let problem = format!("{} elements have no window of {len} with one that follows", sequence.len());
            return Err(invalid("windows", problem));
        }
        Ok(Windows { sequence, len, stride: len })
    }

    /// A window begins so many elements behind the one before. Below `len` they overlap; at 1 there is one for every element.
    ///
    /// # Errors
    /// A stride of 0.
    #[track_caller]
    pub fn stride(self, stride: usize) -> Result<Windows<T>> {
        match stride {
            0 => Err(invalid("windows", "a stride of 0 never comes to the end".into())),
            _ => Ok(Windows { stride, ..self }),
        }
    }
}

impl<T: Clone + Send + Sync> Dataset for Windows<T> {
    type Item = (Vec<T>, Vec<T>);

    fn len(&self) -> usize {
        (self.sequence.len() - 1 - self.len) / self.stride + 1
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<Self::Item> {
        if index >= self.len() {
            return Err(out_of_range(index, self.len()));
        }
        let start = index * self.stride;
        let window = |start: usize| self.sequence[start..start + self.len].to_vec();
        Ok((window(start), window(start + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_followed_by_its_next_element() {
        for n in 2..12 {
            for len in 1..n {
                for stride in 1..n + 2 {
                    let windows = Windows::new((0..n).collect::<Vec<_>>(), len).unwrap().stride(stride).unwrap();
                    let starts: Vec<usize> = (0..n - len).step_by(stride).collect();
                    assert_eq!(windows.len(), starts.len());
                    for (i, start) in starts.into_iter().enumerate() {
                        let (x, y) = windows.item(i).unwrap();
                        assert_eq!(x, (start..start + len).collect::<Vec<_>>());
                        assert_eq!(y, (start + 1..start + len + 1).collect::<Vec<_>>());
                    }
                    assert!(windows.item(windows.len()).is_err());
                }
            }
        }
    }

    #[test]
    fn windows_that_are_none_are_errors() {
        let message = |n, len| Windows::new(vec![0u8; n], len).unwrap_err().to_string();
        assert!(message(4, 0).starts_with("windows: a window needs at least one element"));
        assert!(message(4, 4).starts_with("windows: 4 elements have no window of 4 with one that follows"));
        assert!(message(0, usize::MAX).starts_with("windows: 0 elements have no window"));
        let error = Windows::new(vec![0; 4], 2).unwrap().stride(0).unwrap_err().to_string();
        assert!(error.starts_with("windows: a stride of 0"), "{error}");
    }
}
