//! Thalweg's data sets and loaders: host-side items of any kind, in an order that a seed decides, put together in batches.
//!
//! Not for: anything that computes. Batches become tensors by [`Host::to`].
//!
//! Labelled images in memory have batches of their own:
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
//!
//! Everything else is three choices: a [`Dataset`], which has an item for every index; a [`Sampler`], which says what an epoch
//! shows, [`Shuffled`] or [`InOrder`] or [`Weighted`]; and a [`Collate`], which makes a batch of items, [`Stack`] or [`Pad`]
//! or a closure. The [`Loader`] of the three can be left at any batch, and gone on with in another process:
//!
//! ```
//! use thalweg_data::{Dataset, InOrder, Pad, Seed, Shuffled, Stack};
//!
//! let reviews = [("good", 1i32), ("so so", 0), ("never again", 0), ("splendid", 1), ("fine", 1)];
//! let reviews = reviews.to_vec().map(|(text, label)| (text.bytes().map(i32::from).collect::<Vec<_>>(), label));
//! let (train, test) = reviews.hold_out(0.2, Seed(0))?;
//! let train = train.loader(2, Shuffled(Seed(1)), (Pad::with(0).multiple_of(8), Stack))?;
//! while train.position().epoch < 3 {
//!     for batch in &train {
//!         let (text, labels) = batch?;
//!         assert_eq!(text.values.shape[1] % 8, 0);
//!         assert_eq!(text.mask.values.iter().filter(|real| **real).count() as i32, text.lengths.values.iter().sum::<i32>());
//!         assert_eq!(labels.shape, [2]);
//!     }
//!     for batch in test.clone().loader(2, InOrder, (Pad::with(0), Stack))?.pad_tail().epoch(0) {
//!         assert_eq!(batch?.weights.values, [1.0, 0.0]);
//!     }
//! }
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

mod adapters;
mod augment;
mod batches;
mod cifar;
mod collate;
mod combine;
mod crop;
mod dataset;
mod digits;
mod gzip;
mod host;
mod idx;
mod image;
mod in_memory;
mod loader;
mod mnist;
mod pad;
mod permutation;
mod picture;
mod place;
#[cfg(feature = "png")]
mod png;
mod position;
mod prefetch;
mod sampler;
mod split;
mod stack;
mod tail;
mod windows;

pub use adapters::{Augmented, Chain, Map, Subset, TryMap, Zip};
pub use batches::{Batch, Batches, Sound};
pub use cifar::Cifar10;
pub use collate::{Collate, Weighed};
pub use crop::{random_crop, random_flip};
pub use dataset::Dataset;
pub use digits::Digits;
pub use host::Host;
pub use image::{Image, Normalise};
pub use in_memory::InMemory;
pub use loader::{Epoch, Loader, Rest};
pub use mnist::Mnist;
pub use pad::{Pad, Padded};
pub use permutation::{Seed, permutation};
pub use picture::{picture, pictures};
pub use position::Position;
pub use sampler::{ByLength, InOrder, Sampler, Shuffled, Weighted};
pub use stack::{Stack, Stackable};
pub use tail::Tail;
pub use windows::Windows;
