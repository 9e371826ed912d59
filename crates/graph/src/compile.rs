//! Functions recorded once and replayed: nothing is traced, hashed or planned again.
//!
//! The first call with inputs of some shapes runs the function and keeps the runs that it made: their programs, where each leaf
//! came from (an input, an earlier run, a parameter, a draw, a constant), and what the host did after them (a parameter's new
//! version). Every later call binds the new inputs and queues the same plans.

mod copy;
mod replay;

use thalweg_ir::{DType, Result};

use crate::{
    record,
    tensor::{Tensor, next_id},
    variable::settle,
};
pub(crate) use copy::copy;
use replay::Recording;

/// Signatures of inputs for which a step keeps recordings.
const RECORDINGS: usize = 8;

/// A function of `N` tensors with `M` results that is recorded when it is first called, and replayed afterwards.
///
/// Its Rust code runs once for each signature of its inputs (shapes, dtypes, precision), and again when a mode or a frozen flag that
/// it met is another. What it computes on the device is done by every call; parameters, states, random draws, the learning rate and
/// its schedule move on as they do without it. What it does on the host alone (printing, counting, calling `net.eval()`) is not done
/// again, a tensor that it makes from host numbers is a constant, and reading a value inside it is an error.
///
/// ```text
/// let mut step = compile(|[images, labels]| {
///     let loss = net.forward(&images).cross_entropy(&labels);
///     opt.step(&loss)?;
///     Ok([loss])
/// });
/// for batch in batches {
///     let [loss] = step.call([&batch.images.to(&device), &batch.labels.to(&device)])?;
/// }
/// ```
#[derive(Debug)]
pub struct Step<F, const N: usize, const M: usize> {
    f: F,
    recordings: Vec<(Signature, Recording<M>)>,
}

/// What must be equal for a recording to be good for other inputs.
type Signature = Vec<(Vec<usize>, DType, Option<DType>)>;

/// Makes a [`Step`] of a function.
pub fn compile<const N: usize, const M: usize, F>(f: F) -> Step<F, N, M>
where
    F: FnMut([Tensor; N]) -> Result<[Tensor; M]>,
{
    Step { f, recordings: Vec::new() }
}

impl<F, const N: usize, const M: usize> Step<F, N, M>
where
    F: FnMut([Tensor; N]) -> Result<[Tensor; M]>,
{
    /// Calls the function, or replays what it did. The results are values without history: gradients are taken inside.
    ///
    /// # Errors
    /// An error that an input carries or that the function gives; a read inside it; what went wrong on the device.
    #[track_caller]
    pub fn call(&mut self, inputs: [&Tensor; N]) -> Result<[Tensor; M]> {
        inputs.iter().try_for_each(|t| t.check())?;
        // Inside another one that is being recorded, this is a function like any other.
        if record::is_recording() {
            return (self.f)(inputs.map(Clone::clone));
        }
        let inputs = inputs.map(Tensor::detach);
        Tensor::eval_all(&inputs)?;
        let signature: Signature =
            inputs.iter().map(|t| (t.shape().to_vec(), t.dtype(), t.device().compute_dtype())).collect();
        let good = |(known, recording): &(Signature, Recording<M>)| *known == signature && recording.is_good();
        if let Some(at) = self.recordings.iter().position(good) {
            match self.recordings[at].1.replay(&inputs)? {
                Some(results) => return Ok(results),
                // A parameter has moved to another buffer.
                None => drop(self.recordings.remove(at)),
            }
        }
        if self.recordings.len() == RECORDINGS {
            log::warn!("a compiled step meets inputs of more than {RECORDINGS} kinds; the latest is {signature:?}");
            self.recordings.remove(0);
        }
        let (recording, results) = self.record(inputs)?;
        self.recordings.push((signature, recording));
        Ok(results)
    }

    #[track_caller]
    fn record(&mut self, inputs: [Tensor; N]) -> Result<(Recording<M>, [Tensor; M])> {
        // Each in a buffer of its own, by which it is known in the runs.
        let mut alone = inputs;
        for input in &mut alone {
            *input = copy(input)?;
        }
        let (results, tape) = record::record(next_id(), || {
            let results = (self.f)(alone.clone())?;
            Tensor::eval_all(&results)?;
            // What the function set and no optimizer wrote.
            settle(record::states())?;
            Ok(results)
        })?;
        let recording = Recording::new(&alone, tape, &results)?;
        let values = recording.results(results)?;
        Ok((recording, values))
    }

    /// For how many signatures of inputs it is recorded.
    pub fn recordings(&self) -> usize {
        self.recordings.len()
    }
}
