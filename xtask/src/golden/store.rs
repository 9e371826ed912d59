//! Tensors of a family's safetensors file, and how they get onto a device.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use thalweg_graph::{DType, Device, Tensor};

/// What the numbers of a stored tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Int,
    Bool,
}

/// A tensor of the file. Every dtype of the format fits `f64` (integers up to 2⁵³).
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: Kind,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// All tensors of one file.
#[derive(Debug, Default)]
pub struct Store(HashMap<String, Stored>);

impl Store {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Store> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let file = SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            let values = decode(view.dtype(), view.data()).with_context(|| name.clone())?;
            let kind = match view.dtype() {
                Dtype::BOOL => Kind::Bool,
                Dtype::I64 | Dtype::I32 => Kind::Int,
                _ => Kind::Float,
            };
            tensors.insert(name, Stored { kind, dtype: view.dtype(), shape: view.shape().to_vec(), values });
        }
        Ok(Store(tensors))
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> Result<&Stored> {
        self.0.get(name).with_context(|| format!("the file has no tensor '{name}'"))
    }

    /// A tensor that may be there.
    pub fn find(&self, name: &str) -> Option<&Stored> {
        self.0.get(name)
    }
}

fn decode(dtype: Dtype, data: &[u8]) -> Result<Vec<f64>> {
    let (b2, b4, b8) = (data.as_chunks::<2>().0.iter(), data.as_chunks::<4>().0.iter(), data.as_chunks::<8>().0.iter());
    Ok(match dtype {
        Dtype::F64 => b8.map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => b4.map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F16 => b2.map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::BF16 => b2.map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::I64 => b8.map(|b| i64::from_le_bytes(*b) as f64).collect(),
        Dtype::I32 => b4.map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        Dtype::BOOL => data.iter().map(|b| f64::from(u8::from(*b != 0))).collect(),
        other => bail!("dtype {other:?} is not one of the format's"),
    })
}

impl Stored {
    /// On a device: floats rounded to `float`, integers as I32, truth values as Bool.
    pub fn upload(&self, device: &Device, float: DType) -> Tensor {
        let shape = &self.shape;
        match self.kind {
            Kind::Bool => Tensor::from_slice(device, &self.values.iter().map(|v| *v != 0.0).collect::<Vec<_>>(), shape),
            Kind::Int => Tensor::from_slice(device, &self.values.iter().map(|v| *v as i64).collect::<Vec<_>>(), shape),
            Kind::Float => upload(device, &self.values, shape, float),
        }
    }

    /// Row `i` along the first axis.
    pub fn row(&self, i: usize) -> Stored {
        Stored { shape: self.shape.get(1..).unwrap_or_default().to_vec(), ..self.rows(&[i]) }
    }

    /// These rows of the first axis. Rows past the end are left out, which the shape then does not fit.
    pub fn rows(&self, rows: &[usize]) -> Stored {
        let rest = self.shape.get(1..).unwrap_or_default();
        let len: usize = rest.iter().product();
        let values = rows.iter().flat_map(|r| self.values.get(r * len..(r + 1) * len).unwrap_or_default());
        Stored {
            kind: self.kind,
            dtype: self.dtype,
            shape: [&[rows.len()], rest].concat(),
            values: values.copied().collect(),
        }
    }
}

/// Numbers on a device, rounded to a float dtype.
pub fn upload(device: &Device, values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    let rounded = values.iter().map(|v| dtype.round(*v));
    match dtype {
        DType::F64 => Tensor::from_slice(device, values, shape),
        DType::F16 => Tensor::from_slice(device, &rounded.map(f16::from_f64).collect::<Vec<_>>(), shape),
        DType::BF16 => Tensor::from_slice(device, &rounded.map(bf16::from_f64).collect::<Vec<_>>(), shape),
        _ => Tensor::from_slice(device, &rounded.map(|v| v as f32).collect::<Vec<_>>(), shape),
    }
}
