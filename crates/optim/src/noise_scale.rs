//! How noisy gradients are, which says how large batches are worth it.

use std::cell::Cell;

use thalweg_graph::{
    Error, ErrorKind, Result,
    module::snapshot::{Loading, Snapshot, Stateful, Value},
};

/// The gradient noise scale `B_noise = tr Σ / |G|²`, from the squared norms of gradients of small and of large batches:
///
/// ```text
/// |G|² ≈ (B |g_B|² - b |g_b|²) / (B - b),   tr Σ ≈ (|g_b|² - |g_B|²) / (1/b - 1/B)
/// ```
///
/// Either alone is a noisy guess. Both are smoothed, each by itself, before they are divided.
///
/// ```
/// use thalweg_optim::NoiseScale;
/// let noise = NoiseScale::new(0.95)?;
/// assert_eq!(noise.get(), None);
/// noise.report((32.0, 1.5), (1024.0, 0.2)); // of a micro-batch, and of the whole batch
/// assert!((noise.get().unwrap() - 271.673).abs() < 1e-3);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Source
/// McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
#[derive(Clone, Debug)]
pub struct NoiseScale {
    decay: f64,
    now: Cell<Means>,
}

/// Means from zero, and what they would be of ones.
#[derive(Clone, Copy, Debug, Default)]
struct Means {
    signal: f64,
    noise: f64,
    weight: f64,
}

impl NoiseScale {
    /// Smoothed by this decay, say 0.95 to 0.99.
    ///
    /// # Errors
    /// A decay that is not in `[0, 1)`.
    #[track_caller]
    pub fn new(decay: f64) -> Result<NoiseScale> {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::new("noise_scale", ErrorKind::Invalid(format!("{decay} is no decay: it is in [0, 1)"))));
        }
        Ok(NoiseScale { decay, now: Cell::default() })
    }

    /// Notes a batch size and the squared norm of its mean gradient, of a small and of a large batch. What is not finite, and sizes
    /// that do not differ, say nothing and are left out.
    pub fn report(&self, (small, of_small): (f64, f64), (large, of_large): (f64, f64)) {
        let signal = (large * of_large - small * of_small) / (large - small);
        let noise = (of_small - of_large) / (1.0 / small - 1.0 / large);
        if !(signal.is_finite() && noise.is_finite()) {
            return;
        }
        let mix = |mean: f64, new: f64| self.decay * mean + (1.0 - self.decay) * new;
        let Means { signal: s, noise: n, weight } = self.now.get();
        self.now.set(Means { signal: mix(s, signal), noise: mix(n, noise), weight: mix(weight, 1.0) });
    }

    /// `|G|²` as it is known.
    pub fn signal(&self) -> Option<f64> {
        let Means { signal, weight, .. } = self.now.get();
        (weight > 0.0).then(|| signal / weight)
    }

    /// `tr Σ` as it is known.
    pub fn noise(&self) -> Option<f64> {
        let Means { noise, weight, .. } = self.now.get();
        (weight > 0.0).then(|| noise / weight)
    }

    /// The noise scale, once both parts of it are positive.
    pub fn get(&self) -> Option<f64> {
        let (signal, noise) = (self.signal()?, self.noise()?);
        (signal > 0.0 && noise > 0.0).then(|| noise / signal)
    }
}

/// A batch size that doubles when the noise scale has been more than twice as large for some reports in a row. It never shrinks.
#[derive(Clone, Debug)]
pub struct GrowingBatch {
    max: u64,
    patience: u64,
    /// The size, and for how many reports it has been too small.
    now: Cell<(u64, u64)>,
}

impl GrowingBatch {
    /// From one size up to another, doubling after so many reports.
    ///
    /// # Errors
    /// Sizes of 0, or a first one above the last.
    #[track_caller]
    pub fn new(first: u64, max: u64, patience: u64) -> Result<GrowingBatch> {
        if first == 0 || first > max || patience == 0 {
            let problem = format!("no sizes grow from {first} to {max} after {patience} reports");
            return Err(Error::new("growing_batch", ErrorKind::Invalid(problem)));
        }
        Ok(GrowingBatch { max, patience, now: Cell::new((first, 0)) })
    }

    /// The size now.
    pub fn size(&self) -> u64 {
        self.now.get().0
    }

    /// The size after one more measurement of the noise scale.
    pub fn report(&self, noise_scale: f64) -> u64 {
        let (size, waited) = self.now.get();
        let waited = if noise_scale > 2.0 * size as f64 { waited + 1 } else { 0 };
        let due = waited >= self.patience;
        self.now.set(if due { ((2 * size).min(self.max), 0) } else { (size, waited) });
        self.size()
    }
}

const MEANS: &str = "#means";
const BATCH: &str = "#batch";

impl Stateful for NoiseScale {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let Means { signal, noise, weight } = self.now.get();
        to.insert(MEANS, Value::Words([signal, noise, weight].map(f64::to_bits).to_vec()));
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let [signal, noise, weight] = from.words(MEANS)?.map(f64::from_bits);
        let mut loading = Loading::new();
        loading.then(move || {
            self.now.set(Means { signal, noise, weight });
            Ok(())
        });
        Ok(loading)
    }
}

impl Stateful for GrowingBatch {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let (size, waited) = self.now.get();
        to.insert(BATCH, Value::Words(vec![size, waited]));
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let [size, waited] = from.words(BATCH)?;
        let mut loading = Loading::new();
        loading.then(move || {
            self.now.set((size, waited));
            Ok(())
        });
        Ok(loading)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_graph::Rng;

    use super::*;

    #[test]
    fn the_estimate_is_that_of_the_specification() {
        let noise = NoiseScale::new(0.95).unwrap();
        noise.report((32.0, 1.5), (1024.0, 0.2));
        for (got, want) in
            [(noise.signal(), 0.158_064_516_1), (noise.noise(), 42.941_935_48), (noise.get(), 271.673_469_4)]
        {
            assert!((got.unwrap() - want).abs() < 1e-8 * want, "{got:?}, not {want}");
        }
        noise.report((32.0, 1.5), (32.0, 0.2));
        noise.report((32.0, f64::NAN), (64.0, 0.2));
        assert!((noise.get().unwrap() - 271.673_469_4).abs() < 1e-6);
    }

    /// Gradients `G + N(0, Σ)` whose noise is known: |G|² = 4, tr Σ = 40 per sample.
    #[test]
    fn known_noise_is_found() {
        let (rng, noise) = (&mut Rng::seed(5), NoiseScale::new(0.999).unwrap());
        let (small, large) = (1, 32);
        for _ in 0..2000 {
            let mut sums = [[0.0; 40]; 2];
            for sample in 0..large {
                let gradient: [f64; 40] = std::array::from_fn(|i| if i == 0 { 2.0 } else { 0.0 } + rng.normal());
                let sum = |sum: &mut [f64; 40]| sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
                if sample < small {
                    sum(&mut sums[0]);
                }
                sum(&mut sums[1]);
            }
            let norm = |i: usize, n: usize| sums[i].iter().map(|s| (s / n as f64).powi(2)).sum::<f64>();
            noise.report((small as f64, norm(0, small)), (large as f64, norm(1, large)));
        }
        let got = noise.get().unwrap();
        assert!((got - 10.0).abs() < 0.5, "{got}");
    }

    #[test]
    fn batches_double_and_never_shrink() {
        let batch = GrowingBatch::new(32, 100, 2).unwrap();
        let sizes = [65.0, 64.0, 65.0, 70.0, 1e4, 1e4, 1e9, 0.0].map(|scale| batch.report(scale));
        assert_eq!(sizes, [32, 32, 32, 64, 64, 100, 100, 100]);
        let (again, mut saved) = (GrowingBatch::new(32, 100, 2).unwrap(), Snapshot::new());
        batch.save(&mut saved).unwrap();
        again.load(&saved).unwrap();
        assert_eq!(again.size(), 100);
        assert!(GrowingBatch::new(0, 1, 1).is_err() && NoiseScale::new(1.0).is_err());
    }
}
