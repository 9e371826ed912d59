//! What was taken for what.

use thalweg_graph::{Error, ErrorKind, Result};

/// How often each class was predicted for each: the counts behind accuracy, recall and intersection over union, gathered over as many
/// batches as there are.
///
/// ```
/// let mut confusion = thalweg_train::Confusion::new(2);
/// confusion.add(&[0, 0, 1, 1], &[0, 1, 1, 1])?; // predictions, labels
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.ious(), [Some(0.5), Some(2.0 / 3.0)]);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[label, prediction]`
    counts: Vec<u64>,
}

impl Confusion {
    /// Of so many classes, and nothing yet.
    pub fn new(classes: usize) -> Confusion {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Counts predictions of images, pixels or words, each with its label.
    ///
    /// # Errors
    /// Not as many labels as predictions; a class that there is not. Nothing is counted then.
    #[track_caller]
    pub fn add(&mut self, predictions: &[i32], labels: &[i32]) -> Result<()> {
        let invalid = |problem| Err(Error::new("confusion", ErrorKind::Invalid(problem)));
        if predictions.len() != labels.len() {
            return invalid(format!("{} predictions for {} labels", predictions.len(), labels.len()));
        }
        let known = |class: &&i32| usize::try_from(**class).is_ok_and(|class| class < self.classes);
        if let Some(class) = predictions.iter().chain(labels).find(|class| !known(class)) {
            return invalid(format!("{class} is none of {} classes", self.classes));
        }
        for (prediction, label) in predictions.iter().zip(labels) {
            self.counts[*label as usize * self.classes + *prediction as usize] += 1;
        }
        Ok(())
    }

    /// How often what is of class `label` was taken for `prediction`.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        self.counts[label * self.classes + prediction]
    }

    /// The share of right predictions; of none NaN.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// For each class its intersection over union, `TP / (TP + FP + FN)`; `None` where it is neither there nor predicted.
    pub fn ious(&self) -> Vec<Option<f64>> {
        let iou = |class: usize| {
            let both = self.count(class, class);
            let union: u64 = (0..self.classes).map(|other| self.count(class, other) + self.count(other, class)).sum();
            (union > 0).then(|| both as f64 / (union - both) as f64)
        };
        (0..self.classes).map(iou).collect()
    }

    /// The mean intersection over union of the classes that have one; of none NaN.
    ///
    /// # Source
    /// Everingham et al. 2015, "The Pascal visual object classes challenge: a retrospective", §4.2.2 (segmentation accuracy).
    pub fn mean_iou(&self) -> f64 {
        let ious: Vec<f64> = self.ious().into_iter().flatten().collect();
        ious.iter().sum::<f64>() / ious.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_batches() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[0, 1, 1, 0], &[0, 1, 0, 0]).unwrap();
        confusion.add(&[1], &[0]).unwrap();
        assert_eq!((confusion.count(0, 1), confusion.count(0, 0), confusion.count(1, 0)), (2, 2, 0));
        assert_eq!(confusion.accuracy(), 0.6);
        // Class 0: 2 of 4; class 1: 1 of 3; class 2 is nowhere.
        assert_eq!(confusion.ious(), [Some(0.5), Some(1.0 / 3.0), None]);
        assert!((confusion.mean_iou() - 5.0 / 12.0).abs() < 1e-12);
        assert!(Confusion::new(2).accuracy().is_nan() && Confusion::new(2).mean_iou().is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_changes_nothing() {
        let mut confusion = Confusion::new(2);
        for (predictions, labels, says) in [
            (&[0][..], &[0, 1][..], "1 predictions for 2 labels"),
            (&[0, 2], &[0, 1], "2 is none of 2 classes"),
            (&[0, 1], &[0, -1], "-1 is none of 2 classes"),
        ] {
            let error = confusion.add(predictions, labels).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!((error.location().file(), confusion.clone()), (file!(), Confusion::new(2)));
        }
    }
}
