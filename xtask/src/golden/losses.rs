//! Losses.

use thalweg_nn::{CrossEntropy, Losses, Reduction};

use super::{
    Stop,
    call::{Call, Table},
};

pub const LOSSES: Table = &[
    ("cross_entropy", |c| {
        let (logits, target) = c.pair()?;
        let ignored = c.attrs.ints("ignore_index")?.and_then(|i| i.first().copied());
        // Classes stand along axis 1, or 0 of a single row; what the target is shows in its dtype.
        c.attrs.only("class_axis", 1.into())?;
        c.attrs.only("target", "probabilities".into())?;
        let loss = CrossEntropy {
            reduction: reduction(c)?,
            label_smoothing: c.attrs.number_or("label_smoothing", 0.0)?,
            weight: c.named("weight").cloned(),
            // PyTorch's default.
            ignore_index: Some(ignored.map_or(-100, |i| i32::try_from(i).unwrap_or(i32::MIN))),
        };
        Ok(vec![loss.loss(logits, target)])
    }),
    ("mse_loss", |c| {
        c.attrs.only("reduction", "mean".into())?;
        let (x, target) = c.pair()?;
        Ok(vec![x.mse_loss(target)])
    }),
    ("l1_loss", |c| {
        c.attrs.only("reduction", "mean".into())?;
        let (x, target) = c.pair()?;
        Ok(vec![x.l1_loss(target)])
    }),
];

fn reduction(c: &Call) -> Result<Reduction, Stop> {
    match c.attrs.word("reduction", "mean")?.as_str() {
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        "none" => Ok(Reduction::None),
        other => Err(Stop::Unsupported(format!("attribute reduction = {other}"))),
    }
}
