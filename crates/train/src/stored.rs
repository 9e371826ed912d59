//! A tensor as a file has it, and what it takes to be one of a device's.

use std::{ops::Range, sync::Arc};

use thalweg_graph::{DType, Element, module::snapshot::Array, shape::count};

use crate::safetensors::BITS;

/// A tensor whose elements lie somewhere in a file that is in memory. A cheap clone; nothing is copied before it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// As safetensors calls it.
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    strides: Vec<usize>,
    /// The first element.
    offset: usize,
    /// Whether the highest byte comes first.
    is_big: bool,
    file: Arc<Vec<u8>>,
    /// The bytes in which the elements are.
    at: Range<usize>,
}

/// Which elements of a storage are a tensor's.
pub(crate) struct Layout {
    pub shape: Vec<usize>,
    /// In elements, as is the offset.
    pub strides: Vec<usize>,
    pub offset: usize,
    pub is_big: bool,
}

impl Stored {
    /// One behind the other, the lowest byte first: the bytes are those of the shape.
    pub fn contiguous(file: &Arc<Vec<u8>>, at: Range<usize>, dtype: &'static str, shape: Vec<usize>) -> Stored {
        let strides = row_major(&shape);
        Stored { dtype, shape, strides, offset: 0, is_big: false, file: file.clone(), at }
    }

    /// Some elements of a storage, if all of them are in it.
    pub fn strided(file: &Arc<Vec<u8>>, at: Range<usize>, dtype: &'static str, of: Layout) -> Result<Stored, String> {
        let Layout { shape, strides, offset, is_big } = of;
        let size = whole_bytes(dtype).ok_or_else(|| format!("is {dtype}, of which elements share bytes"))?;
        if shape.len() != strides.len() {
            return Err(format!("has shape {shape:?} and strides {strides:?}"));
        }
        let elements = shape.iter().try_fold(size, |n, extent| n.checked_mul(*extent));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (extent, stride)| {
            last.checked_add(extent.saturating_sub(1).checked_mul(*stride)?)
        });
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(size));
        match (elements, end) {
            (Some(0), _) => {}
            (Some(n), Some(end)) if n <= isize::MAX as usize && end <= at.len() => {}
            _ => {
                return Err(format!(
                    "is {dtype} of shape {shape:?} with strides {strides:?} from element {offset}, and its storage has {} \
                     bytes",
                    at.len()
                ));
            }
        }
        Ok(Stored { dtype, shape, strides, offset, is_big, file: file.clone(), at })
    }

    /// With its axes in another order: axis `d` is what `axes[d]` was. `None` if these are not its axes.
    pub fn permuted(&self, axes: &[usize]) -> Option<Stored> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        let fits = sorted.into_iter().eq(0..self.shape.len()) && whole_bytes(self.dtype).is_some();
        let pick = |of: &[usize]| axes.iter().map(|axis| of[*axis]).collect();
        fits.then(|| Stored { shape: pick(&self.shape), strides: pick(&self.strides), ..self.clone() })
    }

    /// The elements, row-major and the lowest byte first.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = &self.file[self.at.clone()];
        let Some(size) = whole_bytes(self.dtype) else { return bytes.to_vec() };
        let n = count(&self.shape);
        let mut all = Vec::with_capacity(n * size);
        if self.strides == row_major(&self.shape) {
            all.extend_from_slice(bytes.get(self.offset * size..(self.offset + n) * size).unwrap_or_default());
        } else {
            let mut position = vec![0; self.shape.len()];
            for _ in 0..n {
                let at = self.offset + position.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
                all.extend_from_slice(&bytes[at * size..][..size]);
                for (i, extent) in position.iter_mut().zip(&self.shape).rev() {
                    *i += 1;
                    if *i < *extent {
                        break;
                    }
                    *i = 0;
                }
            }
        }
        if self.is_big {
            // A complex number is two.
            let word = if self.dtype == "C64" { 4 } else { size };
            all.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        }
        all
    }

    /// As a device stores it. Integers become the integers that are wanted where all of them fit, and floats wider floats; anything
    /// becomes narrower floats only if it may be rounded.
    pub fn array(&self, want: DType, may_round: bool) -> Result<Array, String> {
        let bytes = self.bytes();
        let of = Elements { dtype: self.dtype, bytes: &bytes };
        let bytes = if self.dtype == "BOOL" && want == DType::Bool {
            if let Some(byte) = bytes.iter().find(|byte| **byte > 1) {
                return Err(format!("with {byte}, which is no truth value"));
            }
            bool::bytes(&bytes.iter().map(|byte| *byte != 0).collect::<Vec<_>>())
        } else if self.dtype == stored_dtype(want) {
            bytes
        } else if let (DType::I32 | DType::U32, Some(integers)) = (want, of.integers()) {
            let mut words = Vec::with_capacity(4 * integers.len());
            for n in integers {
                let word = match want {
                    DType::I32 => i32::try_from(n).map(i32::to_le_bytes).ok(),
                    _ => u32::try_from(n).map(u32::to_le_bytes).ok(),
                };
                words.extend(word.ok_or_else(|| format!("with {n}, which the model's {want} does not hold"))?);
            }
            words
        } else if let (true, Some(floats)) = (want.is_float(), of.floats().or_else(|| of.integers_as_floats())) {
            if !may_round && !widens(self.dtype, want) {
                return Err(format!("and the model's is {want}; Load::new().cast() rounds"));
            }
            rounded(&floats, want)
        } else {
            return Err(format!("and the model's is {want}"));
        };
        Ok(Array { dtype: want, shape: self.shape.clone(), bytes })
    }

    /// As it is.
    pub fn as_is(&self) -> Result<Array, String> {
        match DTYPES.into_iter().find(|dtype| stored_dtype(*dtype) == self.dtype) {
            Some(dtype) => self.array(dtype, false),
            None => Err("which no tensor of Thalweg is".into()),
        }
    }
}

const DTYPES: [DType; 7] = [DType::F32, DType::F16, DType::BF16, DType::I32, DType::U32, DType::Bool, DType::F64];

/// How safetensors calls a dtype.
pub(crate) fn stored_dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I32 => "I32",
        DType::U32 => "U32",
        DType::Bool => "BOOL",
        DType::F64 => "F64",
    }
}

/// The bytes of an element, if it has whole ones.
fn whole_bytes(dtype: &str) -> Option<usize> {
    let (_, bits) = BITS.iter().find(|(name, _)| *name == dtype)?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d].max(1);
    }
    strides
}

/// Whether every number of one is one of the other.
fn widens(from: &str, to: DType) -> bool {
    matches!((from, to), ("F16" | "BF16", DType::F32 | DType::F64) | ("F32", DType::F64))
}

/// Elements one behind the other.
struct Elements<'a> {
    dtype: &'static str,
    bytes: &'a [u8],
}

impl Elements<'_> {
    fn integers(&self) -> Option<Vec<i128>> {
        fn all<const N: usize, T: Into<i128>>(bytes: &[u8], of: fn([u8; N]) -> T) -> Option<Vec<i128>> {
            Some(bytes.as_chunks().0.iter().map(|word| of(*word).into()).collect())
        }
        let bytes = self.bytes;
        match self.dtype {
            "I8" => all(bytes, i8::from_le_bytes),
            "U8" => all(bytes, u8::from_le_bytes),
            "I16" => all(bytes, i16::from_le_bytes),
            "U16" => all(bytes, u16::from_le_bytes),
            "I32" => all(bytes, i32::from_le_bytes),
            "U32" => all(bytes, u32::from_le_bytes),
            "I64" => all(bytes, i64::from_le_bytes),
            "U64" => all(bytes, u64::from_le_bytes),
            _ => None,
        }
    }

    fn integers_as_floats(&self) -> Option<Vec<f64>> {
        Some(self.integers()?.into_iter().map(|n| n as f64).collect())
    }

    fn floats(&self) -> Option<Vec<f64>> {
        let dtype =
            DTYPES.into_iter().filter(|dtype| dtype.is_float()).find(|dtype| stored_dtype(*dtype) == self.dtype)?;
        f64::from_bytes(self.bytes, dtype)
    }
}

/// Each rounded once.
fn rounded(floats: &[f64], dtype: DType) -> Vec<u8> {
    let floats = floats.iter().map(|x| dtype.round(*x));
    match dtype {
        DType::F16 => floats.flat_map(|x| half::f16::from_f64(x).to_le_bytes()).collect(),
        DType::BF16 => floats.flat_map(|x| half::bf16::from_f64(x).to_le_bytes()).collect(),
        DType::F32 => floats.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        _ => floats.flat_map(f64::to_le_bytes).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_converted_where_they_fit_and_floats_where_they_may_be_rounded() {
        let stored =
            |dtype, bytes: &[u8], n| Stored::contiguous(&Arc::new(bytes.to_vec()), 0..bytes.len(), dtype, vec![n]);
        let long = |n: i64| stored("I64", &n.to_le_bytes(), 1);
        assert_eq!(long(-5).array(DType::I32, false).unwrap().bytes, (-5i32).to_le_bytes());
        assert_eq!(
            long(1 << 31).array(DType::I32, false).unwrap_err(),
            "with 2147483648, which the model's i32 does not hold"
        );
        assert_eq!(long(1 << 31).array(DType::U32, false).unwrap().bytes, (1u32 << 31).to_le_bytes());
        assert!(long(-1).array(DType::U32, false).is_err() && long(1).array(DType::F32, false).is_err());
        assert_eq!(long(-3).array(DType::F16, true).unwrap().bytes, half::f16::from_f32(-3.0).to_le_bytes());
        assert_eq!(stored("U8", &[255, 0], 2).array(DType::I32, false).unwrap().bytes, [255, 0, 0, 0, 0, 0, 0, 0]);
        let double = stored("F64", &0.1f64.to_le_bytes(), 1);
        assert_eq!(double.array(DType::F32, true).unwrap().bytes, 0.1f32.to_le_bytes());
        assert_eq!(double.array(DType::F32, false).unwrap_err(), "and the model's is f32; Load::new().cast() rounds");
        // What is wider holds it as it is.
        let half = stored("F16", &half::f16::from_f64(0.1).to_le_bytes(), 1);
        assert_eq!(half.array(DType::F32, false).unwrap().bytes, half::f16::from_f64(0.1).to_f32().to_le_bytes());
        // Through f32 this would round twice, to 1.
        let odd = stored("F64", &(1.0 + 2f64.powi(-11) + 2f64.powi(-40)).to_le_bytes(), 1);
        assert_eq!(odd.array(DType::F16, true).unwrap().bytes, half::f16::from_f64(1.0 + 2f64.powi(-10)).to_le_bytes());
        assert_eq!(stored("BOOL", &[1, 2], 2).as_is().unwrap_err(), "with 2, which is no truth value");
        assert!(stored("C64", &[0; 8], 1).as_is().is_err());
    }

    /// Elements 0, 1, 2, .. as bytes, in a file that begins with another.
    fn view(shape: &[usize], strides: &[usize], offset: usize) -> Result<Vec<u8>, String> {
        let file = Arc::new((0..25).map(|n: u8| n.wrapping_sub(1)).collect());
        let of = Layout { shape: shape.to_vec(), strides: strides.to_vec(), offset, is_big: false };
        Stored::strided(&file, 1..25, "U8", of).map(|stored| stored.bytes())
    }

    #[test]
    fn views_pick_their_elements() {
        assert_eq!(view(&[2, 3], &[3, 1], 4).unwrap(), [4, 5, 6, 7, 8, 9]);
        assert_eq!(view(&[3, 2], &[1, 3], 4).unwrap(), [4, 7, 5, 8, 6, 9]);
        assert_eq!(view(&[2, 2], &[0, 0], 23).unwrap(), [23; 4]);
        assert_eq!(view(&[], &[], 7).unwrap(), [7]);
        assert!(view(&[0, 5], &[100, 100], 100).unwrap().is_empty());
        assert_eq!(view(&[2, 12], &[12, 1], 0).unwrap(), (0..24).collect::<Vec<u8>>());
        for (shape, strides, offset) in [
            (&[2, 12][..], &[12, 1][..], 1),
            (&[25], &[1], 0),
            (&[2], &[usize::MAX], 0),
            (&[usize::MAX, usize::MAX], &[0, 0], 0),
            (&[1], &[1], usize::MAX),
            (&[2, 3], &[1], 0),
        ] {
            assert!(view(shape, strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
        }
    }

    #[test]
    fn axes_change_places_and_bytes_their_order() {
        let file = Arc::new((0..12).collect());
        let stored = Stored::contiguous(&file, 0..12, "I16", vec![3, 2]);
        assert_eq!(stored.permuted(&[1, 0]).unwrap().bytes(), [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
        assert!(stored.permuted(&[0, 0]).is_none() && stored.permuted(&[0]).is_none());
        let of = Layout { shape: vec![3], strides: vec![2], offset: 1, is_big: true };
        assert_eq!(Stored::strided(&file, 0..12, "I16", of).unwrap().bytes(), [3, 2, 7, 6, 11, 10]);
    }
}
