//! Pooling: a reduction over sliding windows.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{
    Bits, DType, ErrorKind, Op, Window,
    shape::{MAX_RANK, count},
};

use crate::{scope::Scope, shape::Axes, tensor::Tensor};

/// How a pooling walks, over as many of the last axes as `kernel` is long (or `spatial` says). One number is for all axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window size along each axis.
    pub kernel: Vec<usize>,
    /// Steps between windows; empty means the kernel's size.
    pub stride: Vec<usize>,
    /// Elements added on both sides, at most half the kernel: the lowest number for a maximum, 0 for a mean.
    pub padding: Vec<usize>,
    /// Steps inside a window.
    pub dilation: Vec<usize>,
    /// Whether a last window may hang over the end.
    pub ceil_mode: bool,
    /// Whether a mean counts the padding.
    pub count_include_pad: bool,
    /// What a mean divides by, if not by the number of elements.
    pub divisor: Option<usize>,
}

impl Pool {
    /// Windows of this size side by side, over as many axes as there are sizes.
    pub fn new(kernel: &[usize]) -> Pool {
        Pool {
            kernel: kernel.to_vec(),
            stride: vec![],
            padding: vec![0],
            dilation: vec![1],
            ceil_mode: false,
            count_include_pad: true,
            divisor: None,
        }
    }
}

/// # Pooling
impl Tensor {
    /// The windows of the last `window.kernel.len()` axes: `[.., L..] → [.., O.., K..]`, `fill` outside.
    #[track_caller]
    pub(crate) fn windows(&self, window: &Window, out: &[usize], fill: f64, aligned: bool) -> Tensor {
        let n = window.kernel.len();
        let lead = self.rank() - if aligned { 2 * n } else { n };
        if !aligned && side_by_side(window, out, &self.shape()[lead..]) {
            // No window overlaps another or hangs over: [.., O·K..] is [.., O, K..] with the axes of O in front.
            let split: Vec<usize> = (0..n).flat_map(|d| [out[d], window.kernel[d]]).collect();
            let axes = (0..lead).chain((0..n).map(|d| lead + 2 * d)).chain((0..n).map(|d| lead + 2 * d + 1));
            return self.reshape([&self.shape()[..lead], &split].concat()).permute(axes.collect::<Vec<_>>());
        }
        let shape = [&self.shape()[..lead], out, &window.kernel].concat();
        let op = Op::Windows { window: window.clone().into(), fill: Bits(fill), aligned };
        Tensor::node(op, smallvec![self.clone()], shape, self.dtype(), self.device(), Location::caller())
    }

    /// Every window element back where it came from: `[.., O.., K..] → [.., L.., K..]`.
    #[track_caller]
    pub(crate) fn windows_adjoint(&self, window: &Window, input: &[usize]) -> Tensor {
        let n = window.kernel.len();
        let lead = self.rank() - 2 * n;
        let shape = [&self.shape()[..lead], input, &window.kernel].concat();
        let op = Op::WindowsAdjoint(window.clone().into());
        Tensor::node(op, smallvec![self.clone()], shape, self.dtype(), self.device(), Location::caller())
    }

    /// This tensor with all axes but the last `n` as one, if there are too many for windows to be had beside them.
    #[track_caller]
    pub(crate) fn in_fewer_axes(&self, n: usize) -> Option<Tensor> {
        self.check().ok()?;
        let lead = self.rank().checked_sub(n).filter(|lead| n > 0 && *lead > 1 && self.rank() + n > MAX_RANK)?;
        Some(self.reshape([&[count(&self.shape()[..lead])], &self.shape()[lead..]].concat()))
    }

    /// What a function gave of that, with this tensor's axes but the last `n`.
    #[track_caller]
    pub(crate) fn in_all_axes(&self, n: usize, y: &Tensor) -> Tensor {
        match y.check() {
            Ok(()) => y.reshape([&self.shape()[..self.rank() - n], &y.shape()[1..]].concat()),
            Err(_) => y.clone(),
        }
    }

    /// Window and output extents of a pooling.
    #[track_caller]
    pub(crate) fn pooling(&self, op: &'static str, pool: &Pool) -> Result<(Window, Vec<usize>), Tensor> {
        self.check().map_err(|_| self.clone())?;
        let n = pool.kernel.len();
        if self.rank() < n || n == 0 {
            let problem = format!("has fewer than the {n} axes that are pooled");
            return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        let stride = if pool.stride.is_empty() { &pool.kernel } else { &pool.stride };
        let window = self.window(op, n, &pool.kernel, stride, &pool.dilation, &pool.padding)?;
        let input = &self.shape()[self.rank() - n..];
        let mut out = Vec::with_capacity(n);
        for d in 0..n {
            let (k, s, p) = (window.kernel[d], window.stride[d], window.pad[d]);
            let span = window.span(d);
            if 2 * p > span {
                let kind = ErrorKind::Invalid(format!("padding {p} is more than half of the window {k} at axis {d}"));
                return Err(self.fail(op, kind));
            }
            let Some(rest) = (input[d] + 2 * p).checked_sub(span) else {
                let problem = format!("is smaller than the window {:?}", pool.kernel);
                return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
            };
            let mut o = if pool.ceil_mode { rest.div_ceil(s) } else { rest / s } + 1;
            // A window must start inside the input or its front padding.
            if pool.ceil_mode && (o - 1) * s >= input[d] + p {
                o -= 1;
            }
            out.push(o);
        }
        Ok((window, out))
    }

    /// The largest element of each window; the gradient goes to the first such, in row-major order. A NaN is the largest.
    ///
    /// # Shapes
    /// `[.., L..]` → `[.., O..]`, `O = ⌊(L + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1`, or rounded up with
    /// `ceil_mode`, as long as the last window starts inside the input or the padding in front of it
    /// # Errors
    /// Fewer axes than are pooled; a window larger than the padded input; padding above half of the window; settings that
    /// do not fit the axes, or zeros in them.
    #[track_caller]
    #[doc(alias("max_pool1d", "max_pool3d"))]
    pub fn max_pool(&self, pool: &Pool) -> Tensor {
        let _scope = Scope::composite("max_pool");
        if let Some(x) = self.in_fewer_axes(pool.kernel.len()) {
            return self.in_all_axes(pool.kernel.len(), &x.max_pool(pool));
        }
        let (window, out) = match self.pooling("max_pool", pool) {
            Ok(found) => found,
            Err(failed) => return failed,
        };
        let windows = self.windows(&window, &out, self.dtype().lowest(false), false);
        if windows.check().is_err() {
            return windows;
        }
        let rank = windows.rank();
        let axes: Vec<isize> = (rank - out.len()..rank).map(|d| d as isize).collect();
        windows.max_first_keepdim(Axes::from(axes)).reshape([&self.shape()[..self.rank() - out.len()], &out].concat())
    }

    /// The mean of each window: its sum, divided by `divisor` if there is one, else by how many of its elements lie in the
    /// input, or in the input and its padding with `count_include_pad`. What hangs over the end with `ceil_mode` never
    /// counts. Counts take no notice of `dilation`, which PyTorch's means have not.
    ///
    /// # Shapes
    /// As [`Tensor::max_pool`].
    /// # Errors
    /// As [`Tensor::max_pool`]; a divisor of 0; not floats.
    #[track_caller]
    #[doc(alias("avg_pool1d", "avg_pool3d"))]
    pub fn avg_pool(&self, pool: &Pool) -> Tensor {
        let _scope = Scope::composite("avg_pool");
        if let Some(x) = self.in_fewer_axes(pool.kernel.len()) {
            return self.in_all_axes(pool.kernel.len(), &x.avg_pool(pool));
        }
        let (window, out) = match self.pooling("avg_pool", pool) {
            Ok(found) => found,
            Err(failed) => return failed,
        };
        if pool.divisor == Some(0) {
            return self.fail("avg_pool", ErrorKind::Invalid("a divisor of 0".into()));
        }
        let x = match self.wide_floats("avg_pool") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let windows = x.windows(&window, &out, 0.0, false);
        if windows.check().is_err() {
            return windows;
        }
        let rank = windows.rank();
        let axes: Vec<isize> = (rank - out.len()..rank).map(|d| d as isize).collect();
        let sums = windows.sum(axes);
        let input = &self.shape()[self.rank() - out.len()..];
        let whole = (0..out.len()).all(|d| whole(&window, out[d], input[d], d, pool.count_include_pad));
        let y = match (pool.divisor, whole) {
            (Some(divisor), _) => sums * (1.0 / divisor as f64),
            (None, true) => sums * (1.0 / count(&window.kernel) as f64),
            (None, false) => (0..out.len()).fold(sums, |y, d| {
                y / self.window_count(&window, out[d], input[d], d, pool.count_include_pad).unsqueeze_to(out.len() - d)
            }),
        };
        y.cast(self.dtype())
    }

    /// How many elements of each window along axis `d` count, as F32 `[O]`.
    #[track_caller]
    fn window_count(&self, window: &Window, out: usize, input: usize, d: usize, include_pad: bool) -> Tensor {
        let (k, s, p) = (window.kernel[d] as f64, window.stride[d] as f64, window.pad[d] as f64);
        let (low, high) = if include_pad { (-p, input as f64 + p) } else { (0.0, input as f64) };
        let start = Tensor::arange(self.device(), out).cast(DType::F32) * s - p;
        let end = (&start + k).minimum(high);
        end - start.maximum(low)
    }

    /// A vector as axis `-n`.
    #[track_caller]
    fn unsqueeze_to(&self, n: usize) -> Tensor {
        let mut shape = vec![1; n];
        shape[0] = self.count();
        self.reshape(shape)
    }

    /// [`Tensor::max_pool`] of the last two axes with square windows side by side.
    ///
    /// # Shapes
    /// `[.., H, W]` → `[.., ⌊H / kernel⌋, ⌊W / kernel⌋]`
    /// # Errors
    /// As [`Tensor::max_pool`].
    #[track_caller]
    pub fn max_pool2d(&self, kernel: usize) -> Tensor {
        self.max_pool(&Pool::new(&[kernel, kernel]))
    }

    /// [`Tensor::avg_pool`] of the last two axes with square windows side by side.
    ///
    /// # Shapes
    /// `[.., H, W]` → `[.., ⌊H / kernel⌋, ⌊W / kernel⌋]`
    /// # Errors
    /// As [`Tensor::max_pool`].
    #[track_caller]
    pub fn avg_pool2d(&self, kernel: usize) -> Tensor {
        self.avg_pool(&Pool::new(&[kernel, kernel]))
    }
}

/// Whether every window along axis `d` has its full size.
fn whole(window: &Window, out: usize, input: usize, d: usize, include_pad: bool) -> bool {
    let end = (out - 1) * window.stride[d] + window.kernel[d];
    let pad = window.pad[d];
    (include_pad || pad == 0) && end <= input + 2 * pad
}

/// Whether the windows tile the input.
fn side_by_side(window: &Window, out: &[usize], input: &[usize]) -> bool {
    (0..out.len()).all(|d| {
        window.pad[d] == 0
            && window.stride[d] == window.kernel[d]
            && (window.dilation[d] == 1 || window.kernel[d] == 1)
            && out[d] * window.kernel[d] == input[d]
    })
}
