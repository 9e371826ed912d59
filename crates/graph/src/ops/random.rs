//! Random numbers: Philox4x32-10, counter-based, so that a draw does not depend on the launch that makes it.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use smallvec::smallvec;
use thalweg_ir::{DType, ErrorKind, Op, philox, shape::count};

use crate::{device::Device, record, shape::IntoShape, tensor::Tensor};

/// A stream on the host, for initial weights and shuffling.
#[derive(Clone, Debug)]
pub struct Rng {
    key: [u32; 2],
    stream: u32,
    next: u64,
    spare: Option<f64>,
}

impl Rng {
    /// The stream of a seed.
    pub fn seed(seed: u64) -> Rng {
        Rng { key: [seed as u32, (seed >> 32) as u32], stream: 0, next: 0, spare: None }
    }

    /// A word.
    pub fn next_u32(&mut self) -> u32 {
        let at = self.next;
        let block = at / 4;
        let words = philox([block as u32, (block >> 32) as u32, self.stream, 0x7468_616C], self.key);
        self.next = at.wrapping_add(1);
        words[(at % 4) as usize]
    }

    /// Uniform in `[0, 1)`, 24 bits.
    pub fn uniform(&mut self) -> f64 {
        f64::from(self.next_u32() >> 8) / f64::from(1u32 << 24)
    }

    /// Standard normal, by Box–Muller on `(u + 0.5) · 2⁻³²`.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let half_open = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
        let (u, v) = (half_open(self.next_u32()), half_open(self.next_u32()));
        let (radius, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Uniform in `0..n`, without bias; `n` is not 0.
    ///
    /// # Source
    /// Lemire 2019, "Fast random integer generation in an interval", arXiv:1805.10941.
    pub fn below(&mut self, n: u32) -> u32 {
        let threshold = n.wrapping_neg() % n.max(1);
        loop {
            let product = u64::from(self.next_u32()) * u64::from(n);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// `0..n` in random order: the shuffle of Fisher and Yates, from the back.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let bound = u32::try_from(i + 1).unwrap_or(u32::MAX);
            order.swap(i, self.below(bound) as usize);
        }
        order
    }

    /// All that it takes to go on from here, as words: what a checkpoint keeps.
    pub fn state(&self) -> [u64; 5] {
        let key = u64::from(self.key[0]) | u64::from(self.key[1]) << 32;
        let spare = self.spare.map_or(0, f64::to_bits);
        [key, u64::from(self.stream), self.next, u64::from(self.spare.is_some()), spare]
    }

    /// A stream that goes on from there.
    pub fn from_state([key, stream, next, has_spare, spare]: [u64; 5]) -> Rng {
        let spare = (has_spare != 0).then(|| f64::from_bits(spare));
        Rng { key: [key as u32, (key >> 32) as u32], stream: stream as u32, next, spare }
    }

    /// Another stream that has nothing in common with this one.
    pub fn fork(&mut self) -> Rng {
        let key = [self.next_u32(), self.next_u32()];
        Rng { key, stream: 1, next: 0, spare: None }
    }

    /// A stream for draws on a device.
    pub fn stream(&mut self) -> Stream {
        let key = u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32;
        Stream::of(Draws { key: key.into(), op: self.next_u32().into(), draw: 0.into() })
    }
}

/// A stream of draws made on a device. Each draw has a number, which is an input of the plan: replays draw anew.
/// Clones are the same stream.
#[derive(Clone, Debug)]
pub struct Stream {
    draws: Arc<Draws>,
    /// The number of its draws, where that is not for the host to count.
    at: Option<Tensor>,
}

#[derive(Debug)]
struct Draws {
    key: AtomicU64,
    op: AtomicU32,
    draw: AtomicU64,
}

impl Stream {
    fn of(draws: Draws) -> Stream {
        Stream { draws: Arc::new(draws), at: None }
    }

    /// The stream whose draws all have this number, `[]`: a count that the device keeps, say of steps. What is done again draws the same
    /// again, and nothing is counted here.
    #[track_caller]
    pub fn at(&self, number: &Tensor) -> Stream {
        Stream { draws: self.draws.clone(), at: Some(number.cast(DType::U32)) }
    }

    /// How many draws were made; checkpoints keep it.
    pub fn draws(&self) -> u64 {
        self.draws.draw.load(Ordering::Relaxed)
    }

    /// Goes on from this number of draws.
    pub fn set_draws(&self, draws: u64) {
        self.draws.draw.store(draws, Ordering::Relaxed);
    }

    /// A stream of its own that goes on from here with the same draws.
    pub(crate) fn apart(&self) -> Stream {
        let [key, op, draws] = self.state();
        Stream::of(Draws { key: key.into(), op: (op as u32).into(), draw: draws.into() })
    }

    /// All that it takes to go on from here, as words.
    pub(crate) fn state(&self) -> [u64; 3] {
        let Draws { key, op, draw } = &*self.draws;
        [key.load(Ordering::Relaxed), u64::from(op.load(Ordering::Relaxed)), draw.load(Ordering::Relaxed)]
    }

    /// Goes on from there.
    pub(crate) fn set_state(&self, [key, op, draws]: [u64; 3]) {
        self.draws.key.store(key, Ordering::Relaxed);
        self.draws.op.store(op as u32, Ordering::Relaxed);
        self.draws.draw.store(draws, Ordering::Relaxed);
    }

    /// What its clones have in common.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.draws) as usize
    }

    /// Words, U32: element `i` is word `i % 4` of the block with counter `(i / 4, op, draw)`. Uniform over all 2³².
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn words(&self, device: &Device, shape: impl IntoShape) -> Tensor {
        let word = |w: u32| Tensor::scalar(device, f64::from(w), DType::U32);
        let draw = self.at.clone().unwrap_or_else(|| {
            let draws = self.draws.clone();
            let next = move || f64::from(draws.draw.fetch_add(1, Ordering::Relaxed) as u32);
            Tensor::live_scalar(device, DType::U32, next)
        });
        let [key, op, _] = self.state();
        // Loading a snapshot may bring another seed, which a compiled function has to meet.
        record::depends(record::On::Seed(self.address()), || {
            let stream = self.clone();
            move || stream.state()[..2] == [key, op]
        });
        let inputs = smallvec![word(key as u32), word((key >> 32) as u32), word(op as u32), draw];
        Tensor::node(Op::Random, inputs, shape.into_shape(), DType::U32, device, Location::caller())
    }

    /// Uniform in `[0, 1)`, 24 bits, F32. The same on every device.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn uniform(&self, device: &Device, shape: impl IntoShape) -> Tensor {
        self.words(device, shape).shr(8).cast(DType::F32) * (1.0 / f64::from(1u32 << 24))
    }

    /// True with probability `p`, rounded to a multiple of 2⁻³² and limited to `[0, 1]`. The same on every device.
    ///
    /// # Shapes
    /// → `shape`, Bool
    #[track_caller]
    pub fn bernoulli(&self, device: &Device, p: f64, shape: impl IntoShape) -> Tensor {
        if !(0.0..=1.0).contains(&p) {
            let kind = ErrorKind::Invalid(format!("{p} is no probability"));
            return Tensor::fail_on(device, "bernoulli", kind);
        }
        let threshold = (p * 4_294_967_296.0).round();
        if threshold >= 4_294_967_296.0 {
            return Tensor::full(device, 1.0, shape, DType::F32).gt(0.0);
        }
        self.words(device, shape).lt(threshold)
    }

    /// Standard normal, F32: `√(-2 ln u) cos(2π v)` of two words an element.
    ///
    /// # Shapes
    /// → `shape`
    /// # Source
    /// Box & Muller 1958, "A note on the generation of random normal deviates".
    #[track_caller]
    pub fn normal(&self, device: &Device, shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        let u = (self.words(device, [2, count(&shape)]).shr(8).cast(DType::F32) + 0.5) * (1.0 / f64::from(1u32 << 24));
        let radius = (u.select(0, 0).log() * -2.0).sqrt();
        (radius * (u.select(0, 1) * std::f64::consts::TAU).cos()).reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_every_number_once() {
        let mut order = Rng::seed(3).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
