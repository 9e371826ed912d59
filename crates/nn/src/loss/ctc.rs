//! Connectionist temporal classification.

use thalweg_graph::{DType, ErrorKind, Result, Scope, Tensor, scan};

use super::Reduction;
use crate::wide;

/// The logarithm of a probability of 0: finite, so that differences of two such are no NaN.
const NONE: f64 = -1e30;

/// `-ln p(target | input)`, where the probability is that of all paths which give the target once repeated labels are
/// merged and blanks are dropped.
///
/// With `l` the target and blanks around each label, `α_t(s) = ln p_t(l_s) + ln(e^α_{t-1}(s) + e^α_{t-1}(s-1) +
/// e^α_{t-1}(s-2))`, the last where `l_s` is neither blank nor `l_{s-2}`; the loss is the negative of `ln(e^α_T(2S) +
/// e^α_T(2S-1))`. A mean divides each loss by its target's length first.
///
/// The recursion is a [`scan`]: about fifteen elementwise ops on `[batch, 2 labels + 1]`, planned once however many steps there are, a
/// launch for each of them and a few in the backward pass.
///
/// Where the input is too short for its target the loss is infinite and its gradient 0.
///
/// # Source
/// Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
/// networks", equations 5 to 8, in log space.
#[derive(Clone, Debug, Default)]
pub struct Ctc {
    /// The class of blanks.
    pub blank: usize,
    /// Whether infinite losses count as 0.
    pub zero_infinity: bool,
    /// What becomes of the sequences' losses.
    pub reduction: Reduction,
}

impl Ctc {
    /// The loss.
    ///
    /// Of targets one behind the other the lengths are read here, which waits for the device if it computed them.
    ///
    /// # Shapes
    /// Log-probabilities `[time, batch, classes]`, targets `[batch, labels]` (padded with anything) or all one behind the
    /// other `[Σ target_lengths]`, both lengths `[batch]`, I32 → `[]`, or `[batch]` with [`Reduction::None`]; without the
    /// batch axis everywhere for one sequence
    /// # Errors
    /// Shapes that do not fit; a blank that is no class; lengths that do not add up to the targets.
    #[track_caller]
    pub fn loss(&self, log_p: &Tensor, target: &Tensor, input_lengths: &Tensor, target_lengths: &Tensor) -> Tensor {
        let _scope = Scope::composite("ctc_loss");
        for t in [log_p, target, input_lengths, target_lengths] {
            if t.check().is_err() {
                return t.clone();
            }
        }
        if log_p.rank() == 2 && target.rank() == 1 && input_lengths.count() == 1 && target_lengths.count() == 1 {
            let (log_p, target) = (log_p.unsqueeze(1), target.unsqueeze(0));
            let losses = self.loss(&log_p, &target, &input_lengths.reshape([1]), &target_lengths.reshape([1]));
            return losses.sum(..);
        }
        if log_p.rank() == 3 && target.rank() == 1 {
            return match rows_of(log_p, target, target_lengths) {
                Ok(target) => self.loss(log_p, &target, input_lengths, target_lengths),
                Err(failed) => failed,
            };
        }
        let (&[time, batch, classes], &[rows, labels]) = (log_p.shape(), target.shape()) else {
            return unfit(log_p, target, "are not [time, batch, classes] and [batch, labels]");
        };
        if rows != batch || input_lengths.shape() != [batch] || target_lengths.shape() != [batch] || time == 0 {
            return unfit(log_p, target, "do not fit, with a length for each sequence and time for at least one step");
        }
        if self.blank >= classes {
            let problem = format!("blank {} is none of {classes} classes", self.blank);
            return log_p.fail("ctc_loss", ErrorKind::Invalid(problem));
        }
        let blank = self.blank as f64;
        let lengths = |t: &Tensor| t.cast(DType::I32).unsqueeze(1);
        let (input_lengths, target_lengths) = (lengths(input_lengths), lengths(target_lengths));
        // blank, l_1, blank, l_2, .. blank; the padding of targets is blank too, whatever it was.
        let states = 2 * labels + 1;
        let within = Tensor::arange(log_p.device(), labels).lt(&target_lengths);
        let path = within.where_(target.cast(DType::I32), blank).unsqueeze(2).pad(&[(1, 0)], blank);
        let path = path.reshape([batch, 2 * labels]).pad(&[(0, 1)], blank);
        let skips = path.ne(behind(&path, 2, blank)).and(path.ne(blank));

        let index = path.unsqueeze(0).broadcast_to([time, batch, states]);
        let emitted = wide(log_p).gather(2, &index).maximum(NONE);
        let goes_on = Tensor::arange(log_p.device(), time).reshape([time, 1, 1]).lt(&input_lengths);
        // Before the first step all paths stand at the first blank: they stay there or step to the first label.
        let at = Tensor::arange(log_p.device(), states);
        let start = at.ne(0).cast(emitted.dtype()).broadcast_to([batch, states]) * NONE;
        let walked = scan(&[&start], &[&emitted, &goes_on], |alpha, row| {
            let (stay, step) = (&alpha[0], behind(&alpha[0], 1, NONE));
            let skip = skips.where_(behind(&alpha[0], 2, NONE), NONE);
            let m = stay.maximum(&step).maximum(&skip).detach();
            let paths = (stay - &m).exp() + (step - &m).exp() + (skip - &m).exp();
            let next = paths.log() + m + &row[0];
            // A sequence that has ended keeps its last.
            (vec![row[1].where_(next, stay)], vec![])
        });
        let alpha = match walked {
            Ok((mut ends, _)) => ends.remove(0),
            Err(error) => return log_p.fail("ctc_loss", error.kind().clone()),
        };
        let last = &target_lengths * 2;
        let ends = at.eq(&last).or(at.eq(last - 1));
        let losses = -ends.where_(alpha, NONE).logsumexp(1);
        let impossible = losses.ge(-0.1 * NONE);
        let losses = impossible.where_(if self.zero_infinity { 0.0 } else { f64::INFINITY }, losses);
        match self.reduction {
            Reduction::Mean => (losses.clone() / target_lengths.squeeze(1).maximum(1).cast(losses.dtype())).mean(..),
            reduction => reduction.apply(losses),
        }
    }
}

impl Ctc {
    /// The labels of the likeliest path of each sequence: the largest class at every step, repeated ones merged, blanks dropped. Waits
    /// for the device.
    ///
    /// # Shapes
    /// Log-probabilities or logits `[time, batch, classes]`, lengths `[batch]` → labels of each sequence
    /// # Errors
    /// Shapes that do not fit; what went wrong on the device.
    /// # Source
    /// Graves et al. 2006, §3.2: best path decoding, which is fast and may miss the likeliest labels.
    #[track_caller]
    pub fn best_path(&self, log_p: &Tensor, input_lengths: &Tensor) -> Result<Vec<Vec<i32>>> {
        let (best, lengths) = match (log_p.shape(), input_lengths.shape()) {
            ([_, batch, _], [lengths]) if batch == lengths => (log_p.argmax(2), input_lengths.to_vec::<i64>()?),
            _ => (unfit(log_p, input_lengths, "are not [time, batch, classes] and [batch]"), Vec::new()),
        };
        let (best, batch) = (best.to_vec::<i32>()?, lengths.len());
        let time = best.len() / batch.max(1);
        let labels = |(row, len): (usize, &i64)| {
            let steps = usize::try_from(*len).unwrap_or(0).min(time);
            let mut path: Vec<i32> = (0..steps).map(|t| best[t * batch + row]).collect();
            path.dedup();
            path.retain(|class| usize::try_from(*class) != Ok(self.blank));
            path
        };
        Ok(lengths.iter().enumerate().map(labels).collect())
    }
}

/// Targets that stand one behind the other as rows `[batch, longest]`.
#[track_caller]
fn rows_of(log_p: &Tensor, target: &Tensor, lengths: &Tensor) -> std::result::Result<Tensor, Tensor> {
    let host = match lengths.to_vec::<i64>() {
        Ok(host) => host,
        Err(error) => return Err(log_p.fail("ctc_loss", error.kind().clone())),
    };
    let lengths: Vec<usize> = host.iter().map(|l| usize::try_from(*l).unwrap_or(usize::MAX)).collect();
    if lengths.iter().try_fold(0usize, |sum, l| sum.checked_add(*l)) != Some(target.count()) {
        let problem = format!("targets of lengths {host:?} are not {} labels", target.count());
        return Err(log_p.fail("ctc_loss", ErrorKind::Invalid(problem)));
    }
    let longest = lengths.iter().copied().max().unwrap_or(0);
    // Where each label stands, as data: other lengths are no other graph. What stands behind a target may be anything that there is.
    let mut places: Vec<i32> = Vec::new();
    let mut start = 0;
    for len in &lengths {
        places.extend((0..longest).map(|label| if label < *len { (start + label) as i32 } else { 0 }));
        start += len;
    }
    let places = Tensor::from_slice(log_p.device(), &places, [places.len()]);
    Ok(target.gather(0, &places).reshape([lengths.len(), longest]))
}

/// Along the last axis of a matrix what stands `n` places in front; `fill` where there is nothing.
#[track_caller]
fn behind(x: &Tensor, n: usize, fill: f64) -> Tensor {
    x.pad(&[(n as isize, 0)], fill).narrow(1, 0, x.shape()[1])
}

#[track_caller]
fn unfit(log_p: &Tensor, target: &Tensor, problem: &str) -> Tensor {
    let (lhs, rhs) = (log_p.shape().to_vec(), target.shape().to_vec());
    log_p.fail("ctc_loss", ErrorKind::Shapes { lhs, rhs, problem: problem.into() })
}
