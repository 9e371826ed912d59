//! Pooling as layers.

use thalweg_derive::Module;
use thalweg_graph::{ErrorKind, Pool, Tensor};

use crate::{
    PerAxis,
    per_axis::{SPACE, by_rank},
};

/// Refuses what is not a batch over N axes of space, or one sample of it.
#[track_caller]
fn check<const N: usize>(op: &'static str, x: &Tensor) -> Result<(), Tensor> {
    x.check().map_err(|_| x.clone())?;
    if x.rank() == N + 1 || x.rank() == N + 2 {
        return Ok(());
    }
    let problem = format!("is not [batch, channels, {}], nor one sample of it", SPACE[N - 1]);
    Err(x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }))
}

/// A layer that walks windows over N axes of space; its settings are the layer.
macro_rules! pools {
    ($(
        $(#[doc = $doc:literal])*
        $pool:ident, [$one:ident, $two:ident, $three:ident], $names:expr, $method:ident($($extra:ident: $type:ty),*);
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Module)]
        #[module(name = by_rank::<N>([stringify!($one), stringify!($two), stringify!($three)]))]
        pub struct $pool<const N: usize> {
            pool: Pool,
            $($extra: $type,)*
        }

        #[doc = concat!("[`", stringify!($pool), "`] over series.")]
        pub type $one = $pool<1>;
        #[doc = concat!("[`", stringify!($pool), "`] over images.")]
        pub type $two = $pool<2>;
        #[doc = concat!("[`", stringify!($pool), "`] over volumes.")]
        pub type $three = $pool<3>;

        impl<const N: usize> $pool<N> {
            const NAME: &'static str = by_rank::<N>($names);

            /// Windows of this size side by side.
            pub fn new($($extra: $type,)* kernel: impl Into<PerAxis<N>>) -> $pool<N> {
                $pool { pool: Pool::new(&kernel.into().0), $($extra,)* }
            }

            /// Steps between windows, if not the size of a window.
            pub fn stride(mut self, stride: impl Into<PerAxis<N>>) -> Self {
                self.pool.stride = stride.into().0.to_vec();
                self
            }

            /// Whether a last window may hang over the end.
            pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
                self.pool.ceil_mode = ceil_mode;
                self
            }

            /// Applies it.
            ///
            /// # Shapes
            /// `[B, C, L..]` → `[B, C, O..]`, or both without B
            /// # Errors
            /// Another number of axes; a window larger than the padded input; padding above half of the window; zeros in the
            /// settings.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                match check::<N>(Self::NAME, x) {
                    Ok(()) => x.$method($(self.$extra,)* &self.pool),
                    Err(failed) => failed,
                }
            }
        }
    )*};
}

pools! {
    /// The largest element of each window, as [`Tensor::max_pool`].
    MaxPool, [MaxPool1d, MaxPool2d, MaxPool3d], ["max_pool1d", "max_pool2d", "max_pool3d"], max_pool();
    /// The mean of each window, as [`Tensor::avg_pool`].
    AvgPool, [AvgPool1d, AvgPool2d, AvgPool3d], ["avg_pool1d", "avg_pool2d", "avg_pool3d"], avg_pool();
    /// `(Σ x^p)^(1/p)` of each window, as [`Tensor::lp_pool`]; `new(p, kernel)`.
    LpPool, [LpPool1d, LpPool2d, LpPool3d], ["lp_pool1d", "lp_pool2d", "lp_pool3d"], lp_pool(p: f64);
}

impl<const N: usize> MaxPool<N> {
    /// Elements on both sides that no window finds largest, at most half the window.
    pub fn padding(mut self, padding: impl Into<PerAxis<N>>) -> Self {
        self.pool.padding = padding.into().0.to_vec();
        self
    }

    /// Steps inside a window.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<N>>) -> Self {
        self.pool.dilation = dilation.into().0.to_vec();
        self
    }

    /// Applies it, and says where each maximum comes from, for [`MaxUnpool`]: I32, row-major within the axes of space.
    ///
    /// # Shapes
    /// `[B, C, L..]` → `[B, C, O..]`, twice, or all without B
    /// # Errors
    /// As [`MaxPool::forward`].
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        match check::<N>(Self::NAME, x) {
            Ok(()) => x.max_pool_with_indices(&self.pool),
            Err(failed) => (failed.clone(), failed),
        }
    }
}

impl<const N: usize> AvgPool<N> {
    /// Zeros on both sides, at most half the window.
    pub fn padding(mut self, padding: impl Into<PerAxis<N>>) -> Self {
        self.pool.padding = padding.into().0.to_vec();
        self
    }

    /// Whether a mean counts the padding, as it does unless told otherwise.
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.pool.count_include_pad = count;
        self
    }

    /// What sums are divided by, if not by the number of elements.
    pub fn divisor(mut self, divisor: usize) -> Self {
        self.pool.divisor = Some(divisor);
        self
    }
}

/// The inverse of [`MaxPool`], as far as there is one: each element where it was found, zeros elsewhere; [`Tensor::max_unpool`].
#[derive(Clone, Debug, Module)]
pub struct MaxUnpool<const N: usize> {
    kernel: [usize; N],
    stride: [usize; N],
    padding: [usize; N],
}

/// [`MaxUnpool`] over series.
pub type MaxUnpool1d = MaxUnpool<1>;
/// [`MaxUnpool`] over images.
pub type MaxUnpool2d = MaxUnpool<2>;
/// [`MaxUnpool`] over volumes.
pub type MaxUnpool3d = MaxUnpool<3>;

impl<const N: usize> MaxUnpool<N> {
    const NAME: &'static str = by_rank::<N>(["max_unpool1d", "max_unpool2d", "max_unpool3d"]);

    /// Of windows of this size side by side.
    pub fn new(kernel: impl Into<PerAxis<N>>) -> MaxUnpool<N> {
        let kernel = kernel.into().0;
        MaxUnpool { kernel, stride: kernel, padding: [0; N] }
    }

    /// Steps between windows, if not the size of a window.
    pub fn stride(mut self, stride: impl Into<PerAxis<N>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// What was added on both sides.
    pub fn padding(mut self, padding: impl Into<PerAxis<N>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// Puts elements where the indices say, in an image of extents `(O - 1) stride - 2 padding + kernel`.
    ///
    /// # Shapes
    /// `[B, C, O..]`, indices alike → `[B, C, L..]`, or all without B
    /// # Errors
    /// Another number of axes; shapes that differ; padding that leaves nothing. Positions outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, indices: &Tensor) -> Tensor {
        if let Err(failed) = check::<N>(Self::NAME, x) {
            return failed;
        }
        let pooled = &x.shape()[x.rank() - N..];
        let size: [usize; N] = std::array::from_fn(|d| {
            let full = (pooled[d].max(1) - 1).saturating_mul(self.stride[d]).saturating_add(self.kernel[d]);
            full.saturating_sub(self.padding[d].saturating_mul(2))
        });
        x.max_unpool(indices, &size)
    }

    /// The same in an image of these extents: of several that a pooling takes to one, the one that was meant.
    ///
    /// # Shapes
    /// `[B, C, O..]`, indices alike → `[B, C, size..]`, or all without B
    /// # Errors
    /// As [`MaxUnpool::forward`].
    #[track_caller]
    pub fn forward_to(&self, x: &Tensor, indices: &Tensor, size: impl Into<PerAxis<N>>) -> Tensor {
        match check::<N>(Self::NAME, x) {
            Ok(()) => x.max_unpool(indices, &size.into().0),
            Err(failed) => failed,
        }
    }
}

/// Extents of N axes of space, of which some may stay as they are: `7` for all, `[7, 5]`, or `[None, Some(5)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents<const N: usize>([Option<usize>; N]);

impl<const N: usize> From<usize> for Extents<N> {
    fn from(all: usize) -> Extents<N> {
        Extents([Some(all); N])
    }
}

impl<const N: usize> From<[usize; N]> for Extents<N> {
    fn from(each: [usize; N]) -> Extents<N> {
        Extents(each.map(Some))
    }
}

impl<const N: usize> From<[Option<usize>; N]> for Extents<N> {
    fn from(each: [Option<usize>; N]) -> Extents<N> {
        Extents(each)
    }
}

/// A layer that pools N axes of space to given extents.
macro_rules! adaptive {
    ($(
        $(#[doc = $doc:literal])*
        $pool:ident, [$one:ident, $two:ident, $three:ident], $names:expr, $method:ident;
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Module)]
        #[module(name = by_rank::<N>([stringify!($one), stringify!($two), stringify!($three)]))]
        pub struct $pool<const N: usize> {
            #[module(skip)]
            out: Extents<N>,
        }

        #[doc = concat!("[`", stringify!($pool), "`] over series.")]
        pub type $one = $pool<1>;
        #[doc = concat!("[`", stringify!($pool), "`] over images.")]
        pub type $two = $pool<2>;
        #[doc = concat!("[`", stringify!($pool), "`] over volumes.")]
        pub type $three = $pool<3>;

        impl<const N: usize> $pool<N> {
            const NAME: &'static str = by_rank::<N>($names);

            /// To these extents.
            pub fn new(out: impl Into<Extents<N>>) -> $pool<N> {
                $pool { out: out.into() }
            }

            fn extents(&self, x: &Tensor) -> [usize; N] {
                let space = &x.shape()[x.rank() - N..];
                std::array::from_fn(|d| self.out.0[d].unwrap_or(space[d]))
            }

            /// Applies it.
            ///
            /// # Shapes
            /// `[B, C, L..]` → `[B, C, out..]`, or both without B
            /// # Errors
            /// Another number of axes; extents of 0.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                match check::<N>(Self::NAME, x) {
                    Ok(()) => x.$method(&self.extents(x)),
                    Err(failed) => failed,
                }
            }
        }
    )*};
}

adaptive! {
    /// The mean of each of as many windows as there are to be, as [`Tensor::adaptive_avg_pool`].
    AdaptiveAvgPool, [AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d],
        ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"], adaptive_avg_pool;
    /// The largest element of each of as many windows as there are to be, as [`Tensor::adaptive_max_pool`].
    AdaptiveMaxPool, [AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d],
        ["adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"], adaptive_max_pool;
}

impl<const N: usize> AdaptiveMaxPool<N> {
    /// Applies it, and says where each maximum comes from, for [`Tensor::max_unpool`].
    ///
    /// # Shapes
    /// `[B, C, L..]` → `[B, C, out..]`, twice, or all without B
    /// # Errors
    /// As [`AdaptiveMaxPool::forward`].
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        match check::<N>(Self::NAME, x) {
            Ok(()) => x.adaptive_max_pool_with_indices(&self.extents(x)),
            Err(failed) => (failed.clone(), failed),
        }
    }
}
