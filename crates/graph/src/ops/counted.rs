//! Results whose shape depends on the data. They read it back, so they wait for the device, and give a `Result`.

use thalweg_ir::{DType, Error, ErrorKind, Result};

use crate::{shape::IntoAxis, tensor::Tensor};

/// What [`Tensor::unique`] finds.
#[derive(Clone, Debug)]
pub struct Unique {
    /// The different elements, ascending: `[U]`; or slices, as many along the axis.
    pub values: Tensor,
    /// For each element or slice where it stands among them: I32.
    pub inverse: Tensor,
    /// How often each occurs: I32 `[U]`.
    pub counts: Tensor,
}

/// # Results whose shape depends on data
impl Tensor {
    /// The elements where the mask holds, in row-major order. Differentiable.
    ///
    /// # Shapes
    /// `[..]`, a mask that broadcasts to it → `[number of true elements]`
    /// # Errors
    /// A mask that is not Bool, or does not broadcast; what evaluating the mask meets.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        let mask = match self.mask_of("masked_select", mask) {
            Ok(mask) => mask,
            Err(failed) => return failed.check().map(|()| failed),
        };
        let hits = mask.to_vec::<bool>()?;
        let positions: Vec<i32> = (0i32..).zip(hits).filter(|(_, hit)| *hit).map(|(i, _)| i).collect();
        let index = Tensor::from_slice(self.device(), &positions, [positions.len()]);
        Ok(self.reshape([self.count()]).index_select(0, &index))
    }

    /// The positions of the elements that are not 0, in row-major order, I32.
    ///
    /// # Shapes
    /// `[..]` of R axes → `[found, R]`
    /// # Errors
    /// What evaluating this meets.
    #[track_caller]
    #[doc(alias = "argwhere")]
    pub fn nonzero(&self) -> Result<Tensor> {
        self.check()?;
        let hits = self.truth().to_vec::<bool>()?;
        let mut positions: Vec<i32> = Vec::new();
        for (flat, _) in hits.iter().enumerate().filter(|(_, hit)| **hit) {
            let strides = crate::shape::strides(self.shape());
            positions.extend(strides.iter().zip(self.shape()).map(|(stride, extent)| (flat / stride % extent) as i32));
        }
        let found = hits.iter().filter(|hit| **hit).count();
        Ok(Tensor::from_slice(self.device(), &positions, [found, self.rank()]))
    }

    /// The different elements, ascending, where each came from and how often it occurs. What is not a number differs from
    /// itself. The gradient goes to the first of equal elements.
    ///
    /// # Shapes
    /// `[..]` → values `[U]`, inverse `[..]`, counts `[U]`
    /// # Errors
    /// What evaluating this meets.
    #[track_caller]
    pub fn unique(&self) -> Result<Unique> {
        let found = self.reshape([self.count()]).unique_along(0)?;
        Ok(Unique { inverse: found.inverse.reshape(self.shape()), ..found })
    }

    /// The different slices along an axis, in the order of their first elements, then of their second, and so on; where
    /// each came from and how often it occurs.
    ///
    /// # Shapes
    /// `[.., N, ..]` → values `[.., U, ..]`, inverse `[N]`, counts `[U]`
    /// # Errors
    /// An axis that there is not; what evaluating this meets.
    #[track_caller]
    #[doc(alias = "unique")]
    pub fn unique_along(&self, axis: impl IntoAxis) -> Result<Unique> {
        self.check()?;
        let axis = match axis.into().of(self.shape()) {
            Ok(axis) => axis,
            Err(kind) => return Err(Error::new("unique", kind)),
        };
        let n = self.shape()[axis];
        // -0 and 0 are equal, and must be so in the order of slices as well.
        let x: Vec<f64> = self.movedim(&[axis as isize], &[0]).to_vec::<f64>()?.iter().map(|x| x + 0.0).collect();
        let slice = |i: usize| &x[i * (x.len() / n)..(i + 1) * (x.len() / n)];
        let mut order: Vec<usize> = (0..n).collect();
        let compare = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne());
        order.sort_by(|a, b| compare(slice(*a), slice(*b)).unwrap_or(std::cmp::Ordering::Equal));
        let (mut first, mut counts, mut inverse) = (Vec::new(), Vec::new(), vec![0i32; n]);
        let mut last: Option<&[f64]> = None;
        for i in order {
            if last != Some(slice(i)) {
                first.push(i as i32);
                counts.push(0i32);
                last = Some(slice(i));
            }
            inverse[i] = first.len() as i32 - 1;
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
        let found = [first.len()];
        let first = Tensor::from_slice(self.device(), &first, found);
        Ok(Unique {
            values: self.index_select(axis, &first),
            inverse: Tensor::from_slice(self.device(), &inverse, [n]),
            counts: Tensor::from_slice(self.device(), &counts, found),
        })
    }

    /// How often each number from 0 occurs in a vector of integers, I32; or the sum of their weights, through which
    /// gradients pass.
    ///
    /// # Shapes
    /// `[N]`, weights `[N]` → `[max(largest + 1, min_length)]`
    /// # Errors
    /// Not a vector of integers; a negative number; weights of another shape; what evaluating this meets.
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, min_length: usize) -> Result<Tensor> {
        self.check()?;
        if self.dtype().is_float() || self.rank() != 1 {
            let kind = match self.rank() {
                1 => ErrorKind::DType { got: self.dtype(), problem: "is no number of a bin; use i32".into() },
                _ => ErrorKind::Shape { shape: self.shape().to_vec(), problem: "is no vector of bins".into() },
            };
            return Err(Error::new("bincount", kind));
        }
        let bins = self.to_vec::<i64>()?;
        let (lowest, highest) = bins.iter().fold((0, -1), |(low, high), b| (low.min(*b), high.max(*b)));
        if lowest < 0 {
            return Err(Error::new("bincount", ErrorKind::Invalid(format!("there is no bin {lowest}"))));
        }
        let length = usize::try_from(highest + 1).unwrap_or(0).max(min_length);
        let hit = self.cast(DType::I32).unsqueeze(0).eq(Tensor::arange(self.device(), length).unsqueeze(1));
        match weights {
            Some(weights) if weights.shape() != self.shape() => {
                weights.check()?;
                let (lhs, rhs) = (self.shape().to_vec(), weights.shape().to_vec());
                let problem = "differ: one weight for each element is needed".to_string();
                Err(Error::new("bincount", ErrorKind::Shapes { lhs, rhs, problem }))
            }
            Some(weights) => Ok(hit.where_(weights, 0.0).sum(1)),
            None => Ok(hit.cast(DType::I32).sum(1)),
        }
    }
}
