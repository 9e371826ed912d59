//! Padding with what the tensor holds: mirrored, repeated or wrapped around.

use thalweg_ir::ErrorKind;

use crate::tensor::Tensor;

/// What stands outside the borders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Border {
    Reflect,
    Replicate,
    Circular,
}

/// # Padding by what is there
impl Tensor {
    /// Padded with its mirror image, the border itself not repeated: `c b | a b c | b a`. Pairs are as in [`Tensor::pad`];
    /// the gradient of an element is summed over its images.
    ///
    /// # Shapes
    /// As [`Tensor::pad`].
    /// # Errors
    /// As [`Tensor::pad`]; padding that is not smaller than the axis.
    #[track_caller]
    #[doc(alias = "reflection_pad")]
    pub fn pad_reflect(&self, pads: &[(isize, isize)]) -> Tensor {
        self.pad_border("pad_reflect", pads, Border::Reflect)
    }

    /// Padded with the border repeated: `a a | a b c | c c`. Pairs are as in [`Tensor::pad`].
    ///
    /// # Shapes
    /// As [`Tensor::pad`].
    /// # Errors
    /// As [`Tensor::pad`]; an axis with no elements.
    #[track_caller]
    #[doc(alias = "replication_pad")]
    pub fn pad_replicate(&self, pads: &[(isize, isize)]) -> Tensor {
        self.pad_border("pad_replicate", pads, Border::Replicate)
    }

    /// Padded with the other end: `b c | a b c | a b`. Pairs are as in [`Tensor::pad`].
    ///
    /// # Shapes
    /// As [`Tensor::pad`].
    /// # Errors
    /// As [`Tensor::pad`]; padding larger than the axis.
    #[track_caller]
    #[doc(alias = "circular_pad")]
    pub fn pad_circular(&self, pads: &[(isize, isize)]) -> Tensor {
        self.pad_border("pad_circular", pads, Border::Circular)
    }

    #[track_caller]
    fn pad_border(&self, op: &'static str, pads: &[(isize, isize)], border: Border) -> Tensor {
        // Negative pairs take elements away before anything is repeated.
        let cuts: Vec<(isize, isize)> = pads.iter().map(|(b, a)| ((*b).min(0), (*a).min(0))).collect();
        let mut x = self.pad(&cuts, 0.0);
        if x.check().is_err() {
            return x;
        }
        let first = x.rank() - pads.len();
        for (d, (before, after)) in pads.iter().enumerate() {
            if x.check().is_err() {
                return x;
            }
            let (axis, before, after) = (first + d, (*before).max(0) as usize, (*after).max(0) as usize);
            let (n, most) = (x.shape()[axis], before.max(after));
            let room = match border {
                Border::Reflect => most < n,
                Border::Replicate => n > 0,
                Border::Circular => most <= n,
            };
            if most > 0 && !room {
                let problem = format!("is too short at axis {axis} for {before} and {after} elements more");
                return self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem });
            }
            let mut parts = Vec::with_capacity(3);
            if before > 0 {
                parts.push(match border {
                    Border::Reflect => x.strided(axis, before, -1, before),
                    Border::Replicate => x.strided(axis, 0, 1, 1).repeat_interleave(before, axis),
                    Border::Circular => x.strided(axis, n - before, 1, before),
                });
            }
            parts.push(x.clone());
            if after > 0 {
                parts.push(match border {
                    Border::Reflect => x.strided(axis, n - 2, -1, after),
                    Border::Replicate => x.strided(axis, n - 1, 1, 1).repeat_interleave(after, axis),
                    Border::Circular => x.strided(axis, 0, 1, after),
                });
            }
            x = parts[0].concat_with(&parts[1..], axis);
        }
        x
    }
}
