//! Sliding windows as a tensor, and the sum of windows back into an image.

use thalweg_ir::{
    ErrorKind, Window,
    shape::{count, excess},
};

use crate::{ops::contraction::ConvConfig, shape::IntoAxis, tensor::Tensor};

/// # Windows
impl Tensor {
    /// Windows of `size` elements, `step` apart, along an axis: `y[.., i, .., k] = x[.., i · step + k, ..]`. PyTorch's
    /// `Tensor.unfold`.
    ///
    /// # Shapes
    /// `[.., L, ..]` → `[.., (L - size) / step + 1, .., size]`
    /// # Errors
    /// An axis that there is not; a window longer than it; a size or step of 0.
    #[track_caller]
    #[doc(alias = "unfold")]
    pub fn sliding_windows(&self, axis: impl IntoAxis, size: usize, step: usize) -> Tensor {
        let axis = match self.axis("sliding_windows", axis) {
            Ok(axis) => axis,
            Err(failed) => return failed,
        };
        let n = self.shape()[axis];
        if size == 0 || step == 0 || size > n {
            let problem = format!("has no windows of {size} elements, {step} apart, at axis {axis}");
            return self.fail("sliding_windows", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        // A step beyond the end is as good as any other that leads there.
        let window = Window { kernel: vec![size], stride: vec![step.min(n)], dilation: vec![1], pad: vec![0] };
        let x = self.movedim(&[axis as isize], &[-1]);
        x.windows(&window, &[(n - size) / step + 1], 0.0, false).movedim(&[-2], &[axis as isize])
    }

    /// The window and the number of its positions along each axis of an image of these extents.
    #[track_caller]
    fn unfolding(
        &self,
        op: &'static str,
        image: &[usize],
        kernel: &[usize],
        config: &ConvConfig,
    ) -> Result<(Window, Vec<usize>), Tensor> {
        self.check().map_err(|_| self.clone())?;
        let n = image.len();
        if let Some(problem) = excess(image) {
            return Err(self.fail(op, ErrorKind::Shape { shape: image.to_vec(), problem }));
        }
        let window = self.window(op, n, kernel, &config.stride, &config.dilation, &config.padding)?;
        if config.groups != 1 {
            return Err(self.fail(op, ErrorKind::Invalid("windows have no groups".into())));
        }
        let extent = |d: usize| {
            let padded = image[d].saturating_add(2 * window.pad[d]);
            padded.checked_sub(window.span(d)).map(|rest| rest / window.stride[d] + 1)
        };
        match (0..n).map(extent).collect::<Option<Vec<_>>>() {
            Some(out) => Ok((window, out)),
            None => {
                let problem = format!("is smaller than the window {kernel:?}");
                Err(self.fail(op, ErrorKind::Shape { shape: image.to_vec(), problem }))
            }
        }
    }

    /// The windows that a convolution would multiply, as columns (im2col). Zeros outside. Rows count channels first, then
    /// positions in the window, row-major.
    ///
    /// # Shapes
    /// `[B, C, L..]` → `[B, C · ΠK, ΠO]`, with as many spatial axes as `kernel` is long; B may be missing
    /// # Errors
    /// Another number of axes; settings that do not fit them, or zeros in them; a window larger than the padded input;
    /// groups.
    #[track_caller]
    #[doc(alias = "im2col")]
    pub fn unfold(&self, kernel: &[usize], config: &ConvConfig) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let n = kernel.len();
        if n == 0 || self.rank() < n + 1 || self.rank() > n + 2 {
            let problem = format!("has not a channel axis and {n} more");
            return self.fail("unfold", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let lead = self.rank() - n;
        let (window, out) = match self.unfolding("unfold", &self.shape()[lead..], kernel, config) {
            Ok(found) => found,
            Err(failed) => return failed,
        };
        let columns = self.windows(&window, &out, 0.0, false).permute(windows_first(lead, n));
        let rows = self.shape()[lead - 1].saturating_mul(count(&window.kernel));
        columns.reshape([&self.shape()[..lead - 1], &[rows, count(&out)]].concat())
    }

    /// Columns summed where their windows lie (col2im): the adjoint of [`Tensor::unfold`], whose inverse it is
    /// where windows tile the image.
    ///
    /// # Shapes
    /// `[B, C · ΠK, ΠO]` → `[B, C, image..]`; B may be missing
    /// # Errors
    /// A number of rows or columns that the windows do not have; else as [`Tensor::unfold`].
    #[track_caller]
    #[doc(alias = "col2im")]
    pub fn fold(&self, image: &[usize], kernel: &[usize], config: &ConvConfig) -> Tensor {
        let n = image.len();
        let (window, out) = match self.unfolding("fold", image, kernel, config) {
            Ok(found) => found,
            Err(failed) => return failed,
        };
        let per_channel = count(&window.kernel);
        let &[ref lead @ .., rows, columns] = self.shape() else {
            let problem = "has not two axes".to_string();
            return self.fail("fold", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        };
        if n == 0 || lead.len() > 1 || rows % per_channel != 0 || columns != count(&out) {
            let problem = format!("is not windows of {per_channel} elements at {} places", count(&out));
            return self.fail("fold", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let lead = [lead, &[rows / per_channel]].concat();
        let windows = self.reshape([&lead, window.kernel.as_slice(), &out].concat());
        let back = windows.permute(windows_first(lead.len(), n)).windows_adjoint(&window, image);
        back.sum((lead.len() + n..lead.len() + 2 * n).map(|d| d as isize).collect::<Vec<_>>())
    }
}

/// The permutation that exchanges the two runs of `n` axes behind `lead` others.
fn windows_first(lead: usize, n: usize) -> Vec<usize> {
    (0..lead).chain(lead + n..lead + 2 * n).chain(lead..lead + n).collect()
}
