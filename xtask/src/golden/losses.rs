//! Losses.

use thalweg_graph::{DType, Tensor};
use thalweg_nn::*;

use super::{
    call::{Call, Rule, Table},
    outcome::Stop,
};

/// `name => struct with its settings from attributes and inputs, arguments;`
macro_rules! losses {
    ($($name:literal => |$c:ident| $loss:expr, $arguments:ident;)*) => {
        &[$(($name, (|$c| {
            let arguments = $c.$arguments()?;
            let loss = $loss;
            Ok(vec![losses!(@call loss, arguments, $arguments)])
        }) as Rule),)*]
    };
    (@call $loss:ident, $arguments:ident, pair) => { $loss.loss($arguments.0, $arguments.1) };
    (@call $loss:ident, $arguments:ident, triple) => { $loss.loss($arguments.0, $arguments.1, $arguments.2) };
}

pub const LOSSES: Table = losses! {
    "mse_loss" => |c| Mse { reduction: reduction(c)? }, pair;
    "l1_loss" => |c| L1 { reduction: reduction(c)? }, pair;
    "smooth_l1_loss" => |c| SmoothL1 { beta: c.attrs.number_or("beta", 1.0)?, reduction: reduction(c)? }, pair;
    "huber_loss" => |c| Huber { delta: c.attrs.number_or("delta", 1.0)?, reduction: reduction(c)? }, pair;
    "log_cosh_loss" => |c| LogCosh { reduction: reduction(c)? }, pair;
    "cross_entropy" => |c| {
        // Classes stand along axis 1, or 0 of a single row; what the target is shows in its dtype.
        c.attrs.only("class_axis", 1.into())?;
        c.attrs.only("target", "probabilities".into())?;
        CrossEntropy {
            reduction: reduction(c)?,
            label_smoothing: c.attrs.number_or("label_smoothing", 0.0)?,
            weight: weight(c),
            ignore_index: ignored(c)?,
        }
    }, pair;
    "nll_loss" => |c| Nll { reduction: reduction(c)?, weight: weight(c), ignore_index: ignored(c)? }, pair;
    "bce_loss" => |c| BinaryCrossEntropy { weight: weight(c), reduction: reduction(c)? }, pair;
    "bce_with_logits" => |c| BinaryCrossEntropyWithLogits {
        weight: weight(c),
        pos_weight: c.named("pos_weight").cloned(),
        reduction: reduction(c)?,
    }, pair;
    "multilabel_soft_margin_loss" => |c| MultilabelSoftMargin { weight: weight(c), reduction: reduction(c)? }, pair;
    "kl_div" => |c| {
        KlDivergence { log_target: c.attrs.flag("log_target", false)?, reduction: reduction(c)? }
    }, pair;
    "poisson_nll_loss" => |c| PoissonNll {
        log_input: c.attrs.flag("log_input", true)?,
        full: c.attrs.flag("full", false)?,
        eps: c.attrs.number_or("eps", 1e-8)?,
        reduction: reduction(c)?,
    }, pair;
    "gaussian_nll_loss" => |c| GaussianNll {
        full: c.attrs.flag("full", false)?,
        eps: c.attrs.number_or("eps", 1e-6)?,
        reduction: reduction(c)?,
    }, triple;
    "sigmoid_focal_loss" => |c| SigmoidFocal {
        alpha: c.attrs.number_or("alpha", 0.25)?,
        gamma: c.attrs.number_or("gamma", 2.0)?,
        reduction: reduction(c)?,
    }, pair;
    "softmax_focal_loss" => |c| {
        SoftmaxFocal { gamma: c.attrs.number_or("gamma", 2.0)?, reduction: reduction(c)? }
    }, pair;
    "dice_loss" => |c| Dice { smooth: c.attrs.number_or("smooth", 1.0)?, reduction: reduction(c)? }, pair;
    "hinge_embedding_loss" => |c| {
        HingeEmbedding { margin: c.attrs.number_or("margin", 1.0)?, reduction: reduction(c)? }
    }, pair;
    "margin_ranking_loss" => |c| {
        MarginRanking { margin: c.attrs.number_or("margin", 0.0)?, reduction: reduction(c)? }
    }, triple;
    "soft_margin_loss" => |c| SoftMargin { reduction: reduction(c)? }, pair;
    "multi_margin_loss" => |c| MultiMargin {
        p: c.attrs.number_or("p", 1.0)? as usize,
        margin: c.attrs.number_or("margin", 1.0)?,
        weight: weight(c),
        reduction: reduction(c)?,
    }, pair;
    "multilabel_margin_loss" => |c| MultilabelMargin { reduction: reduction(c)? }, pair;
    "cosine_embedding_loss" => |c| {
        CosineEmbedding { margin: c.attrs.number_or("margin", 0.0)?, reduction: reduction(c)? }
    }, triple;
    "triplet_margin_loss" => |c| TripletMargin {
        margin: c.attrs.number_or("margin", 1.0)?,
        p: c.attrs.number_or("p", 2.0)?,
        eps: c.attrs.number_or("eps", 1e-6)?,
        swap: c.attrs.flag("swap", false)?,
        reduction: reduction(c)?,
    }, triple;
};

/// The index hands over logits.
pub const CTC: Table = &[("ctc_loss", |c| {
    let (logits, target) = c.pair()?;
    // How all of its cases are laid out.
    c.attrs.get("layout");
    let loss = Ctc {
        blank: c.attrs.sizes("blank")?.and_then(|b| b.first().copied()).unwrap_or(0),
        zero_infinity: c.attrs.flag("zero_infinity", false)?,
        reduction: reduction(c)?,
    };
    let lengths = |name| -> Result<Tensor, Stop> {
        let lengths = c.attrs.ints(name)?.ok_or_else(|| Stop::wrong(format!("no attribute {name}")))?;
        let lengths: Vec<i64> = lengths.into_iter().map(|l| l as i64).collect();
        Ok(Tensor::from_slice(c.device, &lengths, [lengths.len()]))
    };
    let wide = logits.cast(logits.dtype().promote(DType::F32));
    Ok(vec![loss.loss(&wide.log_softmax(-1), target, &lengths("input_lengths")?, &lengths("target_lengths")?)])
})];

fn weight(c: &Call) -> Option<Tensor> {
    c.named("weight").cloned()
}

/// -100 is PyTorch's default.
fn ignored(c: &Call) -> Result<Option<i32>, Stop> {
    let given = c.attrs.ints("ignore_index")?.and_then(|i| i.first().copied());
    Ok(Some(given.map_or(-100, |i| i32::try_from(i).unwrap_or(i32::MIN))))
}

fn reduction(c: &Call) -> Result<Reduction, Stop> {
    match c.attrs.word("reduction", "mean")?.as_str() {
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        "batchmean" => Ok(Reduction::BatchMean),
        "none" => Ok(Reduction::None),
        other => Err(Stop::Unsupported(format!("attribute reduction = {other}"))),
    }
}
