//! Where in the data a loader stands.

use thalweg_graph::{ErrorKind, Result};

use crate::place::{error, invalid};

/// Where a [`Loader`](crate::Loader) stands: the batch that comes next, and what it is a position in. Plain numbers, to be kept
/// with a checkpoint: [`Position::to_words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u32,
    /// The batch of the epoch that comes next, from 0.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Items of the data set.
    pub items: usize,
    /// Items in a batch.
    pub size: usize,
    /// The sampler's [`key`](crate::Sampler::key), its seed; with random changes mixed with theirs.
    pub key: u64,
}

impl Position {
    /// As numbers: epoch, batch, batches, items, size, key.
    pub fn to_words(self) -> [u64; 6] {
        let [batch, batches, items, size] = [self.batch, self.batches, self.items, self.size].map(|n| n as u64);
        [self.epoch.into(), batch, batches, items, size, self.key]
    }

    /// From [`Position::to_words`].
    ///
    /// # Errors
    /// When they are none of its numbers.
    #[track_caller]
    pub fn from_words(words: [u64; 6]) -> Result<Position> {
        let [epoch, batch, batches, items, size, key] = words;
        let word = |n: u64| usize::try_from(n).ok();
        let (Ok(epoch), Some(batch), Some(batches), Some(items), Some(size)) =
            (u32::try_from(epoch), word(batch), word(batches), word(items), word(size))
        else {
            return Err(invalid("position", format!("{words:?} are not the numbers of a position")));
        };
        Ok(Position { epoch, batch, batches, items, size, key })
    }

    /// Whether a loader that stands at `self` can go to `to`.
    #[track_caller]
    pub(crate) fn check(self, to: Position) -> Result<()> {
        let differences = [
            ("items", to.items as u64, self.items as u64),
            ("items in a batch", to.size as u64, self.size as u64),
            ("batches in an epoch", to.batches as u64, self.batches as u64),
            ("as the key of its seeds", to.key, self.key),
        ];
        if let Some((what, was, is)) = differences.into_iter().find(|(_, was, is)| was != is) {
            let problem = format!("the position is one of a loader with {was} {what}, and this one has {is}");
            return Err(invalid("seek", problem));
        }
        if to.batch >= self.batches {
            let index = i64::try_from(to.batch).unwrap_or(i64::MAX);
            return Err(error("seek", ErrorKind::Index { index, axis: 0, extent: self.batches }));
        }
        Ok(())
    }
}

/// A batch of all epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub epoch: u32,
    pub batch: usize,
}

impl At {
    /// So many batches later, where an epoch has `batches`. Behind the last epoch is the first.
    pub fn plus(self, n: usize, batches: usize) -> At {
        let batch = self.batch.saturating_add(n);
        At { epoch: self.epoch.wrapping_add((batch / batches) as u32), batch: batch % batches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_six_numbers() {
        let position = Position { epoch: 3, batch: 1, batches: 2, items: 9, size: 5, key: u64::MAX };
        assert_eq!(position.to_words(), [3, 1, 2, 9, 5, u64::MAX]);
        assert_eq!(Position::from_words(position.to_words()), Ok(position));
        let error = Position::from_words([1 << 32, 0, 0, 0, 0, 0]).unwrap_err().to_string();
        assert!(error.starts_with("position: [4294967296, 0, 0, 0, 0, 0] are not the numbers"), "{error}");
    }

    #[test]
    fn runs_on_into_the_next_epoch() {
        let at = |epoch, batch| At { epoch, batch };
        assert_eq!(at(0, 0).plus(2, 3), at(0, 2));
        assert_eq!(at(0, 2).plus(1, 3), at(1, 0));
        assert_eq!(at(4, 2).plus(8, 3), at(7, 1));
        assert_eq!(at(u32::MAX, 0).plus(1, 1), at(0, 0));
    }
}
