//! The end of an epoch.

/// What becomes of the images that do not fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They are left out of this epoch.
    Drop,
    /// They are a smaller batch, and so a plan of its own.
    Keep,
    /// They are filled up with images of weight 0.
    Pad,
}
