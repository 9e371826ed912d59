//! How well objects are found: boxes, and the average precision of those that a detector gives.

/// An upright box, in pixels or whatever the unit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Where it begins from the left.
    pub left: f64,
    /// Where it begins from above.
    pub top: f64,
    /// Where it ends to the right.
    pub right: f64,
    /// Where it ends below.
    pub bottom: f64,
}

impl Bounds {
    /// Around a centre.
    pub fn around(x: f64, y: f64, width: f64, height: f64) -> Bounds {
        Bounds { left: x - width / 2.0, top: y - height / 2.0, right: x + width / 2.0, bottom: y + height / 2.0 }
    }

    /// What it covers: 0 where it ends before it begins.
    pub fn area(&self) -> f64 {
        (self.right - self.left).max(0.0) * (self.bottom - self.top).max(0.0)
    }

    /// Intersection over union: 1 for the same box, 0 for boxes apart, and for boxes that cover nothing.
    pub fn iou(&self, other: &Bounds) -> f64 {
        let both = Bounds {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let union = self.area() + other.area() - both.area();
        if union > 0.0 { both.area() / union } else { 0.0 }
    }
}

/// An object of some class that a detector believes to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// In which image.
    pub image: usize,
    /// How sure it is: only the order counts.
    pub score: f64,
    /// Where.
    pub bounds: Bounds,
}

/// The surest first; those of equal score in the order in which they were given, NaN last.
fn ranked(detections: &[Detection]) -> Vec<Detection> {
    let mut ranked = detections.to_vec();
    let key = |detection: &Detection| if detection.score.is_nan() { f64::NEG_INFINITY } else { detection.score };
    ranked.sort_by(|a, b| key(b).total_cmp(&key(a)));
    ranked
}

/// The detections without those that cover nearly what a surer one covers in the same image: non-maximum suppression. What is left has
/// an intersection over union of at most `most`, and comes the surest first.
pub fn suppress(detections: &[Detection], most: f64) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    for next in ranked(detections) {
        if kept.iter().all(|other| other.image != next.image || other.bounds.iou(&next.bounds) <= most) {
            kept.push(next);
        }
    }
    kept
}

/// The average precision of the detections of one class, given its objects (image and bounds): the area under precision as a function of
/// recall, where precision at a recall is the best at that recall or a higher one. Its mean over classes is called mAP.
///
/// The surest detection comes first. One is right if the object of its image that it covers best has an intersection over union of at
/// least `least` with it, and was not found before.
///
/// Without objects it is 1 if there are no detections either, else 0.
///
/// ```
/// use thalweg_train::{Bounds, Detection, average_precision};
///
/// let at = |x| Bounds::around(x, 0.0, 2.0, 2.0);
/// let objects = [(0, at(0.0)), (0, at(9.0))];
/// let found = |score, x| Detection { image: 0, score, bounds: at(x) };
/// assert_eq!(average_precision(&[found(0.9, 0.1), found(0.8, 8.9)], &objects, 0.5), 1.0);
/// assert_eq!(average_precision(&[found(0.9, 0.1), found(0.8, 0.2)], &objects, 0.5), 0.5);
/// ```
///
/// # Source
/// Everingham et al. 2015, "The Pascal visual object classes challenge: a retrospective", §4.1, with the area of 2010 and later.
pub fn average_precision(detections: &[Detection], objects: &[(usize, Bounds)], least: f64) -> f64 {
    if objects.is_empty() {
        return if detections.is_empty() { 1.0 } else { 0.0 };
    }
    let mut found = vec![false; objects.len()];
    let (mut right, mut precisions) = (0, Vec::new());
    for (rank, detection) in ranked(detections).iter().enumerate() {
        let there = objects.iter().enumerate().filter(|(_, (image, _))| *image == detection.image);
        let overlaps = there.map(|(i, (_, bounds))| (i, bounds.iou(&detection.bounds)));
        let best = overlaps.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, iou)| *iou >= least);
        if let Some((i, _)) = best.filter(|(i, _)| !found[*i]) {
            found[i] = true;
            right += 1;
            // Recall rises by one object here, and nowhere else.
            precisions.push(f64::from(right) / (rank + 1) as f64);
        }
    }
    let (mut best, mut area) = (0.0_f64, 0.0);
    for precision in precisions.into_iter().rev() {
        best = best.max(precision);
        area += best;
    }
    area / objects.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64) -> Bounds {
        Bounds::around(x, 0.0, 2.0, 2.0)
    }

    fn found(image: usize, score: f64, x: f64) -> Detection {
        Detection { image, score, bounds: at(x) }
    }

    #[test]
    fn overlaps_are_shares_of_the_union() {
        assert_eq!((at(0.0).iou(&at(0.0)), at(0.0).iou(&at(5.0))), (1.0, 0.0));
        assert!((at(0.0).iou(&at(1.0)) - 1.0 / 3.0).abs() < 1e-12);
        let inner = Bounds::around(0.0, 0.0, 1.0, 1.0);
        assert_eq!((inner.iou(&at(0.0)), at(0.0).iou(&inner)), (0.25, 0.25));
        let inverted = Bounds { left: 1.0, right: -1.0, ..at(0.0) };
        assert_eq!((inverted.area(), inverted.iou(&at(0.0)), inverted.iou(&inverted)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn what_a_surer_one_covers_goes() {
        let all = [found(0, 0.5, 0.1), found(0, 0.9, 0.0), found(1, 0.4, 0.0), found(0, 0.3, 1.5), found(0, 0.2, 0.2)];
        assert_eq!(suppress(&all, 0.5), [all[1], all[2], all[3]]);
        assert_eq!(suppress(&all, 1.0).len(), 5);
    }

    /// By hand: right, wrong, right, wrong, and one object that is never found. Precision is 1 at recall 1/3 and 2/3 at recall 2/3.
    #[test]
    fn is_the_area_under_precision_by_recall() {
        let objects = [(0, at(0.0)), (1, at(0.0)), (1, at(20.0))];
        let all = [found(0, 0.9, 0.0), found(0, 0.8, 7.0), found(1, 0.7, 0.1), found(1, 0.6, 0.0)];
        let ap = average_precision(&all, &objects, 0.5);
        assert!((ap - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12, "{ap}");
        // The order in which they are given says nothing.
        let reversed: Vec<Detection> = all.iter().rev().copied().collect();
        assert_eq!(average_precision(&reversed, &objects, 0.5), ap);
    }

    /// Wrong, right, right: precisions 1/2 and 2/3, and the better one counts at both recalls.
    #[test]
    fn a_precision_counts_at_lower_recalls_too() {
        let objects = [(0, at(0.0)), (0, at(9.0))];
        let all = [found(0, 0.9, 4.0), found(0, 0.8, 0.0), found(0, 0.7, 9.0)];
        assert!((average_precision(&all, &objects, 0.5) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn an_object_is_found_once_in_its_own_image_and_well_enough() {
        let objects = [(0, at(0.0))];
        assert_eq!(average_precision(&[found(1, 0.9, 0.0)], &objects, 0.5), 0.0);
        assert_eq!(average_precision(&[found(0, 0.9, 1.0)], &objects, 0.5), 0.0);
        assert_eq!(average_precision(&[found(0, 0.9, 1.0)], &objects, 0.3), 1.0);
        assert_eq!(average_precision(&[found(0, f64::NAN, 9.0), found(0, 0.1, 0.0)], &objects, 0.5), 1.0);
        assert_eq!((average_precision(&[], &objects, 0.5), average_precision(&[], &[], 0.5)), (0.0, 1.0));
        assert_eq!(average_precision(&[found(0, 0.9, 0.0)], &[], 0.5), 0.0);
    }
}
