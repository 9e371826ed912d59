//! Attributes of an instruction: drawn from its seed, and written down for printing.

use thalweg_graph::{Combine, DType, Device, Interpolation, Outside, Resample, Rng, Tensor, shape::count};

/// Something that a printed test can contain.
pub trait Code {
    /// As Rust.
    fn code(&self) -> String;
    /// The tensor, if it is one.
    fn leaf(&self) -> Option<&Tensor> {
        None
    }
}

macro_rules! code {
    ($($type:ty: |$x:ident| $code:expr;)*) => {$(
        impl Code for $type {
            fn code(&self) -> String { let $x = self; $code }
        }
    )*};
}

code! {
    usize: |x| format!("{x}usize");
    isize: |x| format!("{x}isize");
    f64: |x| format!("{x:?}");
    bool: |x| x.to_string();
    String: |x| format!("{x:?}");
    DType: |x| format!("DType::{x:?}");
    Resample: |x| format!("Resample::{x:?}");
    Outside: |x| format!("Outside::{x:?}");
    Combine: |x| format!("Combine::{x:?}");
    Interpolation: |x| format!("Interpolation::{x:?}");
    Vec<usize>: |x| list(x, "usize");
    Vec<isize>: |x| list(x, "isize");
    Vec<(isize, isize)>: |x| format!("{x:?}");
}

impl Code for Tensor {
    fn code(&self) -> String {
        let values = self.to_vec::<f64>().unwrap_or_default();
        tensor(&values, self.shape(), self.dtype()) + if self.is_tracked() { ".track()" } else { "" }
    }

    fn leaf(&self) -> Option<&Tensor> {
        Some(self)
    }
}

/// An array as Rust.
pub fn list<T: ToString>(items: &[T], suffix: &str) -> String {
    if items.is_empty() {
        return format!("[0{suffix}; 0]");
    }
    let items: Vec<String> = items.iter().map(|i| format!("{}{suffix}", i.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// A tensor on `device` as Rust.
pub fn tensor(values: &[f64], shape: &[usize], dtype: DType) -> String {
    let (suffix, items): (&str, Vec<String>) = match dtype {
        DType::Bool => ("bool", values.iter().map(|v| (*v != 0.0).to_string()).collect()),
        DType::I32 => ("i32", values.iter().map(|v| v.to_string()).collect()),
        _ => ("f32", values.iter().map(|v| format!("{:?}", *v as f32)).collect()),
    };
    format!("Tensor::from_slice::<{suffix}>(device, &[{}], {})", items.join(", "), list(shape, "usize"))
}

/// What an instruction draws its attributes from. The same seed and operands of the same shapes draw the same.
pub struct Draws<'a> {
    device: &'a Device,
    float: DType,
    track: bool,
    limit: usize,
    /// None draws the simplest of everything.
    rng: Option<Rng>,
    /// Names and values in the order drawn.
    pub notes: Vec<(&'static str, String)>,
    /// Names and values of tensors.
    pub leaves: Vec<(&'static str, Tensor)>,
    noting: bool,
}

impl<'a> Draws<'a> {
    /// `float` is the dtype of floats, `limit` how many elements a tensor may have; a seed of 0 draws the simplest.
    pub fn new(device: &'a Device, float: DType, track: bool, limit: usize, seed: u64, noting: bool) -> Draws<'a> {
        let rng = (seed > 0).then(|| Rng::seed(seed));
        Draws { device, float, track, limit, rng, notes: Vec::new(), leaves: Vec::new(), noting }
    }

    /// Remembers an attribute.
    pub fn note(&mut self, name: &'static str, value: &dyn Code) {
        if let Some(leaf) = value.leaf() {
            self.leaves.push((name, leaf.clone()));
        }
        if self.noting {
            self.notes.push((name, value.code()));
        }
    }

    /// `low..=high`, or None if there is nothing between.
    pub fn range(&mut self, low: isize, high: isize) -> Option<isize> {
        let n = u32::try_from(high - low + 1).ok().filter(|n| *n > 0)?;
        Some(low + self.rng.as_mut().map_or(0, |rng| rng.below(n)) as isize)
    }

    /// `low..=high`, as a size.
    pub fn size(&mut self, low: usize, high: usize) -> Option<usize> {
        self.range(low as isize, high as isize).map(|n| n as usize)
    }

    /// One of these.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let i = self.size(0, of.len() - 1).unwrap_or(0);
        of[i].clone()
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.one(&[false, true])
    }

    /// A number between the bounds, of few digits.
    pub fn number(&mut self, low: f64, high: f64) -> f64 {
        let t = self.size(0, 64).unwrap_or(0) as f64 / 64.0;
        low + (high - low) * t
    }

    /// The dtype of floats.
    pub fn float(&mut self) -> DType {
        self.float
    }

    /// A 16-bit float.
    pub fn half(&mut self) -> DType {
        self.one(&[DType::F16, DType::BF16])
    }

    /// An axis, counted from either end.
    pub fn axis(&mut self, x: &Tensor) -> Option<isize> {
        let rank = x.rank() as isize;
        let axis = self.range(0, rank - 1)?;
        Some(if self.flag() { axis - rank } else { axis })
    }

    /// An axis of at most `limit` elements.
    pub fn short_axis(&mut self, x: &Tensor, limit: usize) -> Option<isize> {
        let axis = self.axis(x)?;
        (x.count() * extent(x, axis) <= limit.max(2000) * 40 && extent(x, axis) <= limit).then_some(axis)
    }

    /// Some axes, at least one unless there is none.
    pub fn axes(&mut self, x: &Tensor) -> Vec<isize> {
        let mut axes: Vec<isize> = (0..x.rank() as isize).filter(|_| self.flag()).collect();
        if axes.is_empty() && x.rank() > 0 {
            axes.extend(self.range(0, x.rank() as isize - 1));
        }
        if self.flag() {
            axes.reverse();
        }
        axes
    }

    /// The axes in some order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        match &mut self.rng {
            Some(rng) => rng.permutation(n),
            None => (0..n).rev().collect(),
        }
    }

    /// A shape of as many elements.
    pub fn regroup(&mut self, n: usize) -> Vec<usize> {
        let mut shape = Vec::new();
        let mut rest = n;
        for _ in 0..self.size(0, 3).unwrap_or(0) {
            let factors: Vec<usize> = (1..=rest.min(64)).filter(|f| rest.is_multiple_of(*f)).collect();
            if factors.is_empty() {
                break;
            }
            let factor = self.one(&factors);
            shape.push(factor);
            rest /= factor;
        }
        shape.push(rest);
        if n == 1 && self.flag() { vec![] } else { shape }
    }

    /// This many elements may a tensor have.
    pub fn fits(&mut self, count: usize) -> Option<usize> {
        (count <= self.limit).then_some(count)
    }

    /// Floats between -1 and 1 that are no operand, tracked where gradients are taken.
    pub fn weight(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<f64> = (0..count(shape)).map(|_| self.unit() * 2.0 - 1.0).collect();
        let x = floats(self.device, self.float, &values, shape);
        if self.track { x.track() } else { x }
    }

    /// Positions below `n`.
    pub fn index(&mut self, shape: &[usize], n: usize) -> Option<Tensor> {
        if n == 0 || count(shape) > self.limit {
            return None;
        }
        let values: Vec<i32> = (0..count(shape)).map(|_| self.size(0, n - 1).unwrap_or(0) as i32).collect();
        Some(Tensor::from_slice(self.device, &values, shape))
    }

    /// Truth values.
    pub fn bools(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<bool> = (0..count(shape)).map(|_| self.flag()).collect();
        Tensor::from_slice(self.device, &values, shape)
    }

    fn unit(&mut self) -> f64 {
        // Odd 24ths of a bit: f32 holds them, and no two are likely to be equal.
        self.rng.as_mut().map_or(0.75, |rng| f64::from((rng.next_u32() >> 9) * 2 + 1) / 16_777_216.0)
    }
}

/// The extent of an axis counted from either end.
pub fn extent(x: &Tensor, axis: isize) -> usize {
    let axis = if axis < 0 { axis + x.rank() as isize } else { axis };
    x.shape()[axis as usize]
}

/// A leaf of f32 numbers in either float dtype.
pub fn floats(device: &Device, float: DType, values: &[f64], shape: &[usize]) -> Tensor {
    if float == DType::F64 {
        Tensor::from_slice(device, values, shape)
    } else {
        Tensor::from_slice(device, &values.iter().map(|v| *v as f32).collect::<Vec<_>>(), shape)
    }
}
