//! How many samples a step takes, over a run. The micro-batch stays what fits; the number of them in a step changes.

use std::{fmt, sync::Arc};

use super::{Family, Lambda, Schedule, check, recurrence::Recurrence};

/// By what the size changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Steps,
    Samples,
    Tokens,
}

/// Batch sizes: a schedule rounded down to whole samples (sequences of tokens) and to a multiple of them, but at least that multiple.
///
/// ```
/// use thalweg_optim::schedule::{BatchSize, Linear};
/// // GPT-3: from 32 thousand tokens to 3.2 million over the first four billion.
/// let sizes = BatchSize::by_tokens(Linear { from: 32_768.0, to: 3.2e6, over: 4e9 }, 2048);
/// assert_eq!((sizes.at(0.0), sizes.at(1e9), sizes.at(4e9)), (16, 402, 1562));
/// ```
///
/// # Source
/// Brown et al. 2020, arXiv:2005.14165, appendix B; Chowdhery et al. 2022, arXiv:2204.02311, §5 (in stages).
#[derive(Clone)]
pub struct BatchSize {
    size: Box<Schedule>,
    by: By,
    sequence: u64,
    multiple: u64,
    /// Samples before each step.
    before: Arc<Recurrence>,
}

impl BatchSize {
    fn new(size: Schedule, by: By, sequence: u64) -> BatchSize {
        BatchSize { size: Box::new(size), by, sequence, multiple: 1, before: Arc::new(Recurrence::new(0.0)) }
    }

    /// Sizes in tokens by the tokens consumed before, in sequences of so many.
    pub fn by_tokens(size: impl Into<Schedule>, sequence: u64) -> BatchSize {
        BatchSize::new(size.into(), By::Tokens, sequence)
    }

    /// Sizes in samples by the samples consumed before.
    pub fn by_samples(size: impl Into<Schedule>) -> BatchSize {
        BatchSize::new(size.into(), By::Samples, 1)
    }

    /// Sizes in samples by the steps taken before.
    pub fn by_steps(size: impl Into<Schedule>) -> BatchSize {
        BatchSize::new(size.into(), By::Steps, 1)
    }

    /// With samples of so many tokens.
    #[must_use]
    pub fn sequence(mut self, tokens: u64) -> BatchSize {
        self.sequence = tokens;
        self
    }

    /// Rounded down to a multiple of this: the micro-batch times the devices it is spread over.
    #[must_use]
    pub fn multiple(mut self, of: u64) -> BatchSize {
        self.multiple = of;
        self
    }

    /// Samples of a step at this progress: steps, samples or tokens, by whichever the size changes.
    pub fn at(&self, progress: f64) -> u64 {
        let raw = self.size.at(progress);
        let samples = if self.by == By::Tokens { raw / self.sequence as f64 } else { raw };
        (samples as u64 / self.multiple).max(1) * self.multiple
    }

    /// Samples of a step, by its number from 0.
    pub fn of_step(&self, step: u64) -> u64 {
        self.after(step, self.samples_before(step))
    }

    /// Samples of all steps before this one.
    pub fn samples_before(&self, step: u64) -> f64 {
        self.before.at(step, |step, before| before + self.after(step, before) as f64)
    }

    /// Tokens of all steps before this one.
    pub fn tokens_before(&self, step: u64) -> f64 {
        self.samples_before(step) * self.sequence as f64
    }

    fn after(&self, step: u64, samples: f64) -> u64 {
        self.at(match self.by {
            By::Steps => step as f64,
            By::Samples => samples,
            By::Tokens => samples * self.sequence as f64,
        })
    }

    /// The first step before which so much was consumed.
    pub(super) fn steps_for(&self, much: f64, before: impl Fn(&BatchSize, u64) -> f64) -> f64 {
        if !much.is_finite() {
            return much;
        }
        // A step takes a sample at least.
        let (mut low, mut high) = (0, 1);
        while before(self, high) < much {
            (low, high) = (high, 2 * high);
        }
        while low < high {
            let middle = low.midpoint(high);
            (low, high) = if before(self, middle) < much { (middle + 1, high) } else { (low, middle) };
        }
        low as f64
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A description of it.
    pub fn check(&self) -> Result<(), String> {
        check::positive("sequence", self.sequence as f64)?;
        check::positive("multiple", self.multiple as f64)?;
        self.size.check()
    }
}

impl PartialEq for BatchSize {
    fn eq(&self, other: &BatchSize) -> bool {
        let all = |b: &BatchSize| (b.by, b.sequence, b.multiple);
        self.size == other.size && all(self) == all(other)
    }
}

impl fmt::Debug for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchSize { size, sequence, multiple, .. } = self;
        match self.by {
            By::Tokens => write!(f, "BatchSize::by_tokens({size:?}, {sequence})")?,
            By::Samples => write!(f, "BatchSize::by_samples({size:?})")?,
            By::Steps => write!(f, "BatchSize::by_steps({size:?})")?,
        }
        if self.by != By::Tokens && *sequence != 1 {
            write!(f, ".sequence({sequence})")?;
        }
        if *multiple != 1 {
            write!(f, ".multiple({multiple})")?;
        }
        Ok(())
    }
}

/// Larger batches instead of a smaller rate: where a schedule falls, the size rises from `first` by the same factor, up to `max`, and
/// only then does the rate fall. Gives the sizes, by step, and the rate that is left.
///
/// # Source
/// Smith et al. 2018, arXiv:1711.00489.
pub fn instead_of_decay(rate: impl Family, first: f64, max: f64) -> (BatchSize, Schedule) {
    let rate: Schedule = rate.into();
    let raw = move |rate: &Schedule, t: f64| (first * rate.at(0.0) / rate.at(t)).min(max);
    let (of_size, of_rate) = (rate.clone(), rate.clone());
    let size = Lambda::new(&format!("{first} by {rate}"), move |t| raw(&of_size, t));
    let left = Lambda::new(&format!("{rate} by {first}"), move |t| of_rate.at(t) * raw(&of_rate, t) / first);
    (BatchSize::by_steps(size), left.into())
}
