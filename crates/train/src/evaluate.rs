//! Loss and accuracy of a classifier over a data set.

use thalweg_data::{Dataset, Host, InOrder, Stack};
use thalweg_graph::{Device, Result, Tensor};

use crate::{mean::mean_over, metrics::correct};

/// How well a classifier does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Share of right predictions, from 0 to 1.
    pub accuracy: f64,
}

/// Runs `forward` over a whole set of inputs and labels in batches of one shape (so one plan; padding weighs nothing), and
/// reads two numbers per batch at the end. The model must be in evaluation mode. For other measures there is [`mean_over`].
///
/// # Errors
/// A batch size of 0; no items; inputs of different shapes; the error that the logits carry; what went wrong on the device.
#[track_caller]
pub fn evaluate<D>(data: &D, batch: usize, device: &Device, forward: impl Fn(&Tensor) -> Tensor) -> Result<Score>
where
    D: Dataset<Item = (Host<f32>, i32)> + Clone + 'static,
{
    let batches = data.clone().loader(batch, InOrder, Stack)?.pad_tail();
    let [loss, accuracy] = mean_over(batches, device, |(inputs, labels)| {
        let labels = labels.to(device);
        let logits = forward(&inputs.to(device));
        let loss = -logits.log_softmax(-1).gather(1, &labels.unsqueeze(1)).squeeze(1);
        [loss, correct(&logits, &labels)]
    })?;
    Ok(Score { loss, accuracy })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_data::{InMemory, Seed};

    use super::*;

    /// A model that gives the logits that its inputs are: `[a, 0]`.
    #[test]
    fn any_data_set_of_inputs_and_labels_is_scored() {
        let device = Device::new(Arc::new(StrictCpu::new()));
        let data = InMemory::new(vec![1.0, 0.0, 2.0, 0.0, -3.0, 0.0], &[2], vec![0, 1, 1]).unwrap();
        let softplus = |x: f64| (1.0 + x.exp()).ln();
        let want = (softplus(-1.0) + softplus(2.0) + softplus(-3.0)) / 3.0;
        for size in 1..5 {
            let score = evaluate(&data, size, &device, Tensor::clone).unwrap();
            assert!((score.loss - want).abs() < 1e-6 && (score.accuracy - 2.0 / 3.0).abs() < 1e-6, "{score:?}");
        }
        let (rest, out) = data.clone().hold_out(0.4, Seed(1)).unwrap();
        let [rest, out] =
            [rest, out].map(|part| (part.len() as f64, evaluate(&part, 2, &device, Tensor::clone).unwrap()));
        assert!(((rest.0 * rest.1.loss + out.0 * out.1.loss) / 3.0 - want).abs() < 1e-6);
        let none = InMemory::new(vec![], &[2], vec![]).unwrap();
        for error in [evaluate(&none, 2, &device, Tensor::clone), evaluate(&data, 0, &device, Tensor::clone)] {
            assert_eq!(error.unwrap_err().location().line(), line!() - 1);
        }
    }
}
