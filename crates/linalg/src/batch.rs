//! A tensor's last two axes as matrices on the host, and back.

use faer::MatRef;
use thalweg_graph::{DType, Device, Error, ErrorKind, Result, Tensor};

/// Matrices of one size, row-major, one behind the other.
pub(crate) struct Batch {
    /// The axes in front of the last two.
    pub lead: Vec<usize>,
    /// How many matrices.
    pub count: usize,
    /// Of each.
    pub rows: usize,
    /// Of each.
    pub cols: usize,
    /// All elements.
    pub data: Vec<f64>,
    dtype: DType,
    device: Device,
}

impl Batch {
    /// The matrices of a tensor.
    #[track_caller]
    pub fn of(op: &'static str, x: &Tensor) -> Result<Batch> {
        x.check()?;
        if !x.dtype().is_float() {
            let problem = "has no decomposition; cast to a float first".to_string();
            return Err(Error::new(op, ErrorKind::DType { got: x.dtype(), problem }));
        }
        if x.is_tracked() {
            let problem = "it is computed on the host and has no gradient; give it x.detach()".to_string();
            return Err(Error::new(op, ErrorKind::Gradient(problem)));
        }
        let &[ref lead @ .., rows, cols] = x.shape() else {
            let problem = "is no matrix".to_string();
            return Err(Error::new(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }));
        };
        let data = x.to_vec::<f64>()?;
        if data.iter().any(|x| !x.is_finite()) {
            return Err(Error::new(op, ErrorKind::NonFinite("an element is not finite".into())));
        }
        let (lead, dtype, device) = (lead.to_vec(), x.dtype(), x.device().clone());
        Ok(Batch { count: lead.iter().product(), lead, rows, cols, data, dtype, device })
    }

    /// The same of square matrices.
    #[track_caller]
    pub fn square(op: &'static str, x: &Tensor) -> Result<Batch> {
        let batch = Batch::of(op, x)?;
        match batch.rows == batch.cols {
            true => Ok(batch),
            false => {
                let problem = "is no square matrix".to_string();
                Err(Error::new(op, ErrorKind::Shape { shape: batch.shape(), problem }))
            }
        }
    }

    pub fn shape(&self) -> Vec<usize> {
        [&self.lead[..], &[self.rows, self.cols]].concat()
    }

    /// One of them.
    pub fn matrix(&self, i: usize) -> MatRef<'_, f64> {
        let size = self.rows * self.cols;
        MatRef::from_row_major_slice(&self.data[i * size..(i + 1) * size], self.rows, self.cols)
    }

    /// Results of all, each of this shape, as a tensor like the one that was read.
    #[track_caller]
    pub fn give(&self, data: Vec<f64>, each: &[usize]) -> Result<Tensor> {
        let shape = [&self.lead[..], each].concat();
        let tensor = match self.dtype {
            DType::F64 => Tensor::from_slice(&self.device, &data, shape),
            dtype => {
                let narrow: Vec<f32> = data.iter().map(|x| *x as f32).collect();
                Tensor::from_slice(&self.device, &narrow, shape).cast(dtype)
            }
        };
        tensor.check().map(|()| tensor)
    }
}
