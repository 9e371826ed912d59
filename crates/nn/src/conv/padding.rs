//! What stands around the input of a convolution.

use thalweg_graph::Tensor;

/// How much stands around the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const N: usize> {
    /// As many elements on both sides of each axis.
    Each([usize; N]),
    /// As many as give the output the extents of the input, with stride 1: `dilation (kernel - 1)` in all, the odd one behind.
    Same,
}

impl<const N: usize> From<usize> for Padding<N> {
    fn from(all: usize) -> Padding<N> {
        Padding::Each([all; N])
    }
}

impl<const N: usize> From<[usize; N]> for Padding<N> {
    fn from(each: [usize; N]) -> Padding<N> {
        Padding::Each(each)
    }
}

/// What stands around the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The mirror image, the border itself not repeated.
    Reflect,
    /// The border repeated.
    Replicate,
    /// The other end.
    Circular,
}

impl PaddingMode {
    /// The input with that around it, and how many zeros on both sides of each axis are left for the convolution.
    #[track_caller]
    pub(super) fn apply<const N: usize>(self, x: &Tensor, pads: &[(usize, usize); N]) -> (Tensor, [(usize, usize); N]) {
        let signed = pads.map(|(front, back)| (front as isize, back as isize));
        let padded = match self {
            PaddingMode::Zeros => return (x.clone(), *pads),
            PaddingMode::Reflect => x.pad_reflect(&signed),
            PaddingMode::Replicate => x.pad_replicate(&signed),
            PaddingMode::Circular => x.pad_circular(&signed),
        };
        (padded, [(0, 0); N])
    }
}
