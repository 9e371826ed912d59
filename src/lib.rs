//! Trains neural networks on any GPU — Vulkan, Metal, DX12 — and on the CPU.
//!
//! Code is ordinary Rust on tensors; nothing runs until a value is needed or a step is taken. Then the recorded graph is
//! fused, laid out in memory, and replayed from step to step, with the same bits for the same seed.
//!
//! ```
//! use thalweg::prelude::*;
//!
//! #[derive(Module)]
//! struct Net {
//!     hidden: Linear,
//!     head: Linear,
//! }
//!
//! impl Net {
//!     fn forward(&self, x: &Tensor) -> Tensor {
//!         self.head.forward(&self.hidden.forward(x).relu())
//!     }
//! }
//!
//! fn main() -> Result<()> {
//!     let device = Device::cpu()?; // or Device::best()?
//!     let rng = &mut Rng::seed(0);
//!     let net = Net { hidden: Linear::new(64, 32).init(&device, rng)?, head: Linear::new(32, 10).init(&device, rng)? };
//!     let opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&net)?;
//!     let digits = Digits::embedded()?;
//!     for epoch in 0..4 {
//!         for batch in digits.train.batches(100, Seed(1))?.epoch(epoch) {
//!             let logits = net.forward(&batch.images.to(&device).flatten(1..));
//!             let loss = logits.cross_entropy(&batch.labels.to(&device));
//!             opt.step(&loss)?; // queued, not waited for
//!         }
//!     }
//!     net.eval();
//!     let score = evaluate(&digits.test, 100, &device, |x| net.forward(&x.flatten(1..)))?;
//!     assert!(score.accuracy > 0.9);
//!     Ok(())
//! }
//! ```

pub use thalweg_data as data;
pub use thalweg_device as device;
pub use thalweg_graph as graph;
// `#[derive(Module)]` in a user's crate names `module`.
pub use thalweg_graph::{functional, module, s};
#[cfg(feature = "linalg")]
pub use thalweg_linalg as linalg;
pub use thalweg_nn as nn;
pub use thalweg_optim as optim;
pub use thalweg_train as train;

/// What almost every program needs.
pub mod prelude {
    pub use thalweg_data::{
        Batch, Cifar10, Dataset, Digits, InMemory, InOrder, Loader, Mnist, Pad, Seed, Shuffled, Stack, Tail,
    };
    pub use thalweg_derive::Module;
    pub use thalweg_device::{DeviceExt, Verdict, verify};
    pub use thalweg_graph::{
        ConvConfig, CustomOp, DType, Device, Ellipsis, Error, ErrorKind, Grads, GridSample, Module, MultiOp, NewAxis,
        Operand, Param, Pool, Precision, Resample, Resize, Result, Rng, State, Stateful, Step, Stream, Tensor,
        checkpoint, compile, keep_f32, overlay, s, scan, scan_back,
    };
    pub use thalweg_nn::{
        Activation, Attention, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d,
        CrossEntropy, Dropout, Embedding, GroupNorm, Gru, Init, InstanceNorm, KeepF32, Layer, LayerNorm, Linear,
        Losses, Lstm, MultiheadAttention, Reduction, RmsNorm, Rnn, Sequential, scaled_dot_product_attention,
    };
    pub use thalweg_optim::{
        Adam, AdamW, Average, LossScale, Optimizer, Plateau, Rate, Rule, RuleExt, Schedule, Select, Sgd,
    };
    pub use thalweg_train::{EarlyStopping, ProfileExt, Score, accuracy, evaluate};
}

/// The listings in the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// So do those of the page for people who come from PyTorch.
#[cfg(doctest)]
#[doc = include_str!("../docs/for-pytorch-users.md")]
mod for_pytorch_users {}

/// And the one of the page about models.
#[cfg(doctest)]
#[doc = include_str!("../docs/models.md")]
mod models {}

/// And of the page about schedules.
#[cfg(doctest)]
#[doc = include_str!("../docs/schedules.md")]
mod schedules {}

/// And of the page about mixed precision.
#[cfg(doctest)]
#[doc = include_str!("../docs/mixed-precision.md")]
mod mixed_precision {}

/// Nothing that this crate brings compares with a user's numbers: beside an `i32` it is plain what a sum is.
///
/// ```
/// use thalweg::prelude::*;
/// let six: i32 = 6;
/// assert_eq!(six, [1, 2, 3].iter().sum());
/// ```
#[cfg(doctest)]
mod sums {}
