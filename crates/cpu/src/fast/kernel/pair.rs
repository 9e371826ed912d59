//! Two operations on a block in one go: `a · b + c` reads three blocks and writes one, where one after the other they read four and
//! write two. Both round as they do alone.

use bytemuck::{cast_slice, cast_slice_mut};
use pulp::{Arch, NullaryFnOnce};
use thalweg_ir::op::binary::BinaryOp;

/// What is done to the first two of three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Add,
    Sub,
    Mul,
}

/// What is done to its result `t` and the third, `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    /// `t + c`.
    Add,
    /// `t - c`.
    Sub,
    /// `c - t`.
    From,
    /// `t · c`.
    Mul,
    /// `t / c`.
    Over,
    /// `c / t`.
    Under,
}

/// Two operations on floats, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    first: First,
    second: Second,
}

impl Pair {
    /// `second(first(a, b), c)`, or with the operands of `second` the other way round; if there is such a pair.
    pub fn new(first: BinaryOp, second: BinaryOp, turned: bool) -> Option<Pair> {
        let first = match first {
            BinaryOp::Add => First::Add,
            BinaryOp::Sub => First::Sub,
            BinaryOp::Mul => First::Mul,
            _ => return None,
        };
        let second = match (second, turned) {
            (BinaryOp::Add, _) => Second::Add,
            (BinaryOp::Sub, false) => Second::Sub,
            (BinaryOp::Sub, true) => Second::From,
            (BinaryOp::Mul, _) => Second::Mul,
            (BinaryOp::Div, false) => Second::Over,
            (BinaryOp::Div, true) => Second::Under,
            _ => return None,
        };
        Some(Pair { first, second })
    }

    /// Computes a block. `a` has all lanes; `b` and `c` have as many, or one for all.
    pub fn apply(self, arch: Arch, a: &[u32], b: &[u32], c: &[u32], dst: &mut [u32]) {
        let (a, b, c, dst) = (cast_slice(a), cast_slice(b), cast_slice(c), cast_slice_mut(dst));
        macro_rules! table {
            ($($first:ident $x:ident $y:ident $t:expr;)*) => {
                match self.first {
                    $(First::$first => match self.second {
                        Second::Add => run(arch, a, b, c, dst, |$x, $y, z| $t + z),
                        Second::Sub => run(arch, a, b, c, dst, |$x, $y, z| $t - z),
                        Second::From => run(arch, a, b, c, dst, |$x, $y, z| z - $t),
                        Second::Mul => run(arch, a, b, c, dst, |$x, $y, z| $t * z),
                        Second::Over => run(arch, a, b, c, dst, |$x, $y, z| $t / z),
                        Second::Under => run(arch, a, b, c, dst, |$x, $y, z| z / $t),
                    },)*
                }
            };
        }
        table! {
            Add x y (x + y);
            Sub x y (x - y);
            Mul x y (x * y);
        }
    }
}

/// `dst[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
fn run(arch: Arch, a: &[f32], b: &[f32], c: &[f32], dst: &mut [f32], f: impl Fn(f32, f32, f32) -> f32) {
    struct Kernel<'a, F> {
        dst: &'a mut [f32],
        a: &'a [f32],
        b: &'a [f32],
        c: &'a [f32],
        f: F,
    }
    impl<F: Fn(f32, f32, f32) -> f32> NullaryFnOnce for Kernel<'_, F> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let Kernel { dst, a, b, c, f } = self;
            let wide = |x: &[f32]| x.len() == dst.len();
            match (wide(b), wide(c)) {
                (true, true) => {
                    for (((y, a), b), c) in dst.iter_mut().zip(a).zip(b).zip(c) {
                        *y = f(*a, *b, *c);
                    }
                }
                (true, false) => {
                    let c = c[0];
                    for ((y, a), b) in dst.iter_mut().zip(a).zip(b) {
                        *y = f(*a, *b, c);
                    }
                }
                (false, true) => {
                    let b = b[0];
                    for ((y, a), c) in dst.iter_mut().zip(a).zip(c) {
                        *y = f(*a, b, *c);
                    }
                }
                (false, false) => {
                    let (b, c) = (b[0], c[0]);
                    for (y, a) in dst.iter_mut().zip(a) {
                        *y = f(*a, b, c);
                    }
                }
            }
        }
    }
    arch.dispatch(Kernel { dst, a, b, c, f });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::kernel::alu;
    use thalweg_ir::Class;

    #[test]
    fn a_pair_has_the_bits_of_one_after_the_other() {
        let arch = Arch::new();
        let lanes = |k: u32| (0..37).map(|i| ((i * 7 + k) as f32 * 0.37 - 5.0).to_bits()).collect::<Vec<u32>>();
        let [a, b, c] = [1, 2, 3].map(lanes);
        let ops = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max];
        let mut pairs = 0;
        for (first, second, turned) in
            ops.iter().flat_map(|f| ops.iter().flat_map(move |s| [(f, s, false), (f, s, true)]))
        {
            let Some(pair) = Pair::new(*first, *second, turned) else { continue };
            pairs += 1;
            for (b, c) in [(&b[..], &c[..]), (&b[..1], &c[..]), (&b[..], &c[..1]), (&b[..1], &c[..1])] {
                let [mut t, mut y, mut z] = [(); 3].map(|()| vec![0; a.len()]);
                alu::binary(arch, *first, Class::Float, &a, b, &mut t);
                let (left, right) = if turned { (c, &t[..]) } else { (&t[..], c) };
                alu::binary(arch, *second, Class::Float, left, right, &mut y);
                pair.apply(arch, &a, b, c, &mut z);
                assert_eq!(y, z, "{first:?} {second:?} {turned}");
            }
        }
        assert_eq!(pairs, 3 * 8);
    }
}
