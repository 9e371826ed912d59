//! Numbers for each axis of space, as users write them.

use thalweg_graph::{ErrorKind, Tensor};

/// A number for each of N axes of space: `3` for all of them, or `[3, 5]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAxis<const N: usize>(pub [usize; N]);

impl<const N: usize> From<usize> for PerAxis<N> {
    fn from(all: usize) -> PerAxis<N> {
        PerAxis([all; N])
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis<N> {
    fn from(each: [usize; N]) -> PerAxis<N> {
        PerAxis(each)
    }
}

/// What a layer over N axes of space is called in errors, by its names for one, two and three.
pub(crate) const fn by_rank<const N: usize>(names: [&'static str; 3]) -> &'static str {
    assert!(1 <= N && N <= 3, "layers are over one, two or three axes of space");
    names[N - 1]
}

/// A batch `[B, C, L..]` over N axes of space, of which `[C, L..]` is one sample, and whether it was one.
#[track_caller]
pub(crate) fn batched<const N: usize>(op: &'static str, x: &Tensor) -> Result<(Tensor, bool), Tensor> {
    x.check().map_err(|_| x.clone())?;
    if x.rank() == N + 2 {
        return Ok((x.clone(), false));
    }
    if x.rank() == N + 1 {
        return Ok((x.unsqueeze(0), true));
    }
    let problem = format!("is not [batch, channels, {}], nor one sample of it", SPACE[N - 1]);
    Err(x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }))
}

/// The axes of space by name.
pub(crate) const SPACE: [&str; 3] = ["length", "height, width", "depth, height, width"];
