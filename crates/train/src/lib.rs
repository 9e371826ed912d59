//! Thalweg's training loop in small pieces: metrics, checkpoints, progress, plots. There is no trainer: the loop is yours.

mod atomic;
mod checkpoint;
mod confusion;
mod curve;
mod describe;
mod detection;
mod evaluate;
mod file;
mod folder;
mod hub;
mod journal;
mod load;
mod mean;
mod meter;
mod metrics;
mod problem;
mod progress;
mod report;
mod safetensors;
#[cfg(test)]
mod scratch;
mod shards;
mod source;
mod stored;
mod torch;
mod trace;
mod weights;

pub use atomic::write_atomically;
pub use checkpoint::Checkpoint;
pub use confusion::Confusion;
pub use curve::Curve;
pub use describe::{one_cycle, plan, precision};
pub use detection::{Bounds, Detection, average_precision, suppress};
pub use evaluate::{Score, evaluate};
pub use folder::Folder;
pub use hub::{Hub, HubModel};
pub use journal::Journal;
pub use load::{Load, load};
pub use mean::mean_over;
pub use meter::Meter;
pub use metrics::{accuracy, correct, edit_distance, verification_rate};
pub use progress::Progress;
pub use report::{Converted, Loaded};
pub use trace::ProfileExt;
pub use weights::{save, save_sharded};
