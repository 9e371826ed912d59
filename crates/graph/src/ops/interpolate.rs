//! Resizing of images, volumes and series.

mod weights;

use thalweg_ir::{DType, ErrorKind};

use crate::tensor::Tensor;

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

impl Tensor {
    /// Resamples the axes behind batch and channels. Every option of PyTorch's `interpolate`.
    ///
    /// One axis at a time: each is a product with an `[out, in]` matrix of weights, made on the host in f64; nearest
    /// neighbours are a gather, or a view where an axis grows by a whole factor. An axis that keeps its extent and its
    /// positions is left alone.
    ///
    /// # Shapes
    /// `[B, C, L..]` → `[B, C, S..]`
    /// # Errors
    /// No axes to resize; sizes or factors that do not fit them; empty extents; options that the mode has not; not floats.
    /// # Source
    /// Cubic: Keys 1981, "Cubic convolution interpolation for digital image processing"; coordinates and options are those
    /// of PyTorch's `interpolate`.
    #[track_caller]
    pub fn interpolate(&self, resize: &Resize) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let spatial = self.rank().saturating_sub(2);
        if spatial == 0 || self.shape()[1..].contains(&0) {
            let problem = "has nothing to resize; it is to be [batch, channels, extents..]".to_string();
            return self.fail("interpolate", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        if !self.dtype().is_float() {
            let problem = "is not resampled; cast to a float first".to_string();
            return self.fail("interpolate", ErrorKind::DType { got: self.dtype(), problem });
        }
        let axes = match weights::axes(resize, &self.shape()[2..]) {
            Ok(axes) => axes,
            Err(problem) => return self.fail("interpolate", ErrorKind::Invalid(problem)),
        };
        axes.iter().enumerate().fold(self.wide(), |x, (d, axis)| x.resampled(2 + d, axis)).cast(self.dtype())
    }

    #[track_caller]
    fn resampled(&self, d: usize, axis: &weights::Axis) -> Tensor {
        let extent = self.shape()[d];
        match axis {
            weights::Axis::Same => self.clone(),
            weights::Axis::Repeat(times) => {
                let (mut wide, mut flat) = (self.shape().to_vec(), self.shape().to_vec());
                wide.insert(d + 1, *times);
                flat[d] *= times;
                self.unsqueeze(d + 1).broadcast_to(&wide).reshape(flat)
            }
            weights::Axis::Pick(positions) => {
                let positions: Vec<i32> = positions.iter().map(|p| i32::try_from(*p).unwrap_or(i32::MAX)).collect();
                self.index_select(d, &Tensor::from_slice(self.device(), &positions, [positions.len()]))
            }
            weights::Axis::Weigh(matrix) => {
                let shape = [matrix.len() / extent, extent];
                let matrix = match self.dtype() {
                    DType::F64 => Tensor::from_slice(self.device(), matrix, shape),
                    _ => {
                        let rounded: Vec<f32> = matrix.iter().map(|w| *w as f32).collect();
                        Tensor::from_slice(self.device(), &rounded, shape)
                    }
                };
                self.transpose(d, -1).matmul(&matrix.t()).transpose(d, -1)
            }
        }
    }
}
