//! How to resize, and to what size.

/// How values between the given ones are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resample {
    /// The value at `⌊i · scale⌋`: PyTorch's and OpenCV's, half an element off.
    Nearest,
    /// The value at `⌊(i + 1/2) · scale⌋`, as most image libraries have it.
    NearestExact,
    /// A line between the two neighbours along each axis: linear, bilinear, trilinear.
    Linear,
    /// A cubic through the four neighbours along each axis (a = -0.75).
    Cubic,
    /// The mean of all elements that an output touches: adaptive average pooling.
    Area,
}

/// To what size.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// These extents.
    Size(Vec<usize>),
    /// `⌊extent · factor⌋`, with a factor for each axis or one for all, which the map of coordinates uses as it is.
    ///
    /// An extent that it leaves as it is is copied by [`Resample::Linear`], with antialiasing, and by
    /// [`Resample::Nearest`] of images, which also repeats one that doubles: as PyTorch does on the CPU.
    Factor(Vec<f64>),
}

/// How to resize.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// To what size.
    pub to: Target,
    /// How values between are made.
    pub mode: Resample,
    /// Whether the centres of the corners stay in place, instead of their outer edges. For [`Resample::Linear`] and
    /// [`Resample::Cubic`].
    pub align_corners: bool,
    /// Whether filters widen with the step when an axis shrinks (and cubics have a = -0.5), as Pillow does. For
    /// [`Resample::Linear`] and [`Resample::Cubic`].
    pub antialias: bool,
}

impl Resize {
    /// To these extents, without the two options.
    pub fn size(size: &[usize], mode: Resample) -> Resize {
        Resize { to: Target::Size(size.to_vec()), mode, align_corners: false, antialias: false }
    }

    /// By this factor, without the two options.
    pub fn factor(factor: f64, mode: Resample) -> Resize {
        Resize { to: Target::Factor(vec![factor]), mode, align_corners: false, antialias: false }
    }
}
