//! Contractions: matrix products, and convolutions with their two adjoints.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{
    Conv, ErrorKind, Op, Window,
    shape::{broadcast, count},
};

use crate::tensor::Tensor;

/// How a convolution walks. One number for each spatial axis, or one for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvConfig {
    /// Steps between windows.
    pub stride: Vec<usize>,
    /// Zeros on both sides.
    pub padding: Vec<usize>,
    /// Steps inside a window.
    pub dilation: Vec<usize>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Default for ConvConfig {
    fn default() -> ConvConfig {
        ConvConfig { stride: vec![1], padding: vec![0], dilation: vec![1], groups: 1 }
    }
}

/// The largest kernel, stride, dilation and padding: positions inside windows are computed from products of two.
const MAX_SETTING: usize = i32::MAX as usize;

/// A setting spread over `n` axes.
pub(crate) fn per_axis(setting: &[usize], n: usize) -> Option<Vec<usize>> {
    match setting.len() {
        1 => Some(vec![setting[0]; n]),
        len if len == n => Some(setting.to_vec()),
        _ => None,
    }
}

/// # Products and convolutions
impl Tensor {
    /// The matrix product of the last two axes, batched over the others: `y_mn = Σ_k a_mk b_kn`. 16-bit floats
    /// are summed in F32.
    ///
    /// # Shapes
    /// `[.., M, K]`, `[.., K, N]` → `[.., M, N]`; leading axes broadcast. A vector on the left is a row, on the right a
    /// column; its axis goes away: `[K]`, `[.., K, N]` → `[.., N]`
    /// # Errors
    /// Inner extents that differ; leading axes that do not broadcast; scalars; integers.
    #[track_caller]
    #[doc(alias("mm", "bmm"))]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if other.check().is_err() {
            return other.clone();
        }
        if self.rank() == 0 || other.rank() == 0 {
            return self.no_product(other, "a scalar has no axis to sum over");
        }
        if self.rank() == 1 {
            let y = self.unsqueeze(0).matmul(other);
            if y.check().is_err() {
                return y;
            }
            // The row's axis is the last one when the right side was a column, and has lost its own.
            return if other.rank() == 1 { y.squeeze(-1) } else { y.squeeze(-2) };
        }
        if other.rank() == 1 {
            let y = self.matmul(&other.unsqueeze(1));
            return if y.check().is_err() { y } else { y.squeeze(-1) };
        }
        let (lb, lm) = self.shape().split_at(self.rank() - 2);
        let (rb, rm) = other.shape().split_at(other.rank() - 2);
        if lm[1] != rm[0] {
            return self.no_product(other, &format!("{} columns against {} rows", lm[1], rm[0]));
        }
        let Some(batch) = broadcast(lb, rb) else {
            return self.no_product(other, "their batch axes do not broadcast");
        };
        let (m, k, n) = (lm[0], lm[1], rm[1]);
        let dtype = self.dtype().promote(other.dtype());
        if !dtype.is_float() {
            let problem = "is not multiplied as matrices; cast to a float first".to_string();
            return self.fail("matmul", ErrorKind::DType { got: dtype, problem });
        }
        let lhs = self.cast(dtype).broadcast_to([&batch[..], &[m, k]].concat());
        // A right side without batch axes stays so: the product is then one of [batch · M, K] × [K, N].
        let rhs = match rb.iter().all(|d| *d == 1) {
            true => other.cast(dtype).reshape([k, n]),
            false => other.cast(dtype).broadcast_to([&batch[..], &[k, n]].concat()),
        };
        let shape = [&batch[..], &[m, n]].concat();
        Tensor::node(Op::Matmul, smallvec![lhs, rhs], shape, dtype, self.device(), Location::caller())
    }

    /// Not a closure: the caller's position does not go through one.
    #[track_caller]
    fn no_product(&self, other: &Tensor, why: &str) -> Tensor {
        let (lhs, rhs) = (self.shape().to_vec(), other.shape().to_vec());
        self.fail("matmul", ErrorKind::Shapes { lhs, rhs, problem: format!("do not multiply: {why}") })
    }

    /// Cross-correlation with `weight`, over as many spatial axes as it has beyond two.
    ///
    /// `y[b, o, s] = Σ_{c, k} x[b, c, s · stride + k · dilation - padding] · w[o, c, k]`, channels within their group, 0
    /// outside.
    ///
    /// # Shapes
    /// `[B, C, L..]`, `weight [O, C / groups, K..]` → `[B, O, S..]` with
    /// `S = ⌊(L + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1`
    /// # Errors
    /// Ranks or channels that do not fit; a window larger than the padded input; settings that do not fit the axes, or
    /// zeros in them; integers.
    #[track_caller]
    #[doc(alias("conv1d", "conv3d"))]
    pub fn conv(&self, weight: &Tensor, config: &ConvConfig) -> Tensor {
        let pads: Vec<(usize, usize)> = config.padding.iter().map(|p| (*p, *p)).collect();
        self.conv_padded(weight, config, &pads)
    }

    /// [`Tensor::conv`] with its own number of zeros in front of and behind each axis, instead of `config.padding`: one
    /// pair for each spatial axis, or one for all.
    ///
    /// # Shapes
    /// As [`Tensor::conv`], with both sides' zeros in place of `2 padding`.
    /// # Errors
    /// As [`Tensor::conv`].
    #[track_caller]
    pub fn conv_padded(&self, weight: &Tensor, config: &ConvConfig, pads: &[(usize, usize)]) -> Tensor {
        let (x, w) = match self.conv_operands("conv", weight) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let spatial = x.rank() - 2;
        let (front, back): (Vec<usize>, Vec<usize>) = pads.iter().copied().unzip();
        let kernel = w.shape()[2..].to_vec();
        let window = x.window("conv", spatial, &kernel, &config.stride, &config.dilation, &front);
        let (window, back) = match (window, per_axis(&back, spatial)) {
            (Ok(window), Some(back)) => (window, back),
            (Err(failed), _) => return failed,
            _ => return x.fail("conv", ErrorKind::Invalid(format!("padding {pads:?} does not fit {spatial} axes"))),
        };
        let (channels, out) = (x.shape()[1], w.shape()[0]);
        let groups = config.groups;
        if groups == 0 || w.shape()[1].checked_mul(groups) != Some(channels) || out % groups != 0 {
            let (lhs, rhs) = (x.shape().to_vec(), w.shape().to_vec());
            let problem = format!("do not convolve: {channels} channels in {groups} groups");
            return x.fail("conv", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let mut shape = vec![x.shape()[0], out];
        for d in 0..spatial {
            match extent(x.shape()[2 + d].saturating_add(window.pad[d]).saturating_add(back[d]), &window, d) {
                Some(s) => shape.push(s),
                None => {
                    let (lhs, rhs) = (x.shape().to_vec(), w.shape().to_vec());
                    let problem = "do not convolve: the window is larger than the padded input".into();
                    return x.fail("conv", ErrorKind::Shapes { lhs, rhs, problem });
                }
            }
        }
        let (dtype, device) = (x.dtype(), x.device().clone());
        let op = Op::Conv(Conv { window, groups }.into());
        Tensor::node(op, smallvec![x, w], shape, dtype, &device, Location::caller())
    }

    /// [`Tensor::conv`] over two spatial axes.
    ///
    /// # Shapes
    /// `[B, C, H, W]`, `weight [O, C / groups, K, K']` → `[B, O, H', W']`
    /// # Errors
    /// As [`Tensor::conv`]; an input that has not four axes.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, config: &ConvConfig) -> Tensor {
        if self.check().is_ok() && self.rank() != 4 {
            let problem = "is not [batch, channels, height, width]".to_string();
            return self.fail("conv2d", ErrorKind::Shape { shape: self.shape().to_vec(), problem });
        }
        self.conv(weight, config)
    }

    /// The adjoint of [`Tensor::conv`] in its input, also called transposed convolution: each element of the input adds the
    /// window to the output, `stride` apart. `output_padding` says which of the sizes that `conv` takes to this one is
    /// meant.
    ///
    /// # Shapes
    /// `[B, C, S..]`, `weight [C, O / groups, K..]` → `[B, O, L..]` with
    /// `L = (S - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1`, or 0 where that is negative
    /// # Errors
    /// Ranks or channels that do not fit; settings that do not fit the axes, or zeros in them; integers.
    #[track_caller]
    #[doc(alias("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"))]
    pub fn conv_transpose(&self, weight: &Tensor, config: &ConvConfig, output_padding: &[usize]) -> Tensor {
        let (x, w) = match self.conv_operands("conv_transpose", weight) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let spatial = x.rank() - 2;
        let kernel = w.shape()[2..].to_vec();
        let window = x.window("conv_transpose", spatial, &kernel, &config.stride, &config.dilation, &config.padding);
        let (window, more) = match (window, per_axis(output_padding, spatial)) {
            (Ok(window), Some(more)) => (window, more),
            (Err(failed), _) => return failed,
            _ => {
                let kind = ErrorKind::Invalid(format!("output padding {output_padding:?} does not fit {spatial} axes"));
                return x.fail("conv_transpose", kind);
            }
        };
        let groups = config.groups;
        if groups == 0 || x.shape()[1] != w.shape()[0] || x.shape()[1] % groups != 0 {
            let (lhs, rhs) = (x.shape().to_vec(), w.shape().to_vec());
            let problem = format!("do not convolve: {} channels in {groups} groups", x.shape()[1]);
            return x.fail("conv_transpose", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let mut shape = vec![x.shape()[0], w.shape()[1] * groups];
        for d in 0..spatial {
            let steps = (x.shape()[2 + d].max(1) - 1).saturating_mul(window.stride[d]);
            let full = steps.saturating_add(window.span(d)).saturating_add(more[d]);
            match full.checked_sub(2 * window.pad[d]) {
                Some(extent) => shape.push(extent),
                None => {
                    let (lhs, rhs) = (x.shape().to_vec(), w.shape().to_vec());
                    let problem = format!("do not convolve: padding {} leaves nothing of {full}", window.pad[d]);
                    return x.fail("conv_transpose", ErrorKind::Shapes { lhs, rhs, problem });
                }
            }
        }
        let (dtype, device) = (x.dtype(), x.device().clone());
        let op = Op::ConvInput(Conv { window, groups }.into());
        Tensor::node(op, smallvec![x, w], shape, dtype, &device, Location::caller())
    }

    #[track_caller]
    fn conv_operands(&self, op: &'static str, weight: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
        self.check().map_err(|_| self.clone())?;
        weight.check().map_err(|_| weight.clone())?;
        if self.rank() < 3 || self.rank() != weight.rank() {
            let (lhs, rhs) = (self.shape().to_vec(), weight.shape().to_vec());
            let problem = "do not convolve: input and weight need two axes and then equally many spatial ones".into();
            return Err(self.fail(op, ErrorKind::Shapes { lhs, rhs, problem }));
        }
        let dtype = self.dtype().promote(weight.dtype());
        if !dtype.is_float() {
            return Err(self.fail(op, ErrorKind::DType { got: dtype, problem: "is not convolved".into() }));
        }
        Ok((self.cast(dtype), weight.cast(dtype)))
    }

    /// A window with each setting spread over the spatial axes.
    #[track_caller]
    pub(crate) fn window(
        &self,
        op: &'static str,
        spatial: usize,
        kernel: &[usize],
        stride: &[usize],
        dilation: &[usize],
        pad: &[usize],
    ) -> Result<Window, Tensor> {
        let settings = [("kernel", kernel), ("stride", stride), ("dilation", dilation), ("padding", pad)];
        match settings.map(|(name, given)| setting(name, given, spatial)) {
            [Ok(kernel), Ok(stride), Ok(dilation), Ok(pad)] => Ok(Window { kernel, stride, dilation, pad }),
            [Err(problem), ..] | [_, Err(problem), ..] | [.., Err(problem), _] | [.., Err(problem)] => {
                Err(self.fail(op, ErrorKind::Invalid(problem)))
            }
        }
    }
}

/// A setting of a window spread over `n` axes, or what is wrong with it.
fn setting(name: &str, given: &[usize], n: usize) -> Result<Vec<usize>, String> {
    match per_axis(given, n) {
        None => Err(format!("{name} {given:?} does not fit {n} spatial axes")),
        Some(_) if name != "padding" && given.contains(&0) => Err(format!("{name} {given:?} has a 0")),
        Some(_) if given.iter().any(|s| *s > MAX_SETTING) => {
            Err(format!("{name} {given:?} is more than {MAX_SETTING}"))
        }
        Some(spread) => Ok(spread),
    }
}

/// Windows that fit into `padded` elements along spatial axis `d`.
fn extent(padded: usize, window: &Window, d: usize) -> Option<usize> {
    padded.checked_sub(window.span(d)).map(|rest| rest / window.stride[d] + 1)
}

#[track_caller]
fn derived(op: Op, inputs: [&Tensor; 2], shape: &[usize]) -> Tensor {
    let (dtype, device) = (inputs[0].dtype(), inputs[0].device());
    Tensor::node(op, inputs.map(Clone::clone).into(), shape, dtype, device, Location::caller())
}

/// The gradients of both sides of a matrix product.
pub(crate) fn matmul_vjp(a: &Tensor, b: &Tensor, g: &Tensor) -> [Option<Tensor>; 2] {
    let da = a.is_tracked().then(|| g.matmul(&b.t()));
    let db = b.is_tracked().then(|| {
        if b.rank() == a.rank() {
            return a.t().matmul(g);
        }
        // The right side served every batch: its gradient sums over them, as one product of flattened rows.
        let rows = |x: &Tensor| x.reshape([count(&x.shape()[..x.rank() - 1]), x.shape()[x.rank() - 1]]);
        rows(a).t().matmul(&rows(g))
    });
    [da, db]
}

/// The gradients of a convolution's input and weight: its two adjoints, of which it is in turn the adjoint.
pub(crate) fn conv_vjp(op: &Op, a: &Tensor, b: &Tensor, g: &Tensor) -> [Option<Tensor>; 2] {
    let (to_a, to_b) = match op {
        Op::Conv(c) => (
            derived(Op::ConvInput(c.clone()), [g, b], a.shape()),
            derived(Op::ConvWeight(c.clone()), [a, g], b.shape()),
        ),
        Op::ConvInput(c) => {
            (derived(Op::Conv(c.clone()), [g, b], a.shape()), derived(Op::ConvWeight(c.clone()), [g, a], b.shape()))
        }
        Op::ConvWeight(c) => {
            (derived(Op::ConvInput(c.clone()), [b, g], a.shape()), derived(Op::Conv(c.clone()), [a, g], b.shape()))
        }
        _ => return [None, None],
    };
    [a.is_tracked().then_some(to_a), b.is_tracked().then_some(to_b)]
}
