//! Tensors from arrays and lists in one another, and back.

use std::panic::Location;

use thalweg_ir::{Error, ErrorKind, Result};

use crate::{device::Device, ops::create::Element, tensor::Tensor};

/// Numbers, and arrays, lists and slices of what is nested: `[[1.0, 2.0], [3.0, 4.0]]`, `Vec<[i32; 3]>`, `Vec<Vec<f32>>`.
pub trait Nested {
    /// What is innermost.
    type Element: Element;
    /// How deep it is.
    const RANK: usize;

    /// The extents, by whatever is first at each depth, behind those of what this is in.
    fn extents(&self, shape: &mut Vec<usize>);

    /// Puts the elements behind others. Says whether all of it has these extents.
    fn put(&self, shape: &[usize], elements: &mut Vec<Self::Element>) -> bool;
}

/// What is nested and can be made: all of [`Nested`] but slices.
pub trait FromNested: Nested + Sized {
    /// Takes as many elements as it has with these extents. `None` if it has others.
    fn take(shape: &[usize], elements: &mut std::slice::Iter<'_, Self::Element>) -> Option<Self>;
}

impl<T: Element> Nested for T {
    type Element = T;
    const RANK: usize = 0;

    fn extents(&self, _: &mut Vec<usize>) {}

    fn put(&self, _: &[usize], elements: &mut Vec<T>) -> bool {
        elements.push(*self);
        true
    }
}

impl<T: Element> FromNested for T {
    fn take(_: &[usize], elements: &mut std::slice::Iter<'_, T>) -> Option<T> {
        elements.next().copied()
    }
}

macro_rules! nested {
    ($($type:ty $(, $n:ident)?;)*) => {$(
        impl<M: Nested $(, const $n: usize)?> Nested for $type {
            type Element = M::Element;
            const RANK: usize = 1 + M::RANK;

            fn extents(&self, shape: &mut Vec<usize>) {
                shape.push(self.len());
                match self.first() {
                    Some(first) => first.extents(shape),
                    None => shape.resize(shape.len() + M::RANK, 0),
                }
            }

            fn put(&self, shape: &[usize], elements: &mut Vec<M::Element>) -> bool {
                let [extent, inner @ ..] = shape else { return false };
                self.len() == *extent && self.iter().all(|part| part.put(inner, elements))
            }
        }
    )*};
}
nested! { Vec<M>; [M; N], N; &[M]; }

impl<M: FromNested> FromNested for Vec<M> {
    fn take(shape: &[usize], elements: &mut std::slice::Iter<'_, M::Element>) -> Option<Vec<M>> {
        let [extent, inner @ ..] = shape else { return None };
        (0..*extent).map(|_| M::take(inner, elements)).collect()
    }
}

impl<M: FromNested, const N: usize> FromNested for [M; N] {
    fn take(shape: &[usize], elements: &mut std::slice::Iter<'_, M::Element>) -> Option<[M; N]> {
        Vec::take(shape, elements)?.try_into().ok()
    }
}

/// # Arrays and lists
impl Tensor {
    /// A tensor of what is nested, which has its shape.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use thalweg_graph::{Device, Tensor};
    /// # fn f(device: &Device) -> thalweg_graph::Result<()> {
    /// let x = Tensor::from_nested(device, [[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(x.shape(), [2, 3]);
    /// assert_eq!(x.t().to_nested::<Vec<[f32; 2]>>()?, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for rows of different lengths; as [`Tensor::from_slice`].
    #[track_caller]
    #[doc(alias("tensor", "from_vec", "from_rows"))]
    pub fn from_nested<N: Nested>(device: &Device, nested: N) -> Tensor {
        let (mut shape, mut elements) = (Vec::new(), Vec::new());
        nested.extents(&mut shape);
        match nested.put(&shape, &mut elements) {
            true => Tensor::from_slice(device, &elements, shape),
            false => {
                let problem = format!("rows of different lengths where the first have the shape {shape:?}");
                Tensor::fail_on(device, "from_nested", ErrorKind::Invalid(problem))
            }
        }
    }

    /// The elements as arrays or lists in one another. Evaluates, and waits for the device.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for another number of axes than there are arrays in one another, or another extent than that of an array; as
    /// [`Tensor::to_vec`].
    #[track_caller]
    #[doc(alias = "tolist")]
    pub fn to_nested<N: FromNested>(&self) -> Result<N> {
        let elements = self.to_vec::<N::Element>()?;
        let made = if self.rank() == N::RANK { N::take(self.shape(), &mut elements.iter()) } else { None };
        match made {
            Some(nested) => Ok(nested),
            None => {
                let problem = format!("is not that of {}", std::any::type_name::<N>());
                let kind = ErrorKind::Shape { shape: self.shape().to_vec(), problem };
                Err(Error::at("to_nested", kind, Location::caller(), None))
            }
        }
    }
}
