//! Tensors as text: [`Display`](fmt::Display) as PyTorch prints them, [`Debug`](fmt::Debug) in one line.

use std::fmt::{self, Write};

use thalweg_ir::{DType, Op, Result};

use crate::{ops::create::Element, tensor::Tensor};

/// Digits behind the point.
const DIGITS: usize = 4;
/// Elements above which only the edges are shown.
const WHOLE: usize = 1000;
/// Positions shown at each end of an axis then.
const EDGE: usize = 3;
/// Columns of a line.
const WIDTH: usize = 80;
/// Elements that `Debug` shows.
const FEW: usize = 8;

impl fmt::Display for Tensor {
    /// The elements as PyTorch prints them: in columns, with 4 digits behind the point, and of more than 1,000 elements the first
    /// and last three along each axis. The dtype stands behind them unless it is f32, i32 or bool, and so do a GPU's name and, of what is
    /// tracked, `requires_grad=True` or the op that it comes of, `grad_fn=<add>`.
    ///
    /// This reads the value, so it computes what is not computed yet, and waits. What fails is printed as the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text(self) {
            Ok(text) => f.write_str(&text),
            Err(error) => write!(f, "tensor(error: {error})"),
        }
    }
}

impl fmt::Debug for Tensor {
    /// Op, dtype and shape; the values too, where they are computed and at most 8. Computes nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Err(error) = self.check() {
            return write!(f, "Tensor(error: {error})");
        }
        write!(f, "Tensor({} {}{:?}", self.0.name(), self.dtype(), self.shape())?;
        match self.is_evaluated() {
            false => f.write_str(", not evaluated)"),
            true if self.count() > FEW => f.write_str(")"),
            true => match elements(self) {
                Ok(values) => write!(f, " = {values:?})"),
                Err(_) => f.write_str(", unreadable)"),
            },
        }
    }
}

/// All elements, exactly.
fn elements(x: &Tensor) -> Result<Vec<f64>> {
    let bytes = x.read_bytes()?;
    Ok(f64::from_bytes(&bytes, x.dtype()).unwrap_or_default())
}

fn text(x: &Tensor) -> Result<String> {
    x.check()?;
    let bytes = x.read_bytes()?;
    let short = x.count() > WHOLE;
    let mut text = String::from("tensor(");
    if x.count() == 0 {
        text += "[]";
    } else {
        let size = x.dtype().size_bytes();
        // Only what is shown is converted: a large tensor has few elements at its edges.
        let at = |i: usize| {
            let element = f64::from_bytes(&bytes[i * size..][..size], x.dtype());
            element.and_then(|one| one.first().copied()).unwrap_or(f64::NAN)
        };
        let shown: Vec<f64> = positions(x.shape(), short).into_iter().map(at).collect();
        let page = Page { column: Column::of(x.dtype(), &shown), short };
        page.write(&mut text, x.shape(), &mut shown.iter(), "tensor(".len());
    }
    // PyTorch takes the line of the elements for two columns longer than it is.
    let mut column = text.len() - text.rfind('\n').map_or(0, |at| at + 1) + 2;
    for note in notes(x) {
        if column + note.len() + 2 > WIDTH {
            text += ",\n       ";
            column = "tensor(".len();
        } else {
            text += ", ";
            column += 2;
        }
        column += note.len();
        text += &note;
    }
    Ok(text + ")")
}

/// What the elements do not tell, in PyTorch's order.
fn notes(x: &Tensor) -> Vec<String> {
    let mut notes = Vec::new();
    let properties = x.device().properties();
    if !matches!(properties.api, "cpu" | "strict") {
        notes.push(format!("device='{}'", properties.name));
    }
    if x.count() == 0 && x.rank() != 1 {
        let extents: Vec<String> = x.shape().iter().map(usize::to_string).collect();
        notes.push(format!("size=({})", extents.join(", ")));
    }
    // Of nothing one cannot see whether they are integers.
    let is_seen = matches!(x.dtype(), DType::I32 | DType::Bool) && x.count() > 0;
    if x.dtype() != DType::F32 && !is_seen {
        notes.push(format!("dtype={}", x.dtype()));
    }
    if x.is_tracked() {
        let is_leaf = matches!(x.0.op, Op::Leaf);
        notes.push(if is_leaf { "requires_grad=True".into() } else { format!("grad_fn=<{}>", x.0.name()) });
    }
    notes
}

/// The positions along an axis that are shown.
fn along(extent: usize, short: bool) -> Vec<usize> {
    match short && extent > 2 * EDGE {
        true => (0..EDGE).chain(extent - EDGE..extent).collect(),
        false => (0..extent).collect(),
    }
}

/// The row-major positions that are shown, in the order in which they are.
fn positions(shape: &[usize], short: bool) -> Vec<usize> {
    let mut at = vec![0];
    for extent in shape {
        let axis = along(*extent, short);
        at = at.iter().flat_map(|start| axis.iter().map(move |i| start * extent + i)).collect();
    }
    at
}

/// How the elements of a tensor are written, and how wide.
///
/// The rules are PyTorch's (`torch/_tensor_str.py`): whole floats end with a point; powers of ten are used where the finite
/// elements other than 0 reach over more than three digits, or beyond 1e8, or below 1e-4.
struct Column {
    style: Style,
    width: usize,
}

#[derive(Clone, Copy)]
enum Style {
    Truth,
    Integer,
    Whole,
    Fixed,
    Power,
}

impl Column {
    fn of(dtype: DType, shown: &[f64]) -> Column {
        // The width of PyTorch's columns comes from these alone; NaN and infinities may stick out.
        let counted: Vec<f64> = match dtype.is_float() {
            true => shown.iter().copied().filter(|x| x.is_finite() && *x != 0.0).collect(),
            false => shown.to_vec(),
        };
        let largest = counted.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let smallest = counted.iter().fold(f64::INFINITY, |m: f64, x| m.min(x.abs()));
        let whole = counted.iter().all(|x| x.fract() == 0.0);
        let wide = !counted.is_empty() && (largest / smallest > 1000.0 || largest > 1e8 || (!whole && smallest < 1e-4));
        let style = match dtype {
            DType::Bool => Style::Truth,
            dtype if !dtype.is_float() => Style::Integer,
            _ if wide => Style::Power,
            _ if whole => Style::Whole,
            _ => Style::Fixed,
        };
        let mut column = Column { style, width: 1 };
        column.width = counted.iter().map(|x| column.element(*x).len()).max().unwrap_or(1);
        column
    }

    fn element(&self, x: f64) -> String {
        if x.is_nan() {
            return "nan".into();
        }
        match self.style {
            Style::Truth => if x == 0.0 { "False" } else { "True" }.into(),
            Style::Integer => format!("{x:.0}"),
            _ if x.is_infinite() => format!("{x}"),
            Style::Whole => format!("{x:.0}."),
            Style::Fixed => format!("{x:.DIGITS$}"),
            Style::Power => {
                // Rust writes 1.5e3 where C and Python write 1.5e+03.
                let text = format!("{x:.DIGITS$e}");
                let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
                format!("{digits}e{sign}{power:0>2}")
            }
        }
    }

    fn aligned(&self, x: f64) -> String {
        format!("{:>1$}", self.element(x), self.width)
    }
}

/// The brackets, commas and lines around the elements.
struct Page {
    column: Column,
    short: bool,
}

impl Page {
    /// Writes what has this shape, whose first bracket stands at column `indent`.
    fn write<'a>(&self, text: &mut String, shape: &[usize], shown: &mut impl Iterator<Item = &'a f64>, indent: usize) {
        let mut next = || shown.next().copied().unwrap_or(f64::NAN);
        match shape {
            [] => *text += &self.column.element(next()),
            [extent] => {
                let mut row: Vec<String> =
                    along(*extent, self.short).iter().map(|_| self.column.aligned(next())).collect();
                if self.short && *extent > 2 * EDGE {
                    row.insert(EDGE, " ...".into());
                }
                let per_line = (WIDTH.saturating_sub(indent) / (self.column.width + 2)).max(1);
                let lines: Vec<String> = row.chunks(per_line).map(|line| line.join(", ")).collect();
                let _ = write!(text, "[{}]", lines.join(&format!(",\n{:1$}", "", indent + 1)));
            }
            [extent, inner @ ..] => {
                *text += "[";
                let parts = along(*extent, self.short);
                for (i, _) in parts.iter().enumerate() {
                    let gap = format!(",{}{:2$}", "\n".repeat(inner.len()), "", indent + 1);
                    if i > 0 {
                        *text += &gap;
                    }
                    if self.short && *extent > 2 * EDGE && i == EDGE {
                        *text += "...";
                        *text += &gap;
                    }
                    self.write(text, inner, shown, indent + 1);
                }
                *text += "]";
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tensor of these elements would be printed as, without its notes.
    fn printed(dtype: DType, shape: &[usize], elements: &[f64]) -> String {
        let short = elements.len() > WHOLE;
        let shown: Vec<f64> = positions(shape, short).into_iter().map(|i| elements[i]).collect();
        let mut text = String::from("tensor(");
        Page { column: Column::of(dtype, &shown), short }.write(&mut text, shape, &mut shown.iter(), 7);
        text + ")"
    }

    // The expected texts are what `print(torch.tensor(..))` of PyTorch writes.

    #[test]
    fn columns_are_aligned() {
        let text = printed(DType::F32, &[2, 2], &[1.0, -2.5, 3.25, 100.0]);
        assert_eq!(text, "tensor([[  1.0000,  -2.5000],\n        [  3.2500, 100.0000]])");
        let text = printed(DType::F32, &[2, 1, 2], &[1.0, 2.0, 3.0, f64::NAN]);
        assert_eq!(text, "tensor([[[1., 2.]],\n\n        [[3., nan]]])");
        assert_eq!(printed(DType::I32, &[3], &[1.0, -20.0, 3.0]), "tensor([  1, -20,   3])");
        assert_eq!(printed(DType::F32, &[], &[0.5]), "tensor(0.5000)");
        assert_eq!(printed(DType::F32, &[2], &[0.0, 0.0]), "tensor([0., 0.])");
    }

    #[test]
    fn numbers_far_apart_are_powers_of_ten() {
        assert_eq!(printed(DType::F32, &[2], &[1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])");
        assert_eq!(printed(DType::F32, &[2], &[1e9, 1e9]), "tensor([1.0000e+09, 1.0000e+09])");
        assert_eq!(printed(DType::F32, &[2], &[999.5, 1.0]), "tensor([999.5000,   1.0000])");
    }

    #[test]
    fn long_rows_are_broken_and_large_tensors_cut() {
        let row: Vec<f64> = (0..20).map(|i| f64::from(i) + 0.5).collect();
        let lines: Vec<usize> = printed(DType::F32, &[20], &row).lines().map(str::len).collect();
        // Eight columns of nine, less the last space; then the four that are left.
        assert_eq!(lines, [79, 79, 44]);
        let all: Vec<f64> = (0..2000).map(f64::from).collect();
        assert_eq!(
            printed(DType::I32, &[2, 1000], &all),
            "tensor([[   0,    1,    2,  ...,  997,  998,  999],\n        [1000, 1001, 1002,  ..., 1997, 1998, 1999]])"
        );
        let text = printed(DType::I32, &[1001], &all[..1001]);
        assert_eq!(text, "tensor([   0,    1,    2,  ...,  998,  999, 1000])");
    }
}
