//! Tensors from host data, constants and positions.

use std::panic::Location;

use half::{bf16, f16};

use smallvec::smallvec;
use thalweg_ir::{
    Bits, DType, Error, ErrorKind, Op, Result,
    shape::{count, excess},
    storage::Region,
};

use crate::{
    device::Device,
    operators::Number,
    shape::{IntoAxis, IntoShape},
    tensor::{Role, Tensor},
};

/// A host type that tensors are made from and read into.
pub trait Element: Copy + Send + Sync + 'static {
    /// The dtype of tensors made from it.
    const DTYPE: DType;
    /// Bytes as a device stores them.
    fn bytes(data: &[Self]) -> Vec<u8>;
    /// From bytes of dtype `dtype`, or `None` where the conversion would lose something: because of the dtypes, or of a value.
    fn from_bytes(bytes: &[u8], dtype: DType) -> Option<Vec<Self>>;
    /// Whether the dtype can hold all of it.
    fn fits(_data: &[Self]) -> bool {
        true
    }
}

fn words<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

macro_rules! element {
    ($($type:ty: $dtype:ident $(, $from:ident as $raw:ty => $convert:expr)*;)*) => {$(
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn bytes(data: &[Self]) -> Vec<u8> {
                bytemuck::cast_slice(data).to_vec()
            }
            fn from_bytes(bytes: &[u8], dtype: DType) -> Option<Vec<Self>> {
                #[allow(unreachable_patterns, reason = "f64 holds every dtype")]
                match dtype {
                    DType::$dtype => Some(words::<$type>(bytes).collect()),
                    $(DType::$from => words::<$raw>(bytes).map($convert).collect(),)*
                    _ => None,
                }
            }
        }
    )*};
}

element! {
    f32: F32, F16 as f16 => |x| Some(x.to_f32()), BF16 as bf16 => |x| Some(x.to_f32()),
        I32 as i32 => |n| exactly(n.into()), U32 as u32 => |n| exactly(n.into()), Bool as u32 => |b| exactly(b.into());
    f64: F64, F32 as f32 => |x| Some(x.into()), F16 as f16 => |x| Some(x.to_f64()), BF16 as bf16 => |x| Some(x.to_f64()),
        I32 as i32 => |n| Some(n.into()), U32 as u32 => |n| Some(n.into()), Bool as u32 => |b| Some(b.into());
    f16: F16;
    bf16: BF16;
    i32: I32, Bool as u32 => |b| Some(b as i32);
    u32: U32, Bool as u32 => Some;
}

/// A whole number as an `f32`, if one is equal to it.
fn exactly(n: f64) -> Option<f32> {
    (f64::from(n as f32) == n).then_some(n as f32)
}

/// Read only: every integer and truth value as an `i64`.
impl Element for i64 {
    const DTYPE: DType = DType::I32;
    /// Values outside 32 bits saturate; [`Tensor::from_slice`] checks before.
    fn bytes(data: &[i64]) -> Vec<u8> {
        let clamp = |v: &i64| (*v).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        i32::bytes(&data.iter().map(clamp).collect::<Vec<_>>())
    }
    fn from_bytes(bytes: &[u8], dtype: DType) -> Option<Vec<i64>> {
        match dtype {
            DType::I32 => Some(words::<i32>(bytes).map(i64::from).collect()),
            DType::U32 | DType::Bool => Some(words::<u32>(bytes).map(i64::from).collect()),
            _ => None,
        }
    }
    fn fits(data: &[i64]) -> bool {
        data.iter().all(|v| i32::try_from(*v).is_ok())
    }
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn bytes(data: &[bool]) -> Vec<u8> {
        u32::bytes(&data.iter().map(|b| u32::from(*b)).collect::<Vec<_>>())
    }
    fn from_bytes(bytes: &[u8], dtype: DType) -> Option<Vec<bool>> {
        (dtype == DType::Bool).then(|| words::<u32>(bytes).map(|b| b != 0).collect())
    }
}

/// # Making, placing and reading
impl Tensor {
    /// A tensor with these elements, row-major.
    ///
    /// # Shapes
    /// `[n]` elements → `shape`
    /// # Errors
    /// [`ErrorKind::Length`] when the shape has another number of elements, or one that fits no address; an `i64` that does
    /// not fit 32 bits; f64 on a device that has none; no memory.
    #[track_caller]
    #[doc(alias("tensor", "from_numpy", "as_tensor"))]
    pub fn from_slice<T: Element>(device: &Device, data: &[T], shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        if let Some(problem) = excess(&shape) {
            return Tensor::fail_on(device, "from_slice", ErrorKind::Shape { shape, problem });
        }
        let want = count(&shape);
        if data.len() != want {
            return Tensor::fail_on(device, "from_slice", ErrorKind::Length { got: data.len(), want, shape });
        }
        if !T::fits(data) {
            let kind = ErrorKind::Invalid("an integer does not fit 32 bits".into());
            return Tensor::fail_on(device, "from_slice", kind);
        }
        if T::DTYPE == DType::F64 && !device.properties().f64 {
            let problem = format!("does not exist on {device}; give f32 values");
            return Tensor::fail_on(device, "from_slice", ErrorKind::DType { got: DType::F64, problem });
        }
        match device.backend().upload(&T::bytes(data)) {
            Ok(storage) => {
                let region = Region { storage, offset: 0, len: data.len(), dtype: T::DTYPE };
                Tensor::leaf(region, shape, device, false, Role::Plain, Location::caller())
            }
            Err(error) => Tensor::fail_with(device, error.seen_at(Location::caller())),
        }
    }

    /// A number of rank 0, rounded to its dtype. Its value is an input of plans: changing it compiles nothing.
    ///
    /// # Shapes
    /// → `[]`
    #[track_caller]
    pub fn scalar(device: &Device, value: impl Number, dtype: DType) -> Tensor {
        Tensor::number(device, dtype.round(value.number()), dtype)
    }

    /// A number beside a tensor of this dtype. It is not rounded to 16 bits: what is computed with it is, once.
    #[track_caller]
    pub(crate) fn number(device: &Device, value: f64, dtype: DType) -> Tensor {
        Tensor::node(Op::Scalar(Bits(value)), smallvec![], vec![], dtype, device, Location::caller())
    }

    /// Every element `value`. Takes no memory until an op needs it.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    #[doc(alias = "full_like")]
    pub fn full(device: &Device, value: impl Number, shape: impl IntoShape, dtype: DType) -> Tensor {
        let shape = shape.into_shape();
        if let Some(problem) = excess(&shape) {
            return Tensor::fail_on(device, "full", ErrorKind::Shape { shape, problem });
        }
        Tensor::scalar(device, value, dtype).broadcast_to(&shape)
    }

    /// Zeros, F32.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn zeros(device: &Device, shape: impl IntoShape) -> Tensor {
        Tensor::full(device, 0.0, shape, DType::F32)
    }

    /// Ones, F32.
    ///
    /// # Shapes
    /// → `shape`
    #[track_caller]
    pub fn ones(device: &Device, shape: impl IntoShape) -> Tensor {
        Tensor::full(device, 1.0, shape, DType::F32)
    }

    /// Zeros of the same shape, dtype and device.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of the same shape, dtype and device.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    #[track_caller]
    fn full_like(&self, value: f64) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        Tensor::full(self.device(), value, self.shape(), self.dtype())
    }

    /// `0, 1, … n-1`, I32.
    ///
    /// # Shapes
    /// → `[n]`
    #[track_caller]
    pub fn arange(device: &Device, n: usize) -> Tensor {
        Tensor::iota(device, &[n], 0)
    }

    /// The position along `axis` at each element of a shape, I32.
    #[track_caller]
    pub(crate) fn iota(device: &Device, shape: &[usize], axis: usize) -> Tensor {
        if shape[axis] > 1 << 31 {
            let problem = format!("has positions along axis {axis} that do not fit 32 bits");
            return Tensor::fail_on(device, "arange", ErrorKind::Shape { shape: shape.to_vec(), problem });
        }
        Tensor::node(Op::Iota(axis), smallvec![], shape.to_vec(), DType::I32, device, Location::caller())
    }

    /// A copy on another device. Evaluates, waits, and is a leaf: no gradient passes.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// What evaluating this meets; no memory on the other device.
    #[track_caller]
    #[doc(alias("cuda", "cpu"))]
    pub fn to(&self, device: &Device) -> Tensor {
        if self.check().is_err() || self.device().same(device) {
            return self.clone();
        }
        // Not `and_then`: the caller's position does not go through a closure.
        let uploaded = match self.read_bytes() {
            Ok(bytes) => here(device.backend().upload(&bytes), Location::caller()),
            Err(error) => Err(error),
        };
        match uploaded {
            Ok(storage) => {
                let region = Region { storage, offset: 0, len: self.count(), dtype: self.dtype() };
                Tensor::leaf(region, self.shape().to_vec(), device, false, Role::Plain, Location::caller())
            }
            Err(error) => Tensor::fail_with(device, error),
        }
    }

    /// The same value, tracked: gradients can be taken with respect to it. Its own history ends here. Evaluates.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats; what evaluating this meets.
    #[track_caller]
    #[doc(alias = "requires_grad_")]
    pub fn track(&self) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        if !self.dtype().is_float() {
            let problem = "has no gradient; only floats can be tracked".to_string();
            return self.fail("track", ErrorKind::DType { got: self.dtype(), problem });
        }
        // Of a parameter or a state a copy: what is tracked is a value of its own.
        let value = match &self.0.role {
            Role::Variable(_) => self.copy(),
            _ => self.eval().map(|()| self.clone()),
        };
        let region = match value {
            Ok(value) => value.region(),
            Err(error) => return Tensor::fail_with(self.device(), error),
        };
        match region {
            Some(region) => {
                Tensor::leaf(region, self.shape().to_vec(), self.device(), true, Role::Plain, Location::caller())
            }
            None => self.fail("track", no_value()),
        }
    }

    /// The value now, in memory of its own (queued on a GPU): what to keep of a parameter or a state that will be written. It has no
    /// history.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// What evaluating this meets; no memory.
    #[track_caller]
    #[doc(alias = "clone")]
    pub fn copy(&self) -> Result<Tensor> {
        self.check()?;
        crate::compile::copy(self)
    }

    /// The value, through which no gradient passes.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn detach(&self) -> Tensor {
        if self.check().is_err() || !self.is_tracked() {
            return self.clone();
        }
        let shape = self.shape().to_vec();
        Tensor::node(Op::Detach, smallvec![self.clone()], shape, self.dtype(), self.device(), Location::caller())
    }

    /// Computes the value (queues it on a GPU). Reading it later waits for no more than this.
    ///
    /// # Errors
    /// The error the tensor carries; what goes wrong on the device.
    #[track_caller]
    pub fn eval(&self) -> Result<()> {
        Tensor::eval_all(std::slice::from_ref(self))
    }

    /// Computes several values in one run, so that what they share is computed once.
    ///
    /// # Errors
    /// The first error that one carries; what goes wrong on the device.
    #[track_caller]
    pub fn eval_all(tensors: &[Tensor]) -> Result<()> {
        here(crate::eval::eval(tensors), Location::caller())
    }

    #[track_caller]
    pub(crate) fn read_bytes(&self) -> Result<Vec<u8>> {
        let location = Location::caller();
        crate::record::check_read("read")?;
        self.eval()?;
        crate::eval::check_version(self, location)?;
        match self.region() {
            Some(region) => here(self.device().backend().read(&region), location),
            None => Err(Error::new("read", no_value())),
        }
    }

    /// The elements, row-major. Waits for the device.
    ///
    /// What loses nothing is converted: 16-bit floats, truth values and integers can be read as `f32` and `f64`, truth values as
    /// integers. For all else there is [`Tensor::cast`].
    ///
    /// # Errors
    /// The error the tensor carries; a `T` that cannot hold the dtype, or an integer that an `f32` cannot; what went wrong on
    /// the device.
    #[track_caller]
    #[doc(alias("tolist", "numpy"))]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        here(self.check(), Location::caller())?;
        let bytes = self.read_bytes()?;
        // Not `ok_or_else`: the caller's position does not go through a closure.
        match T::from_bytes(&bytes, self.dtype()) {
            Some(elements) => Ok(elements),
            None => Err(Error::new("to_vec", unreadable::<T>(self.dtype()))),
        }
    }

    /// The single element as an `f64`. Waits for the device.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`]; a tensor with another number of elements.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        here(self.check(), Location::caller())?;
        if self.count() != 1 {
            let problem = format!("has {} elements; item() reads one", self.count());
            return Err(Error::new("item", ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        Ok(self.to_vec::<f64>()?[0])
    }

    /// The elements, later: the read is queued now and nothing waits for it.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`], now for what is known now, else from the future.
    #[track_caller]
    pub fn read_async<T: Element>(&self) -> Result<impl Future<Output = Result<Vec<T>>> + Send + 'static> {
        let location = Location::caller();
        crate::record::check_read("read_async")?;
        self.eval()?;
        crate::eval::check_version(self, location)?;
        let Some(region) = self.region() else { return Err(Error::new("read_async", no_value())) };
        let (dtype, pending) = (self.dtype(), self.device().backend().read_async(&region));
        Ok(async move {
            let bytes = here(pending.await, location)?;
            T::from_bytes(&bytes, dtype).ok_or_else(|| Error::at("read_async", unreadable::<T>(dtype), location, None))
        })
    }

    /// Axes that a method was given, or the tensor that carries why not.
    #[track_caller]
    pub(crate) fn axis(&self, op: &'static str, axis: impl IntoAxis) -> Result<usize, Tensor> {
        self.check().map_err(|_| self.clone())?;
        // Not `map_err`: the caller's position does not go through a closure.
        match axis.into().of(self.shape()) {
            Ok(axis) => Ok(axis),
            Err(kind) => Err(self.fail(op, kind)),
        }
    }
}

/// What went wrong, at the caller's position if it has none of its own.
fn here<T>(result: Result<T>, location: &'static Location<'static>) -> Result<T> {
    result.map_err(|error| error.seen_at(location))
}

fn unreadable<T: Element>(dtype: DType) -> ErrorKind {
    let problem = match (dtype.is_float(), T::DTYPE) {
        (false, DType::F32) => "holds an integer that f32 cannot hold exactly; read f64, or cast first".to_string(),
        _ => format!("cannot be read as {}; cast first", T::DTYPE),
    };
    ErrorKind::DType { got: dtype, problem }
}

fn no_value() -> ErrorKind {
    ErrorKind::Device("the backend gave no value".into())
}
