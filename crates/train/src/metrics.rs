//! Measures of how well a model does: of a classifier as tensors, of sequences and of pairs as numbers on the host.

use thalweg_graph::{DType, Tensor};

/// For each row whether its largest logit is the label's: 1 or 0.
///
/// # Shapes
/// `logits [B, C]`, `labels [B]` (I32) → `[B]` (F32)
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1).eq(labels).cast(DType::F32)
}

/// The share of rows whose largest logit is the label's.
///
/// # Shapes
/// `logits [B, C]`, `labels [B]` (I32) → a scalar (F32)
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    correct(logits, labels).mean(..)
}

/// How many items have to be put in, taken out or exchanged to make one sequence of another: over the length of what was meant, the
/// error rate of characters or words.
///
/// ```
/// use thalweg_train::edit_distance;
/// assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
/// assert_eq!(edit_distance(&[1, 2, 3], &[2, 3]), 1);
/// ```
///
/// # Source
/// Levenshtein 1966, "Binary codes capable of correcting deletions, insertions, and reversals"; row by row: Wagner & Fischer 1974.
pub fn edit_distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // row[j] = distance of what was seen of a from b[..j].
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The share of pairs of one person (`same`) that are more alike than all but a share `false_accepts` of pairs of two (`different`):
/// the verification rate at that false-accept rate. Of no pairs it is not a number; a pair is accepted above the threshold alone, so
/// that no more are accepted wrongly than is allowed.
///
/// ```
/// use thalweg_train::verification_rate;
/// let (same, different) = ([0.9, 0.8, 0.6, 0.4], [0.7, 0.5, 0.3, 0.1]);
/// assert_eq!(verification_rate(&same, &different, 0.0), 0.5);
/// assert_eq!(verification_rate(&same, &different, 0.25), 0.75);
/// ```
///
/// # Source
/// TAR at FAR, as in Klare et al. 2015, "Pushing the frontiers of unconstrained face detection and recognition".
pub fn verification_rate(same: &[f64], different: &[f64], false_accepts: f64) -> f64 {
    let mut sorted = different.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let allowed = (false_accepts * sorted.len() as f64).floor() as usize;
    let threshold = sorted.get(allowed).copied().unwrap_or(f64::NEG_INFINITY);
    same.iter().filter(|score| **score > threshold).count() as f64 / same.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: the shortest way over all of them.
    fn by_hand(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => by_hand(a, b),
            ([_, short_a @ ..], [_, short_b @ ..]) => {
                1 + by_hand(short_a, short_b).min(by_hand(a, short_b)).min(by_hand(short_a, b))
            }
        }
    }

    #[test]
    fn edits_are_the_fewest() {
        let rng = &mut thalweg_graph::Rng::seed(1);
        for _ in 0..200 {
            let mut word = |most: u32| -> Vec<u8> { (0..rng.below(most)).map(|_| rng.below(3) as u8).collect() };
            let (a, b) = (word(7), word(7));
            assert_eq!(edit_distance(&a, &b), by_hand(&a, &b), "{a:?} {b:?}");
            assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
        }
    }

    #[test]
    fn no_more_are_accepted_than_is_allowed() {
        let different = [0.5, 0.5, 0.5, 0.1];
        // Of three that tie none may be accepted, as all would be.
        assert_eq!(verification_rate(&[0.5, 0.6], &different, 0.5), 0.5);
        assert_eq!(verification_rate(&[0.5, 0.2, 0.0], &different, 0.75), 2.0 / 3.0);
        assert_eq!(verification_rate(&[0.5, -1.0], &different, 1.0), 1.0);
        assert_eq!(verification_rate(&[0.5], &[], 0.0), 1.0);
        assert!(verification_rate(&[], &different, 0.1).is_nan());
    }
}
