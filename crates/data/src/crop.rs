//! Random changes to images that keep what they show, for [`Dataset::augment`](crate::Dataset::augment).

use thalweg_graph::Rng;

use crate::host::Host;

/// Mirrored from left to right, or not: each as likely.
///
/// # Shapes
/// `[.., W]` → the same
pub fn random_flip<T>(mut image: Host<T>, rng: &mut Rng) -> Host<T> {
    if rng.below(2) == 1 {
        let width = image.shape.last().map_or(1, |width| (*width).max(1));
        image.values.chunks_mut(width).for_each(<[T]>::reverse);
    }
    image
}

/// A window of the image's own size at a random place of the image with `padding` zeros on every side: it moves by as much at most. (The
/// zero of a normalised image is its mean.)
///
/// ```
/// use thalweg_data::{Dataset, Digits, Seed, Shuffled, Stack, random_crop};
///
/// let moved = Digits::embedded()?.train.augment(Seed(0), |(image, label), rng| (random_crop(image, 1, rng), label));
/// let (images, labels) = moved.loader(50, Shuffled(Seed(0)), Stack)?.next_batch()?;
/// assert_eq!((images.shape, labels.shape), (vec![50, 1, 8, 8], vec![50]));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Shapes
/// `[.., H, W]` → the same; of fewer axes, as it is
pub fn random_crop<T: Copy + Default>(image: Host<T>, padding: usize, rng: &mut Rng) -> Host<T> {
    let [.., height, width] = *image.shape else { return image };
    let mut shift = || rng.below(2 * padding as u32 + 1) as isize - padding as isize;
    let (down, right) = (shift(), shift());
    let mut moved = vec![T::default(); image.values.len()];
    let within = |at: usize, by: isize, extent: usize| at.checked_add_signed(by).filter(|at| *at < extent);
    for (i, value) in moved.iter_mut().enumerate() {
        let (plane, y, x) = (i / (height * width), i / width % height, i % width);
        if let (Some(y), Some(x)) = (within(y, down, height), within(x, right, width)) {
            *value = image.values[(plane * height + y) * width + x];
        }
    }
    Host { values: moved, shape: image.shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Host<i32> {
        Host { values: (1..=12).collect(), shape: vec![2, 2, 3] }
    }

    #[test]
    fn flips_every_row_of_every_plane_or_none() {
        let flipped = vec![3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10];
        let rng = &mut Rng::seed(0);
        let all: Vec<_> = (0..200).map(|_| random_flip(image(), rng).values).collect();
        let count = all.iter().filter(|values| **values == flipped).count();
        assert!((70..130).contains(&count), "{count}");
        assert!(all.iter().all(|values| *values == flipped || *values == image().values));
    }

    #[test]
    fn every_place_is_as_likely_and_what_comes_in_is_zero() {
        let rng = &mut Rng::seed(0);
        let mut places = std::collections::BTreeMap::new();
        for _ in 0..900 {
            let moved = random_crop(image(), 1, rng);
            assert_eq!(moved.shape, [2, 2, 3]);
            // Both planes move alike.
            let [first, second] = [0, 6].map(|at| &moved.values[at..at + 6]);
            assert!(first.iter().zip(second).all(|(a, b)| (*a == 0 && *b == 0) || a + 6 == *b));
            *places.entry(first.to_vec()).or_insert(0) += 1;
        }
        assert_eq!(places.len(), 9);
        assert!(places.contains_key(&vec![0, 0, 0, 0, 1, 2]) && places.contains_key(&vec![5, 6, 0, 0, 0, 0]));
        assert!(places.values().all(|count| (60..150).contains(count)), "{places:?}");
        assert_eq!(random_crop(image(), 0, rng), image());
        let empty = Host::<f32> { values: vec![], shape: vec![3, 0, 2] };
        assert_eq!((random_crop(empty.clone(), 1, rng), random_flip(empty.clone(), rng)), (empty.clone(), empty));
    }
}
