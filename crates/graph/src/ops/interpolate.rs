//! Resizing of images, volumes and series.

mod resize;
mod weights;

use thalweg_ir::{DType, ErrorKind};

pub use self::resize::{Resample, Resize, Target};
use crate::tensor::Tensor;

/// # Resizing
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
    #[doc(alias("upsample", "resize"))]
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
