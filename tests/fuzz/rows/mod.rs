//! The table of instructions: one row for each call that a program can make.

mod contraction;
mod elementwise;
mod index;
mod joined;
mod movement;
mod norm;
mod order;
mod pool;
mod reduce;

use std::sync::LazyLock;

use thalweg_graph::{
    DType, Tensor,
    shape::{Extents, broadcast},
};

use super::draws::Draws;
pub(crate) use super::draws::extent;

/// A call.
pub struct Row {
    /// The op.
    pub name: &'static str,
    /// The names of its operands, as `text` has them.
    pub operands: &'static [&'static str],
    /// For each operand: whether it may follow those before it.
    pub fits: &'static [fn(&[&Slot], &Slot) -> bool],
    /// The call, or None where operands or attributes do not suit it.
    pub apply: fn(&mut Draws, &[&Tensor]) -> Option<Tensor>,
    /// The call as Rust.
    pub text: &'static str,
}

/// What there is to choose an operand from.
pub struct Slot {
    /// Its id in the program.
    pub id: usize,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its dtype on a device.
    pub dtype: DType,
}

/// Every row.
pub static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let families = [
        elementwise::rows(),
        joined::rows(),
        reduce::rows(),
        movement::rows(),
        contraction::rows(),
        pool::rows(),
        index::rows(),
        order::rows(),
        norm::rows(),
    ];
    families.into_iter().flatten().collect()
});

impl Row {
    /// The positions of operands that fit, nearest to what was picked.
    pub fn choose(&self, slots: &[Slot], picks: &[usize]) -> Option<Vec<usize>> {
        let mut chosen: Vec<usize> = Vec::new();
        for (fits, pick) in self.fits.iter().zip(picks) {
            let before: Vec<&Slot> = chosen.iter().map(|i| &slots[*i]).collect();
            let fit: Vec<usize> = (0..slots.len()).filter(|i| fits(&before, &slots[*i])).collect();
            let exact = fit.iter().find(|i| slots[**i].id == *pick);
            chosen.push(*exact.or_else(|| fit.get(pick % fit.len().max(1)))?);
        }
        Some(chosen)
    }
}

/// Builds rows of `name(operand: which, ..) { attribute = draw, .. } call;`. `$a` is what attributes are drawn from.
macro_rules! rows {
    ($a:ident; $($name:ident($($x:ident: $fits:expr),+) {$($attr:ident = $draw:expr),*} $result:expr;)*) => {
        /// The rows of this family.
        pub fn rows() -> Vec<crate::fuzz::Row> {
            vec![$(crate::fuzz::Row {
                name: stringify!($name),
                operands: &[$(stringify!($x)),+],
                fits: &[$($fits),+],
                apply: |$a, operands| {
                    let &[$($x),+] = operands else { return None };
                    $(let $attr = $draw; $a.note(stringify!($attr), &$attr);)*
                    let _ = ($a, $($x),+);
                    Some($result)
                },
                text: stringify!($result),
            }),*]
        }
    };
}
pub(crate) use rows;

/// Any float.
pub fn float(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float()
}

/// A float with elements.
pub fn full(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0)
}

/// A float with elements and at least one axis.
pub fn vector(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && !s.shape.is_empty()
}

/// A float with elements and at least two axes.
pub fn matrix(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && s.shape.len() > 1
}

/// A float with elements and at least three axes.
pub fn image(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && s.shape.len() > 2
}

/// Integers.
pub fn int(_: &[&Slot], s: &Slot) -> bool {
    s.dtype == DType::I32
}

/// Truth values.
pub fn truth(_: &[&Slot], s: &Slot) -> bool {
    s.dtype == DType::Bool
}

/// Anything.
pub fn any(_: &[&Slot], _: &Slot) -> bool {
    true
}

/// A float that broadcasts with what came before.
pub fn float_with(before: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && broadcasts(before, s)
}

/// Integers that broadcast with what came before.
pub fn int_with(before: &[&Slot], s: &Slot) -> bool {
    s.dtype == DType::I32 && broadcasts(before, s)
}

/// Truth values that broadcast with what came before.
pub fn truth_with(before: &[&Slot], s: &Slot) -> bool {
    s.dtype == DType::Bool && broadcasts(before, s)
}

/// Of the same shape and dtype as the first.
pub fn alike(before: &[&Slot], s: &Slot) -> bool {
    s.dtype == before[0].dtype && s.shape == before[0].shape
}

fn broadcasts(before: &[&Slot], s: &Slot) -> bool {
    let mut shape = Some(s.shape[..].into());
    for other in before {
        shape = shape.and_then(|shape: Extents| broadcast(&shape, &other.shape));
    }
    shape.is_some_and(|shape| shape.iter().product::<usize>() <= 60_000)
}
