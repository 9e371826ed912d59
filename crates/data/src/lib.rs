//! Thalweg's data sets and loaders: host-side arrays, read, shuffled and cut into batches of one shape.
//!
//! Not for: anything that computes. Batches become tensors by [`Host::to`].
//!
//! ```
//! use thalweg_data::{Digits, Seed};
//!
//! let digits = Digits::embedded()?;
//! let mut seen = 0;
//! for batch in digits.train.batches(64, Seed(1))? {
//!     assert_eq!(batch.images.shape, [64, 1, 8, 8]);
//!     seen += batch.len;
//! }
//! assert_eq!(seen, 1152); // 18 full batches of 1200 images; a training loader drops the tail
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

mod batches;
mod digits;
mod host;
mod idx;
mod in_memory;
mod mnist;
mod permutation;
mod picture;

pub use batches::{Batch, Batches, Prefetch, Tail};
pub use digits::Digits;
pub use host::Host;
pub use in_memory::InMemory;
pub use mnist::Mnist;
pub use permutation::{Seed, permutation};
pub use picture::picture;
