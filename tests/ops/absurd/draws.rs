//! Arguments that no program should give, among some that it might.

use std::{fmt::Debug, ops::Bound};

use thalweg_graph::{ConvConfig, DType, Device, Pool, Rng, Stream, Subscript, Tensor, shape::count};

const SHAPES: &[&[usize]] = &[
    &[],
    &[0],
    &[1],
    &[3],
    &[7],
    &[600],
    &[0, 3],
    &[3, 0],
    &[2, 3],
    &[4, 4],
    &[1, 9],
    &[2, 3, 4],
    &[1, 4, 5],
    &[2, 0, 3],
    &[1, 2, 5, 6],
    &[2, 4, 3, 3],
    &[0, 2, 4, 4],
    &[1, 2, 3, 3, 3],
    &[1, 1, 2, 1, 2, 1, 3, 1],
];

const SIZES: &[usize] = &[
    0,
    1,
    2,
    3,
    4,
    8,
    9,
    31,
    600,
    65_537,
    1 << 20,
    (1 << 31) + 1,
    1 << 32,
    1 << 40,
    1 << 59,
    1 << 62,
    isize::MAX as usize,
    usize::MAX - 1,
    usize::MAX,
];

const NUMBERS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    3.0,
    -7.5,
    1e-300,
    -1e-300,
    1e300,
    -1e300,
    2_147_483_648.0,
    -2_147_483_649.0,
    4_294_967_296.0,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Draws arguments, and remembers them as text.
pub struct Draws {
    pub device: Device,
    pub said: Vec<String>,
    /// Whether an operand or a setting is too large to be computed with.
    pub huge: bool,
    rng: Rng,
}

impl Draws {
    pub fn new(device: &Device, seed: u64) -> Draws {
        Draws { device: device.clone(), said: Vec::new(), huge: false, rng: Rng::seed(seed) }
    }

    fn says<T: Debug>(&mut self, value: T) -> T {
        self.said.push(format!("{value:?}"));
        value
    }

    /// One of these, quietly.
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.below(of.len() as u32) as usize]
    }

    fn small(&mut self) -> bool {
        self.rng.below(3) > 0
    }

    fn some_size(&mut self) -> usize {
        let most = if self.small() { 6 } else { SIZES.len() };
        let size = self.pick(&SIZES[..most]);
        // A small result may need as much on the way.
        self.huge |= size > 100;
        size
    }

    fn some_int(&mut self) -> isize {
        match self.small() {
            true => self.rng.below(11) as isize - 5,
            false => self.pick(&[isize::MIN, isize::MIN + 1, -(1 << 40), -600, 600, 1 << 31, 1 << 40, isize::MAX]),
        }
    }

    fn list<T>(&mut self, most: u32, mut draw: impl FnMut(&mut Draws) -> T) -> Vec<T> {
        (0..self.rng.below(most + 1)).map(|_| draw(self)).collect()
    }

    pub fn flag(&mut self) -> bool {
        let flag = self.rng.below(2) == 0;
        self.says(flag)
    }

    pub fn one_of<T: Copy + Debug>(&mut self, of: &[T]) -> T {
        let one = self.pick(of);
        self.says(one)
    }

    pub fn size(&mut self) -> usize {
        let size = self.some_size();
        self.says(size)
    }

    pub fn sizes(&mut self) -> Vec<usize> {
        let sizes = match self.rng.below(8) {
            0 => self.list(9, Draws::some_size),
            1 => vec![1; 9],
            _ => self.list(3, Draws::some_size),
        };
        self.says(sizes)
    }

    /// A count, a position or an axis.
    pub fn int(&mut self) -> isize {
        let int = self.some_int();
        self.says(int)
    }

    pub fn ints(&mut self) -> Vec<isize> {
        let ints = self.list(4, Draws::some_int);
        self.says(ints)
    }

    pub fn pairs(&mut self) -> Vec<(isize, isize)> {
        let pairs = self.list(3, |d| (d.some_int(), d.some_int()));
        self.says(pairs)
    }

    pub fn range(&mut self) -> (Bound<isize>, Bound<isize>) {
        let mut bound = || {
            let at = self.some_int();
            match self.rng.below(3) {
                0 => Bound::Included(at),
                1 => Bound::Excluded(at),
                _ => Bound::Unbounded,
            }
        };
        let range = (bound(), bound());
        self.says(range)
    }

    pub fn subscripts(&mut self) -> Vec<Subscript> {
        let parts = self.list(4, |d| match d.rng.below(6) {
            0 | 1 => Subscript::Pick(d.some_int()),
            2 => Subscript::Ellipsis,
            3 => Subscript::NewAxis,
            _ => {
                let (start, end) = d.range();
                Subscript::Range { start, end, step: d.some_int() }
            }
        });
        self.says(parts)
    }

    pub fn number(&mut self) -> f64 {
        let number = self.pick(NUMBERS);
        self.says(number)
    }

    pub fn dtype(&mut self) -> DType {
        self.one_of(&[DType::F32, DType::F32, DType::F16, DType::I32, DType::U32, DType::Bool])
    }

    /// A tensor of any dtype; now and then one that is huge, or carries an error.
    pub fn tensor(&mut self) -> Tensor {
        let dtype = self.dtype();
        self.of(dtype)
    }

    pub fn float(&mut self) -> Tensor {
        self.of(DType::F32)
    }

    /// Positions, some of them out of range.
    pub fn index(&mut self) -> Tensor {
        let dtype = self.one_of(&[DType::I32, DType::I32, DType::I32, DType::U32, DType::F32]);
        self.of(dtype)
    }

    pub fn mask(&mut self) -> Tensor {
        let dtype = self.one_of(&[DType::Bool, DType::Bool, DType::F32]);
        self.of(dtype)
    }

    pub fn tensors(&mut self) -> Vec<Tensor> {
        let dtype = self.dtype();
        self.list(3, |d| d.of(dtype))
    }

    fn of(&mut self, dtype: DType) -> Tensor {
        let x = match self.rng.below(40) {
            0 => {
                self.huge = true;
                let shape = self.pick(&[&[1 << 40][..], &[1 << 30, 1, 1 << 29], &[1 << 59, 0], &[3, 1 << 31]]);
                Tensor::full(&self.device, 1.0, shape, dtype)
            }
            1 => Tensor::full(&self.device, 1.0, [1; 9], dtype),
            _ => {
                let shape = self.pick(SHAPES);
                let special = dtype.is_float() && self.rng.below(4) == 0;
                let draw = |_| if special { self.pick(NUMBERS) } else { f64::from(self.rng.below(7)) - 2.0 };
                let values: Vec<f32> = (0..count(shape)).map(draw).map(|v| v as f32).collect();
                Tensor::from_slice(&self.device, &values, shape).cast(dtype)
            }
        };
        let x = if dtype.is_float() && !self.huge && self.rng.below(4) == 0 { x.track() } else { x };
        self.says(x)
    }

    pub fn stream(&mut self) -> Stream {
        self.rng.stream()
    }

    pub fn conv(&mut self) -> ConvConfig {
        let mut setting = |usual: usize| match self.rng.below(3) {
            0 => self.list(3, Draws::some_size),
            _ => vec![usual],
        };
        let (stride, padding, dilation) = (setting(1), setting(1), setting(1));
        let groups = if self.small() { 1 } else { self.some_size() };
        self.says(ConvConfig { stride, padding, dilation, groups })
    }

    pub fn pool(&mut self) -> Pool {
        let kernel = self.list(3, |d| if d.small() { 2 } else { d.some_size() });
        let ConvConfig { stride, padding, dilation, groups } = self.conv();
        let divisor = if self.small() { None } else { Some(groups) };
        let (ceil_mode, count_include_pad) = (self.flag(), self.flag());
        self.says(Pool { kernel, stride, padding, dilation, ceil_mode, count_include_pad, divisor })
    }
}
