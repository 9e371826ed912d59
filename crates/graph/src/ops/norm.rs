//! Normalisations over a tensor's own elements, as functions; the layers with parameters are in `thalweg-nn`.
//!
//! They are computed in F32 at least and rounded once, whatever the dtype of the input.

use thalweg_ir::ErrorKind;

use crate::{scope::Scope, shape::Axes, tensor::Tensor};

/// # Normalisation
impl Tensor {
    /// `y = (x - μ) / √(σ² + ε) · weight + bias` with mean and biased variance over the last axes, which have this shape.
    ///
    /// # Shapes
    /// `[.., shape..]` → the same; `weight` and `bias` `[shape..]`
    /// # Errors
    /// Last axes of another shape; a weight or bias of another shape.
    /// # Source
    /// Ba et al. 2016, arXiv:1607.06450.
    #[track_caller]
    pub fn layer_norm(&self, shape: &[usize], weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let _scope = Scope::composite("layer_norm");
        let axes = match self.trailing("layer_norm", shape, &[weight, bias]) {
            Ok(axes) => axes,
            Err(failed) => return failed,
        };
        self.wide().standardised(axes, eps).affine(weight, bias).cast(self.dtype())
    }

    /// `y = x / √(mean x² + ε) · weight` with the mean over the last axes, which have this shape.
    ///
    /// # Shapes
    /// `[.., shape..]` → the same; `weight` `[shape..]`
    /// # Errors
    /// Last axes of another shape; a weight of another shape.
    /// # Source
    /// Zhang & Sennrich 2019, arXiv:1910.07467.
    #[track_caller]
    pub fn rms_norm(&self, shape: &[usize], weight: Option<&Tensor>, eps: f64) -> Tensor {
        let _scope = Scope::composite("rms_norm");
        let axes = match self.trailing("rms_norm", shape, &[weight]) {
            Ok(axes) => axes,
            Err(failed) => return failed,
        };
        let x = self.wide();
        let y = &x * (x.square().mean_keepdim(axes) + eps).rsqrt();
        y.affine(weight, None).cast(self.dtype())
    }

    /// [`Tensor::layer_norm`] over each of `groups` groups of channels and all of space, then a weight and a bias for each
    /// channel.
    ///
    /// # Shapes
    /// `[B, C, ..]` → the same; `weight` and `bias` `[C]`
    /// # Errors
    /// No axis of channels; groups that do not divide them; a weight or bias of another shape.
    /// # Source
    /// Wu & He 2018, arXiv:1803.08494.
    #[track_caller]
    pub fn group_norm(&self, groups: usize, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let _scope = Scope::composite("group_norm");
        let channels = match self.channels("group_norm", &[weight, bias]) {
            Ok(channels) => channels,
            Err(failed) => return failed,
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            let problem = format!("has {channels} channels, which {groups} groups do not divide");
            return self.fail("group_norm", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        if self.count() == 0 {
            return self.clone();
        }
        let grouped = self.wide().reshape([self.shape()[0] as isize, groups as isize, -1]);
        let y = grouped.standardised(Axes::from(-1), eps).reshape(self.shape());
        y.affine_channels(weight, bias).cast(self.dtype())
    }

    /// [`Tensor::layer_norm`] over the space of each channel of each sample, then a weight and a bias for each channel.
    ///
    /// # Shapes
    /// `[B, C, ..]` with at least one axis of space → the same; `weight` and `bias` `[C]`
    /// # Errors
    /// No channels or no space; a weight or bias of another shape.
    /// # Source
    /// Ulyanov et al. 2016, arXiv:1607.08022.
    #[track_caller]
    pub fn instance_norm(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let _scope = Scope::composite("instance_norm");
        if let Err(failed) = self.channels("instance_norm", &[weight, bias]) {
            return failed;
        }
        if self.rank() < 3 {
            let problem = "is not [batch, channels, space..]".to_string();
            return self.fail("instance_norm", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        let space: Vec<isize> = (2..self.rank() as isize).collect();
        self.wide().standardised(space.into(), eps).affine_channels(weight, bias).cast(self.dtype())
    }

    /// `y_c = x_c (k + α / n · Σ x_j²)^-β` with the sum over the `n` channels around c, `c - ⌊n/2⌋` the first.
    ///
    /// # Shapes
    /// `[B, C, ..]` → the same
    /// # Errors
    /// No axis of channels; `n = 0`.
    /// # Source
    /// Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", §3.3, with α / n for α,
    /// as in PyTorch.
    #[track_caller]
    pub fn local_response_norm(&self, n: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        let _scope = Scope::composite("local_response_norm");
        let channels = match self.channels("local_response_norm", &[]) {
            Ok(channels) => channels,
            Err(failed) => return failed,
        };
        if n == 0 {
            return self.fail("local_response_norm", ErrorKind::Invalid("a window of 0 channels".into()));
        }
        let x = self.wide();
        let mut pads = vec![(0, 0); self.rank() - 1];
        // Channels that there are not add nothing.
        let (front, back) = ((n / 2).min(channels), ((n - 1) / 2).min(channels));
        pads[0] = (front as isize, back as isize);
        let squares = x.square().pad(&pads, 0.0);
        let part = |j: usize| squares.strided(1, j, 1, channels);
        let sum = match front + back {
            // An addition each, which is fused.
            last @ ..64 => (1..=last).fold(part(0), |sum, j| sum + part(j)),
            last => squares.sliding_windows(1, last + 1, 1).sum(-1),
        };
        (x * (sum * (alpha / n as f64) + k).powf(-beta)).cast(self.dtype())
    }

    /// A weight given by direction and length: `g · v / ‖v‖`, the norm over all axes but `axis`, or over all. A
    /// norm of 0 gives NaN.
    ///
    /// # Shapes
    /// `v [..]`, `g` with extent 1 at all axes but `axis` → shaped as `v`
    /// # Errors
    /// An axis that there is not; shapes that do not broadcast.
    /// # Source
    /// Salimans & Kingma 2016, arXiv:1602.07868.
    #[track_caller]
    pub fn weight_norm(&self, g: &Tensor, axis: Option<isize>) -> Tensor {
        let _scope = Scope::composite("weight_norm");
        let kept = match axis {
            Some(axis) => match self.axis("weight_norm", axis) {
                Ok(axis) => Some(axis),
                Err(failed) => return failed,
            },
            None => None,
        };
        let axes: Vec<isize> = (0..self.rank()).filter(|d| Some(*d) != kept).map(|d| d as isize).collect();
        let v = self.wide();
        (&v * (g.wide() / v.square().sum_keepdim(axes).sqrt())).cast(self.dtype())
    }

    /// `(x - μ) / √(σ² + ε)` with mean and biased variance over axes.
    #[track_caller]
    fn standardised(&self, axes: Axes, eps: f64) -> Tensor {
        let centred = self - self.mean_keepdim(axes.clone());
        let var = centred.square().mean_keepdim(axes);
        centred * (var + eps).rsqrt()
    }

    #[track_caller]
    fn affine(&self, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
        let y = weight.map_or(self.clone(), |w| self * w);
        bias.map_or(y.clone(), |b| y + b)
    }

    #[track_caller]
    fn affine_channels(&self, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
        let mut shape = vec![1; self.rank()];
        shape[1] = self.shape()[1];
        let [weight, bias] = [weight, bias].map(|p| p.map(|p| p.reshape(shape.as_slice())));
        self.affine(weight.as_ref(), bias.as_ref())
    }

    /// The last axes, if they have this shape and the parameters as well.
    #[track_caller]
    fn trailing(&self, op: &'static str, shape: &[usize], params: &[Option<&Tensor>]) -> Result<Axes, Tensor> {
        self.check().map_err(|_| self.clone())?;
        if shape.is_empty() || !self.shape().ends_with(shape) {
            let problem = format!("does not end in the normalised axes {shape:?}");
            return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        self.fitting(op, shape, params)?;
        Ok((1..=shape.len() as isize).map(|d| -d).collect::<Vec<isize>>().into())
    }

    /// The number of channels, if there is such an axis and the parameters have one number for each.
    #[track_caller]
    fn channels(&self, op: &'static str, params: &[Option<&Tensor>]) -> Result<usize, Tensor> {
        self.check().map_err(|_| self.clone())?;
        let Some(channels) = self.shape().get(1).copied() else {
            let problem = "is not [batch, channels, ..]".to_string();
            return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        };
        self.fitting(op, &[channels], params)?;
        Ok(channels)
    }

    #[track_caller]
    fn fitting(&self, op: &'static str, shape: &[usize], params: &[Option<&Tensor>]) -> Result<(), Tensor> {
        for param in params.iter().copied().flatten() {
            param.check().map_err(|_| param.clone())?;
            if param.shape() != shape {
                let problem = format!("is not that of a weight or bias of {shape:?}");
                return Err(self.fail(op, ErrorKind::Shape { shape: param.shape().to_vec(), problem }));
            }
        }
        Ok(())
    }
}
