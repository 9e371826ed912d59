//! What is dropped together, and what stands in its place.

use std::fmt;

use thalweg_derive::Module;
use thalweg_graph::{ErrorKind, Module, Tensor};

use crate::per_axis::{SPACE, by_rank};

/// What a [`Dropping`](super::Dropping) drops.
pub trait Kind: Module + Clone + Default + fmt::Debug + Send + Sync + 'static {
    /// What the layer's type is called.
    const TYPE: &'static str;
    /// What the layer is called in errors and profiles.
    const NAME: &'static str;
    /// Whether everything may be dropped, with `p = 1`.
    const OF_ALL: bool = false;

    /// The shape of the draw for an input of this shape, to which it is broadcast; or why there is none.
    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind>;

    /// `x` where `keep` is true, made larger for what is dropped.
    #[track_caller]
    fn apply(&self, x: &Tensor, keep: &Tensor, p: f64) -> Tensor {
        keep.where_(x * (1.0 / (1.0 - p)), 0.0)
    }
}

/// Each element by itself.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Elements;

impl Kind for Elements {
    const TYPE: &'static str = "Dropout";
    const NAME: &'static str = "dropout";

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        Ok(shape.to_vec())
    }
}

/// Channels with all of their N axes of space.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Channels<const N: usize>;

impl<const N: usize> Kind for Channels<N> {
    const TYPE: &'static str = by_rank::<N>(["Dropout1d", "Dropout2d", "Dropout3d"]);
    const NAME: &'static str = by_rank::<N>(["dropout1d", "dropout2d", "dropout3d"]);

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        match shape.len().checked_sub(N) {
            Some(lead @ 1..=2) => Ok(first(shape, lead)),
            _ => {
                let problem = format!("is not [batch, channels, {}], nor one sample of it", SPACE[N - 1]);
                Err(ErrorKind::Shape { shape: shape.to_vec(), problem })
            }
        }
    }
}

/// `-α λ` of selu.
const LOWEST: f64 = -1.758_099_340_847_376_6;

/// `b + a x`, or `b - a α'` where it is dropped.
#[track_caller]
fn standardised(x: &Tensor, keep: &Tensor, p: f64) -> Tensor {
    let a = ((1.0 - p) * (1.0 + p * LOWEST * LOWEST)).sqrt().recip();
    keep.where_(x * a, a * LOWEST) - a * p * LOWEST
}

/// Each element by itself, as selu wants it.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Alpha;

impl Kind for Alpha {
    const TYPE: &'static str = "AlphaDropout";
    const NAME: &'static str = "alpha_dropout";

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        Ok(shape.to_vec())
    }

    fn apply(&self, x: &Tensor, keep: &Tensor, p: f64) -> Tensor {
        standardised(x, keep, p)
    }
}

/// Channels, as selu wants it.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct FeatureAlpha;

impl Kind for FeatureAlpha {
    const TYPE: &'static str = "FeatureAlphaDropout";
    const NAME: &'static str = "feature_alpha_dropout";

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        match shape.len() {
            0 | 1 => {
                let problem = "is not [batch, channels, ..]".to_string();
                Err(ErrorKind::Shape { shape: shape.to_vec(), problem })
            }
            _ => Ok(first(shape, 2)),
        }
    }

    fn apply(&self, x: &Tensor, keep: &Tensor, p: f64) -> Tensor {
        standardised(x, keep, p)
    }
}

/// Samples, each by itself.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Rows;

impl Kind for Rows {
    const TYPE: &'static str = "StochasticDepth";
    const NAME: &'static str = "stochastic_depth";
    const OF_ALL: bool = true;

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        match shape.is_empty() {
            true => {
                let problem = "has no axis of samples".to_string();
                Err(ErrorKind::Shape { shape: Vec::new(), problem })
            }
            false => Ok(first(shape, 1)),
        }
    }
}

/// All samples together.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Batches;

impl Kind for Batches {
    const TYPE: &'static str = "StochasticDepthOfBatch";
    const NAME: &'static str = "stochastic_depth";
    const OF_ALL: bool = true;

    fn draws(&self, shape: &[usize]) -> Result<Vec<usize>, ErrorKind> {
        Ok(first(shape, 0))
    }
}

/// The first extents, and 1 for the others.
fn first(shape: &[usize], n: usize) -> Vec<usize> {
    shape.iter().enumerate().map(|(d, extent)| if d < n { *extent } else { 1 }).collect()
}
