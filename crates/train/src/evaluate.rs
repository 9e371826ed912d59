//! Loss and accuracy of a classifier over a data set.

use thalweg_data::InMemory;
use thalweg_graph::{Device, Result, Tensor};

use crate::metrics::correct;

/// How well a classifier does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Share of right predictions, from 0 to 1.
    pub accuracy: f64,
}

/// Runs `forward` over the whole set in batches of one shape (so one plan; padding weighs nothing), and reads two numbers
/// per batch at the end. The model must be in evaluation mode.
///
/// # Errors
/// A batch size of 0; the error that the logits carry; what went wrong on the device.
#[track_caller]
pub fn evaluate(data: &InMemory, batch: usize, device: &Device, forward: impl Fn(&Tensor) -> Tensor) -> Result<Score> {
    let mut sums = Vec::new();
    for batch in data.in_order(batch)? {
        let [images, weights] = [&batch.images, &batch.weights].map(|host| host.to(device));
        let labels = batch.labels.to(device);
        let logits = forward(&images);
        let loss = -logits.log_softmax(-1).gather(1, &labels.unsqueeze(1)).squeeze(1);
        let both = [loss, correct(&logits, &labels)].map(|each| (each * &weights).sum(..));
        let both = Tensor::stack(&both, 0);
        both.eval()?;
        sums.push(both);
    }
    let mut score = Score { loss: 0.0, accuracy: 0.0 };
    for both in sums {
        let both = both.to_vec::<f32>()?;
        score.loss += f64::from(both[0]) / data.len() as f64;
        score.accuracy += f64::from(both[1]) / data.len() as f64;
    }
    Ok(score)
}
