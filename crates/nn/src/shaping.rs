//! Layers that move elements about.

use thalweg_derive::Module;
use thalweg_graph::{Axis, ErrorKind, Integer, IntoReshape, Resize, Tensor};

/// What comes in.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Identity;

impl Identity {
    /// Gives it back.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.clone()
    }
}

/// Axes as one: all but that of the batch, unless told otherwise.
#[derive(Clone, Debug, Module)]
pub struct Flatten {
    first: isize,
    last: isize,
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten::new()
    }
}

impl Flatten {
    /// Of all axes but the first.
    pub fn new() -> Flatten {
        Flatten { first: 1, last: -1 }
    }

    setters! {
        /// The first axis of those that become one (PyTorch's `start_dim`).
        first: isize;
        /// The last of them (PyTorch's `end_dim`).
        last: isize;
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, ..]` → `[B, n]`
    /// # Errors
    /// Axes that there are not, or the first behind the last.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.check().is_err() {
            return x.clone();
        }
        match (Axis(self.first).of(x.shape()), Axis(self.last).of(x.shape())) {
            (Ok(first), Ok(last)) if first <= last => x.flatten(first..=last),
            (Ok(first), Ok(last)) => {
                x.fail("flatten", ErrorKind::Invalid(format!("axis {first} stands behind axis {last}")))
            }
            (Err(kind), _) | (_, Err(kind)) => x.fail("flatten", kind),
        }
    }
}

/// An axis as several.
#[derive(Clone, Debug, Module)]
pub struct Unflatten {
    axis: isize,
    sizes: Vec<isize>,
}

impl Unflatten {
    /// This axis as axes of these extents, of which one may be -1.
    pub fn new(axis: impl Integer, sizes: impl IntoReshape) -> Unflatten {
        Unflatten { axis: axis.integer(), sizes: sizes.into_reshape() }
    }

    /// Applies it: [`Tensor::unflatten`].
    ///
    /// # Shapes
    /// `[.., n, ..]` → `[.., sizes.., ..]`
    /// # Errors
    /// An axis that there is not; sizes whose product is not its extent.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.unflatten(self.axis, self.sizes.as_slice())
    }
}

/// Resizing, as [`Tensor::interpolate`].
#[derive(Clone, Debug, Module)]
pub struct Upsample {
    #[module(skip)]
    resize: Resize,
}

impl Upsample {
    /// So: `Upsample::new(Resize::factor(2.0, Resample::Nearest))`.
    pub fn new(resize: Resize) -> Upsample {
        Upsample { resize }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, C, L..]` → `[B, C, S..]`
    /// # Errors
    /// As [`Tensor::interpolate`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.interpolate(&self.resize)
    }
}

/// A layer that calls a method with a number.
macro_rules! numbered {
    ($($(#[doc = $doc:literal])* $layer:ident($number:ident, $what:literal) => $method:ident, $shapes:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $layer {
            $number: usize,
        }

        impl $layer {
            #[doc = $what]
            pub fn new($number: usize) -> $layer {
                $layer { $number }
            }

            /// Applies it.
            ///
            /// # Shapes
            #[doc = $shapes]
            /// # Errors
            #[doc = concat!("As [`Tensor::", stringify!($method), "`].")]
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(self.$number)
            }
        }
    )*};
}
numbered! {
    /// Channels moved to space, as [`Tensor::pixel_shuffle`].
    PixelShuffle(factor, "Space that grows by this factor.") => pixel_shuffle, "`[.., C r², H, W]` → `[.., C, H r, W r]`";
    /// Space moved to channels, as [`Tensor::pixel_unshuffle`].
    PixelUnshuffle(factor, "Space that shrinks by this factor.") => pixel_unshuffle, "`[.., C, H r, W r]` → `[.., C r², H, W]`";
    /// Channels of groups taken by turns, as [`Tensor::channel_shuffle`].
    ChannelShuffle(groups, "Of this many groups.") => channel_shuffle, "`[B, C, ..]` → the same";
}
