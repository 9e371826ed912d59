//! Attributes that depend on the shape of an operand.

use thalweg_graph::{Outside, Resample, Tensor};

use super::draws::{Draws, extent};

impl Draws<'_> {
    /// An axis of an even number of elements.
    pub fn even_axis(&mut self, x: &Tensor) -> Option<isize> {
        self.axis(x).filter(|axis| extent(x, *axis).is_multiple_of(2))
    }

    /// A shape that this one broadcasts to.
    pub fn wider(&mut self, x: &Tensor) -> Option<Vec<usize>> {
        let mut shape: Vec<usize> = x.shape().to_vec();
        for d in &mut shape {
            if *d == 1 {
                *d = self.size(1, 5)?;
            }
        }
        while shape.len() < 5 && self.flag() {
            shape.insert(0, self.size(1, 3)?);
        }
        self.fits(shape.iter().product())?;
        Some(shape)
    }

    /// Up to `most` elements at both sides of some of the last axes; fewer than none with `crop`.
    pub fn pads(&mut self, x: &Tensor, most: isize, crop: bool) -> Option<Vec<(isize, isize)>> {
        let axes = self.size(usize::from(x.rank() > 0), x.rank().min(3))?;
        let mut pads = Vec::new();
        for d in x.rank() - axes..x.rank() {
            let low = if crop && x.shape()[d] >= 2 { -1 } else { 0 };
            pads.push((self.range(low, most)?, self.range(low, most)?));
        }
        Some(pads)
    }

    /// At both sides of some of the last axes no more elements than the axis has, less `less`.
    pub fn inner_pads(&mut self, x: &Tensor, less: usize) -> Option<Vec<(isize, isize)>> {
        let axes = self.size(usize::from(x.rank() > 0), x.rank().min(2))?;
        let mut pads = Vec::new();
        for d in x.rank() - axes..x.rank() {
            let most = (x.shape()[d] - less).min(3) as isize;
            pads.push((self.range(0, most)?, self.range(0, most)?));
        }
        Some(pads)
    }

    /// How often each axis is repeated.
    pub fn times(&mut self, x: &Tensor) -> Option<Vec<usize>> {
        let times: Vec<usize> = (0..x.rank()).map(|_| self.one(&[1, 2, 1, 3])).collect();
        self.fits(x.count() * times.iter().product::<usize>())?;
        Some(times)
    }

    /// A divisor of `n`.
    pub fn divisor(&mut self, n: usize) -> Option<usize> {
        let divisors: Vec<usize> = (1..=n.min(64)).filter(|d| n.is_multiple_of(*d)).collect();
        (!divisors.is_empty()).then(|| self.one(&divisors))
    }

    /// As many sizes between these.
    pub fn sizes(&mut self, n: usize, low: usize, high: usize) -> Vec<usize> {
        (0..n).map(|_| self.size(low, high).unwrap_or(low)).collect()
    }

    /// A kernel over all axes of space, of which there are one to three.
    pub fn kernel(&mut self, x: &Tensor) -> Option<Vec<usize>> {
        let space = x.shape().get(2..)?;
        if space.is_empty() || space.len() > 3 {
            return None;
        }
        space.iter().map(|d| self.size(1, (*d).min(4))).collect()
    }

    /// A kernel over some of the last axes.
    pub fn pool_kernel(&mut self, x: &Tensor) -> Option<Vec<usize>> {
        let n = self.size(1, x.rank().min(3))?;
        x.shape()[x.rank() - n..].iter().map(|d| self.size(1, (*d).min(4))).collect()
    }

    /// How to make values between.
    pub fn resample(&mut self) -> Resample {
        use Resample::*;
        self.one(&[Nearest, NearestExact, Linear, Cubic, Area])
    }

    /// What lies outside an image.
    pub fn outside(&mut self) -> Outside {
        self.one(&[Outside::Zeros, Outside::Border, Outside::Reflection])
    }

    /// A sum over some axes of one tensor, the others in any order.
    pub fn equation(&mut self, x: &Tensor) -> String {
        let names = &"abcdefgh"[..x.rank()];
        let out = self.some_of(names);
        format!("{names}->{out}")
    }

    /// A sum over two tensors; axes of equal extent may have one name.
    pub fn pair_equation(&mut self, x: &Tensor, y: &Tensor) -> String {
        let left = &"abcdefgh"[..x.rank()];
        let mut right = String::new();
        for (d, other) in y.shape().iter().zip("stuvwxyz".chars()) {
            let same: Vec<char> =
                left.chars().zip(x.shape()).filter(|(c, n)| *n == d && !right.contains(*c)).map(|(c, _)| c).collect();
            let shared = !same.is_empty() && self.size(0, 3) != Some(3);
            right.push(if shared { self.one(&same) } else { other });
        }
        let mut all: String = left.to_string();
        all.extend(right.chars().filter(|c| !left.contains(*c)));
        // Few axes stay, so that the result is small.
        let mut out = self.some_of(&all);
        out.truncate(3);
        format!("{left},{right}->{out}")
    }

    /// A sum over two tensors of one shape.
    pub fn same_equation(&mut self, x: &Tensor) -> Option<String> {
        let names = &"abcdefgh"[..x.rank()];
        let out = self.some_of(names);
        Some(format!("{names},{names}->{out}"))
    }

    fn some_of(&mut self, names: &str) -> String {
        let order = self.permutation(names.len());
        let names: Vec<char> = names.chars().collect();
        order.into_iter().filter(|_| self.flag()).map(|i| names[i]).collect()
    }
}
