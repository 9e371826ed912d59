//! Moments in half the memory.

use thalweg_graph::{DType, Rng, Stream, Tensor};

use crate::rule::{Rule, Slot, Start, Step};

/// A rule whose moments are kept in bf16. They are rounded to one of their two neighbours by chance, to the nearer one more often, so
/// that changes too small for 8 bits add up on average: 1 in 1000, as the second moment of Adam has them, would be lost to the nearest.
///
/// The draws are of the number of the step, so a run that is stopped and goes on draws what it would have drawn.
///
/// # Source
/// Gupta et al. 2015, arXiv:1502.02551, §3.2.
#[derive(Debug)]
pub struct Bf16Moments<R> {
    rule: R,
    /// One for each slot.
    streams: Vec<Stream>,
}

impl<R: Rule> Bf16Moments<R> {
    pub(crate) fn new(rule: R, rng: &mut Rng) -> Bf16Moments<R> {
        let streams = rule.slots().iter().map(|_| rng.stream()).collect();
        Bf16Moments { rule, streams }
    }

    /// The names of what is kept in bf16: what starts at a number, as moments do.
    fn moments(&self) -> impl Iterator<Item = (&'static str, &Stream)> {
        let slots = self.rule.slots().into_iter().zip(&self.streams);
        slots.filter(|(slot, _)| is_moment(slot)).map(|(slot, stream)| (slot.name(), stream))
    }
}

fn is_moment(slot: &Slot) -> bool {
    matches!(slot, Slot::Flat { start: Start::At(_), .. })
}

impl<R: Rule> Rule for Bf16Moments<R> {
    fn lr(&self) -> f64 {
        self.rule.lr()
    }

    fn slots(&self) -> Vec<Slot> {
        let narrow = |slot| match slot {
            Slot::Flat { name, start: start @ Start::At(_), .. } => {
                Slot::Flat { name, start, dtype: Some(DType::BF16) }
            }
            slot => slot,
        };
        self.rule.slots().into_iter().map(narrow).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.rule.check()
    }

    fn by_shape(&self) -> bool {
        self.rule.by_shape()
    }

    fn observe(&self, s: &mut Step) {
        self.rule.observe(s);
        self.round(s);
    }

    fn evaluated(&self, s: &Step) -> Option<Tensor> {
        self.rule.evaluated(s)
    }

    fn update(&self, s: &mut Step) -> Tensor {
        let p = self.rule.update(s);
        self.round(s);
        p
    }
}

impl<R: Rule> Bf16Moments<R> {
    fn round(&self, s: &mut Step) {
        for (name, stream) in self.moments() {
            if let Some(new) = s.new_of(name) {
                let u = stream.at(s.steps()).uniform(new.device(), new.shape());
                s.set(name, &stochastic(&new.cast(DType::F32), &u));
            }
        }
    }
}

/// F32 numbers that are bf16 numbers: of the two around `x` the one that is farther with the probability of its share of the way.
fn stochastic(x: &Tensor, u: &Tensor) -> Tensor {
    let near = x.cast(DType::BF16).cast(DType::F32);
    let way = x - &near;
    // From one bf16 number to the next, on x's side of a power of two: 7 bits behind the first.
    let step = (x.abs().log2().floor() - 7.0).exp2();
    (u * &step).lt(way.abs()).where_(&near + way.sign() * step, near)
}
