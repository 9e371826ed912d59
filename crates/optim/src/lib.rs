//! Thalweg's optimizer crate: update rules over flat parameters, gradient clipping, dynamic loss scaling.
//!
//! A rule ([`Sgd`], [`Adam`], [`AdamW`]) is a struct of hyperparameters with its equations as tensor ops. `init` packs a
//! module's parameters into one buffer and gives an [`Optimizer`], whose `step` is backward, scaling, clipping, the check
//! for numbers that are not finite and the update, as one graph that the device replays.
//!
//! ```ignore
//! let mut opt = AdamW { lr: 3e-4, ..AdamW::default() }.init(&net)?;
//! opt.step(&mut net, &loss)?; // queued, not waited for
//! ```

mod adam;
mod control;
mod optimizer;
mod rates;
mod rule;
mod scale;
mod sgd;

pub use adam::{Adam, AdamW};
pub use control::Report;
pub use optimizer::Optimizer;
pub use rates::Rate;
pub use rule::{Context, Rule, Update};
pub use scale::LossScale;
pub use sgd::Sgd;
