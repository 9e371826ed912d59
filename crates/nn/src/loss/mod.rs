//! Losses, composed of tensor ops. Each is a struct of its settings, with PyTorch's defaults.
//!
//! They are computed in F32 at least, whatever the dtype of the input: squares and sums of 16-bit floats would overflow.

mod angular;
mod binary;
mod classification;
mod contrastive;
mod ctc;
mod distribution;
mod focal;
mod margin;
mod methods;
mod metric;
mod regression;
mod tasks;

use thalweg_graph::{DType, ErrorKind, Tensor};

use crate::wide;

pub use self::{
    angular::{ArcFace, ArcFaceConfig, CosFace, CosFaceConfig},
    binary::{BinaryCrossEntropy, BinaryCrossEntropyWithLogits, MultilabelSoftMargin},
    classification::{CrossEntropy, Nll},
    contrastive::{Contrastive, InfoNce, NtXent},
    ctc::Ctc,
    distribution::{Distillation, GaussianNll, KlDivergence, PoissonNll},
    focal::{Dice, SigmoidFocal, SoftmaxFocal},
    margin::{HingeEmbedding, MarginRanking, MultiMargin, MultilabelMargin, SoftMargin},
    methods::Losses,
    metric::{CosineEmbedding, TripletMargin},
    regression::{Huber, L1, LogCosh, Mse, SmoothL1},
    tasks::{Likelihood, UncertaintyWeights, UncertaintyWeightsConfig},
};

/// What becomes of the losses of the single elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean; of none NaN.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the extent of the first axis of what is summed: what makes a divergence of rows a mean.
    BatchMean,
    /// They stay.
    None,
}

impl Reduction {
    #[track_caller]
    fn apply(self, losses: Tensor) -> Tensor {
        match self {
            Reduction::Mean => losses.mean(..),
            Reduction::Sum => losses.sum(..),
            Reduction::BatchMean => {
                let rows = losses.shape().first().copied().unwrap_or(1);
                losses.sum(..) / rows as f64
            }
            Reduction::None => losses,
        }
    }
}

/// Input and target in one float dtype; or the tensor that carries why they are no pair.
#[track_caller]
fn matched(op: &'static str, x: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
    x.check().map_err(|_| x.clone())?;
    target.check().map_err(|_| target.clone())?;
    if x.shape() != target.shape() {
        // [B] against [B, 1] would broadcast to [B, B] without a word.
        let problem = "differ; the loss compares element by element and broadcasts neither".to_string();
        return Err(x.fail(op, ErrorKind::Shapes { lhs: x.shape().to_vec(), rhs: target.shape().to_vec(), problem }));
    }
    let x = wide(x);
    let target = target.cast(x.dtype());
    Ok((x, target))
}

/// Equal shapes with an axis to sum over.
#[track_caller]
fn vectors(op: &'static str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
    let (a, b) = matched(op, a, b)?;
    match a.rank() {
        0 => {
            let problem = "has no axis of features".to_string();
            Err(a.fail(op, ErrorKind::Shape { shape: Vec::new(), problem }))
        }
        _ => Ok((a, b)),
    }
}

/// The target class of each row.
struct Classes {
    /// Whether a class is the row's, with the class axis kept.
    hit: Tensor,
    /// A factor of the row's loss: 1, but not a number where there is no such class.
    sound: Tensor,
    /// Whether a row counts.
    counted: Option<Tensor>,
}

/// The classes of rows whose logits stand along an axis; a row whose class is ignored counts nothing. Or the tensor that carries
/// why the target does not fit.
///
/// A comparison with every class instead of a gather: it is part of the same sweep as a softmax, and so is its gradient,
/// which is then no scatter.
#[track_caller]
fn classes(
    op: &'static str,
    logits: &Tensor,
    target: &Tensor,
    axis: usize,
    ignored: Option<i32>,
) -> Result<Classes, Tensor> {
    logits.check().map_err(|_| logits.clone())?;
    target.check().map_err(|_| target.clone())?;
    let mut rows = logits.shape().to_vec();
    let Some(extent) = (axis < rows.len()).then(|| rows.remove(axis)) else {
        let problem = "has no axis of classes".to_string();
        return Err(logits.fail(op, ErrorKind::Shape { shape: logits.shape().to_vec(), problem }));
    };
    if target.shape() != rows {
        let (lhs, rhs) = (logits.shape().to_vec(), target.shape().to_vec());
        let problem = format!("do not fit: the target needs shape {rows:?}, a class for each row along axis {axis}");
        return Err(logits.fail(op, ErrorKind::Shapes { lhs, rhs, problem }));
    }
    if target.dtype().is_float() {
        let problem = "is no class; use i32".to_string();
        return Err(logits.fail(op, ErrorKind::DType { got: target.dtype(), problem }));
    }
    let target = target.cast(DType::I32);
    let counted = ignored.map(|ignored| target.ne(ignored));
    let looked_at = counted.as_ref().map_or(target.clone(), |counted| counted.where_(&target, 0.0));
    let mut along = vec![1; logits.rank()];
    along[axis] = extent;
    let numbers = Tensor::arange(logits.device(), extent).reshape(along);
    let hit = target.unsqueeze(axis).eq(numbers);
    Ok(Classes { hit, sound: looked_at.sound_positions(op, axis, extent), counted })
}

/// The class axis of logits.
fn class_axis(logits: &Tensor) -> usize {
    usize::from(logits.rank() > 1)
}
