//! Means over a data set.

use std::panic::Location;

use thalweg_data::Weighed;
use thalweg_graph::{DType, Device, Error, ErrorKind, Result, Tensor};

/// The means of some measures over all items: `Σ w m / Σ w`. Padding weighs nothing, whatever its measure is.
///
/// `measure` gives for a batch one tensor of each measure, with a number for each item. The batches are those of
/// [`pad_tail`](thalweg_data::Loader::pad_tail), so they have one shape and one plan. One number a batch and measure is read
/// back, at the end.
///
/// ```
/// use thalweg_data::{Dataset, InOrder, Stack};
/// # let device = thalweg_graph::Device::new(std::sync::Arc::new(thalweg_cpu::StrictCpu::new()));
/// let points: Vec<(f32, f32)> = (0..10).map(|i| (i as f32, 2.0 * i as f32 + 3.0)).collect();
/// let batches = points.loader(4, InOrder, Stack)?.pad_tail();
/// let [absolute, squared] = thalweg_train::mean_over(batches, &device, |(x, y)| {
///     let error = x.to(&device) * 2.0 - y.to(&device);
///     [error.abs(), &error * &error]
/// })?;
/// assert_eq!((absolute, squared), (3.0, 9.0));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Shapes
/// `measure`: a batch of B items → K times `[B]`
/// # Errors
/// What went wrong in making a batch; the error that a measure carries; a measure of another shape; no items; what went wrong
/// on the device.
#[track_caller]
pub fn mean_over<B, const K: usize>(
    batches: impl IntoIterator<Item = Result<Weighed<B>>>,
    device: &Device,
    measure: impl Fn(&B) -> [Tensor; K],
) -> Result<[f64; K]> {
    let place = Location::caller();
    let (mut sums, mut weight) = (Vec::new(), 0.0);
    for each in batches {
        let Weighed { batch, weights, .. } = each?;
        weight += weights.values.iter().map(|w| f64::from(*w)).sum::<f64>();
        let w = weights.to(device);
        let measures = measure(&batch);
        if let Some(m) = measures.iter().find(|m| m.check().is_ok() && m.shape() != w.shape()) {
            let problem = "are a measure and its batch: it needs one number for each item".into();
            let kind = ErrorKind::Shapes { lhs: m.shape().to_vec(), rhs: w.shape().to_vec(), problem };
            return Err(Error::at("mean_over", kind, place, None));
        }
        // The measure of padding may be infinite, and 0 · ∞ is no 0.
        let weigh = |m: &Tensor| w.gt(0.0).where_(m.cast(DType::F32) * &w, 0.0).sum(..);
        let sum = Tensor::stack(measures.each_ref().map(weigh), 0);
        sum.eval()?;
        sums.push(sum);
    }
    if weight == 0.0 {
        return Err(Error::at("mean_over", ErrorKind::Invalid("there are no items".into()), place, None));
    }
    let mut means = [0.0; K];
    for sum in sums {
        for (mean, sum) in means.iter_mut().zip(sum.to_vec::<f32>()?) {
            *mean += f64::from(sum) / weight;
        }
    }
    Ok(means)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_data::{Dataset, InOrder, Stack};

    use super::*;

    fn device() -> Device {
        Device::new(Arc::new(StrictCpu::new()))
    }

    /// The mean of 1 to n, whatever the batches are; padding repeats an item whose measure is infinite.
    #[test]
    fn padding_weighs_nothing() {
        let device = device();
        for n in [1, 2, 5, 7] {
            for size in [1, 2, 3, 10] {
                let items: Vec<f32> = (1..=n).map(|i| i as f32).collect();
                let batches = items.loader(size, InOrder, Stack).unwrap().pad_tail();
                let [mean, odd] = mean_over(batches, &device, |x| {
                    let len = x.values.len();
                    let mut padded = x.clone();
                    let repeated = (1..len).find(|i| x.values[*i] == x.values[0]).unwrap_or(len);
                    padded.values[repeated..].fill(f32::INFINITY);
                    let x = x.to(&device);
                    [padded.to(&device), (&x * 0.5).floor().ne(&x * 0.5)]
                })
                .unwrap();
                assert!((mean - f64::from(n + 1) / 2.0).abs() < 1e-6, "{n} in batches of {size}: {mean}");
                assert!((odd - f64::from((n + 1) / 2) / f64::from(n)).abs() < 1e-6, "{n}: {odd}");
            }
        }
    }

    #[test]
    fn what_is_no_measure_is_an_error() {
        let device = device();
        let batches = || vec![1.0f32; 3].loader(2, InOrder, Stack).unwrap().pad_tail();
        let line = line!() + 1;
        let error = mean_over(batches(), &device, |x| [x.to(&device).unsqueeze(1)]).unwrap_err();
        assert!(
            error.to_string().starts_with("mean_over: shapes [2, 1] and [2] are a measure and its batch"),
            "{error}"
        );
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        let error = mean_over(batches(), &device, |x| [x.to(&device).reshape([3, 3])]).unwrap_err();
        assert_eq!(error.op(), "reshape");
        let error = mean_over::<f32, 1>([], &device, |_| unreachable!()).unwrap_err().to_string();
        assert!(error.starts_with("mean_over: there are no items"), "{error}");
        let error = mean_over(
            batches().epoch(0).map(|_| Err::<Weighed<f32>, _>(Error::new("mine", ErrorKind::Invalid("no".into())))),
            &device,
            |_| -> [Tensor; 1] { unreachable!() },
        );
        assert_eq!(error.unwrap_err().op(), "mine");
    }
}
