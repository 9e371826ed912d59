//! Where each parameter lies in a flat buffer, and what can be computed over such a buffer tensor by tensor.

use std::panic::Location;

use smallvec::smallvec;
use thalweg_ir::{DType, Op, shape::count};

use crate::{device::Device, tensor::Tensor};

/// Elements to a multiple of which every parameter's place in a flat buffer is rounded up: 256 bytes of f32, the largest
/// offset alignment that adapters ask for.
pub const CHUNK: usize = 64;

/// One parameter's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name in the model.
    pub path: String,
    /// First element, a multiple of [`CHUNK`].
    pub offset: usize,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Parameters one behind the other, each at a multiple of [`CHUNK`] elements: an elementwise rule is one launch for all, a norm
/// one reduction, and each can still be bound alone. What lies between them is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    segments: Vec<Segment>,
    len: usize,
}

impl Layout {
    /// Of parameters in this order.
    pub fn new(params: impl IntoIterator<Item = (String, Vec<usize>)>) -> Layout {
        let mut layout = Layout::default();
        for (path, shape) in params {
            let offset = layout.len;
            layout.len += count(&shape).next_multiple_of(CHUNK);
            layout.segments.push(Segment { path, offset, shape });
        }
        layout
    }

    /// The parameters, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Elements, what lies between included.
    #[doc(alias = "numel")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum over each parameter's elements.
    ///
    /// # Shapes
    /// `[len]` → `[segments]`
    #[track_caller]
    pub fn sums(&self, flat: &Tensor) -> Tensor {
        let chunks = flat.reshape([self.len / CHUNK, CHUNK]).sum(1);
        chunks.zeros_like().slice(0, ..self.segments.len() as isize).scatter_add(0, &self.owners(flat), &chunks)
    }

    /// One number per parameter, at each of its elements.
    ///
    /// # Shapes
    /// `[segments]` → `[len]`
    #[track_caller]
    pub fn spread(&self, per: &Tensor) -> Tensor {
        let chunks = per.gather(0, &self.owners(per));
        chunks.unsqueeze(1).broadcast_to([self.len / CHUNK, CHUNK]).reshape([self.len])
    }

    /// Whether an element is a parameter's; the others lie between two.
    ///
    /// # Shapes
    /// → `[len]`, Bool
    #[track_caller]
    pub fn inside(&self, device: &Device) -> Tensor {
        let of_chunks = |s: &Segment| {
            let len = count(&s.shape);
            (0..len.div_ceil(CHUNK)).map(move |chunk| (len - chunk * CHUNK).min(CHUNK) as i32)
        };
        let filled: Vec<i32> = self.segments.iter().flat_map(of_chunks).collect();
        let filled = Tensor::from_slice(device, &filled, [filled.len(), 1]);
        Tensor::arange(device, CHUNK).lt(filled).reshape([self.len])
    }

    /// A view of parameter `i`.
    ///
    /// # Shapes
    /// `[len]` → the parameter's
    /// # Errors
    /// A parameter that there is not.
    #[track_caller]
    pub fn part(&self, flat: &Tensor, i: usize) -> Tensor {
        match self.segments.get(i) {
            Some(Segment { offset, shape, .. }) => {
                let (start, end) = (*offset as isize, (*offset + count(shape)) as isize);
                flat.slice(0, start..end).reshape(shape.clone())
            }
            None => {
                let (index, extent) = (i as i64, self.segments.len());
                flat.fail("part", crate::ErrorKind::Index { index, axis: 0, extent })
            }
        }
    }

    /// The parameters' values as one vector, each rounded to `dtype`.
    ///
    /// # Shapes
    /// The parameters', in order → `[len]`
    /// # Errors
    /// Another number of them; another shape than a parameter's.
    #[track_caller]
    pub fn join(&self, parts: Vec<Tensor>, dtype: DType) -> Tensor {
        let Some(first) = parts.first().cloned() else {
            unreachable!("a layout without parameters is joined by nobody")
        };
        for (part, segment) in parts.iter().zip(&self.segments) {
            if part.check().is_ok() && part.shape() != segment.shape {
                let (lhs, rhs) = (part.shape().to_vec(), segment.shape.clone());
                let problem = format!("differ: the second is that of '{}'", segment.path);
                return first.fail("join", crate::ErrorKind::Shapes { lhs, rhs, problem });
            }
        }
        if parts.len() != self.segments.len() {
            let (got, want) = (parts.len(), self.segments.len());
            return first.fail("join", crate::ErrorKind::Invalid(format!("{got} tensors for {want} parameters")));
        }
        let parts: Vec<Tensor> = parts.iter().map(|p| p.cast(dtype)).collect();
        if let [part] = &parts[..]
            && count(part.shape()) == self.len
        {
            return part.reshape([self.len]);
        }
        let offsets = self.segments.iter().map(|s| s.offset).collect();
        Tensor::node(Op::Pack(offsets), parts.into(), smallvec![self.len], dtype, first.device(), Location::caller())
    }

    /// To which parameter each chunk belongs.
    fn owners(&self, like: &Tensor) -> Tensor {
        let chunks = |s: &Segment| count(&s.shape).div_ceil(CHUNK);
        let owners = self.segments.iter().enumerate().flat_map(|(i, s)| std::iter::repeat_n(i as i32, chunks(s)));
        let owners: Vec<i32> = owners.collect();
        Tensor::from_slice(like.device(), &owners, [owners.len()])
    }
}
