//! The op set: what a node of the graph can be.
//!
//! It is small and closed. Softmax, norms, losses and most activations are composed of these. Each op's meaning is the
//! plain loop of the same name in the strict CPU executor.

pub mod binary;
pub mod compose;
pub mod compound;
pub mod primitive;
pub mod recorded;
mod reduce;
pub mod scan;
pub mod segments;
pub mod special;
pub mod unary;

use binary::BinaryOp;
use primitive::Primitive;
use unary::UnaryOp;

pub use reduce::ReduceOp;

use crate::bits::Bits;

/// A window sliding over the last axes, of which there are as many as each list is long.
///
/// Output position `o` and kernel position `k` look at input position `o * stride + k * dilation - pad`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Window size along each axis.
    pub kernel: Vec<usize>,
    /// Steps between windows.
    pub stride: Vec<usize>,
    /// Steps inside a window.
    pub dilation: Vec<usize>,
    /// Elements added in front of each axis.
    pub pad: Vec<usize>,
}

impl Window {
    /// How many elements a window reaches over along axis `d`.
    pub fn span(&self, d: usize) -> usize {
        self.dilation[d].saturating_mul(self.kernel[d].saturating_sub(1)).saturating_add(1)
    }
}

/// A convolution: the window and the number of groups. Weight layout `[out, in / groups, kernel..]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// The window over the spatial axes.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
}

/// What a node computes from its inputs, with everything that it depends on: a plan is found again by all of it. It is small: graphs
/// have many, and passes move them. Shapes below are `inputs → output`; `..` stands for any leading axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A value that exists: an upload, a parameter, a state.
    Leaf,
    /// A number given by the host, of rank 0. Its value is an input of a plan, not part of it, but for 0, ±1 and 2.
    Scalar(Bits),
    /// The position along `axis` at each element.
    Iota(usize),
    /// Philox4x32-10 words, U32: element `i` is word `i % 4` of the block with counter `(i / 4, op, draw)`.
    /// Inputs: four U32 scalars: key low, key high, op, draw.
    Random,
    /// A function of one element.
    Unary(UnaryOp),
    /// A function of two elements of equal shape and dtype.
    Binary(BinaryOp),
    /// `(cond, a, b)`: a where cond, else b; equal shapes.
    Select,
    /// To the node's dtype: float to float rounds to nearest even, float to integer truncates, to bool is `!= 0`.
    Cast,
    /// The first input, through which no gradient passes.
    Detach,
    /// Over `axes` (ascending), which stay with extent 1.
    Reduce(ReduceOp, Vec<usize>),
    /// The same elements in row-major order in another shape.
    Reshape,
    /// Output axis `d` is input axis `perm[d]`.
    Permute(Vec<usize>),
    /// Axes of extent 1 repeated to the node's shape; the rank is equal.
    Expand,
    /// Along every axis the elements `start + i * step`.
    Slice {
        /// First element of each axis.
        start: Vec<usize>,
        /// Distance of elements; negative walks backwards.
        step: Vec<isize>,
    },
    /// `before` elements of `fill` in front of every axis, the rest of the node's shape behind.
    Pad {
        /// Elements in front of each axis.
        before: Vec<usize>,
        /// The value of added elements.
        fill: Bits,
    },
    /// `[.., L..] → [.., O.., K..]`: the windows; `fill` where a window looks outside.
    ///
    /// With `aligned`, `[.., L.., K..] → [.., O.., K..]`: kernel position `k` looks at slice `k` of the input.
    Windows {
        /// The window.
        window: Box<Window>,
        /// The value outside.
        fill: Bits,
        /// Whether the input has the kernel axes as well.
        aligned: bool,
    },
    /// `[.., O.., K..] → [.., L.., K..]`, where every window element goes: `y[l, k] = x[o, k]` with
    /// `l = o * stride + k * dilation - pad` if there is such an `o`, else 0. The adjoint of [`Op::Windows`] is this,
    /// summed over `k` when not aligned.
    WindowsAdjoint(Box<Window>),
    /// `[.., M, K] × [.., K, N] → [.., M, N]`. Either the batch axes are equal, or the right side has none.
    Matmul,
    /// `x [B, C, L..], w [O, C/g, K..] → [B, O, S..]` (cross-correlation).
    Conv(Box<Conv>),
    /// `dy [B, O, S..], w [O, C/g, K..] → dx [B, C, L..]`: the adjoint in `x`.
    ConvInput(Box<Conv>),
    /// `x [B, C, L..], dy [B, O, S..] → dw [O, C/g, K..]`: the adjoint in `w`.
    ConvWeight(Box<Conv>),
    /// `(x, index)`: `y[i.., j, k..] = x[i.., index[i.., j, k..], k..]` along the axis; index is I32 and shaped as y.
    /// An index outside reads what is not a number (the nearest element, of integers) and is an error of the device.
    Gather(usize),
    /// Inputs one behind the other along the axis.
    Concat(usize),
    /// The input, but no pass takes what is computed from it for what is computed from the input itself. The number tells one
    /// second computation from another.
    Again(u64),
    /// One of the results of a primitive: those with the same inputs are computed at once.
    Part(Box<Primitive>, usize),
    /// Inputs, flattened, at these element offsets of one vector; zeros between. Made in place where possible.
    Pack(Vec<usize>),
}

impl Op {
    /// The name that errors, labels and files use.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Leaf => "leaf",
            Op::Scalar(_) => "scalar",
            Op::Iota(_) => "iota",
            Op::Random => "random",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Select => "where",
            Op::Cast => "cast",
            Op::Detach => "detach",
            Op::Again(_) => "again",
            Op::Reduce(op, _) => op.name(),
            Op::Reshape => "reshape",
            Op::Permute(_) => "permute",
            Op::Expand => "expand",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Windows { .. } => "windows",
            Op::WindowsAdjoint(_) => "windows_adjoint",
            Op::Matmul => "matmul",
            Op::Conv(_) => "conv",
            Op::ConvInput(_) => "conv_input",
            Op::ConvWeight(_) => "conv_weight",
            Op::Gather(_) => "gather",
            Op::Concat(_) => "concat",
            Op::Pack(_) => "pack",
            Op::Part(primitive, _) => primitive.name(),
        }
    }

    /// Whether the result has the input's elements in the input's order.
    pub fn is_alias(&self) -> bool {
        matches!(self, Op::Reshape | Op::Detach | Op::Again(_))
    }

    /// Whether it only changes where elements are looked for.
    pub fn is_view(&self) -> bool {
        self.is_alias()
            || matches!(
                self,
                Op::Permute(_)
                    | Op::Expand
                    | Op::Slice { .. }
                    | Op::Pad { .. }
                    | Op::Windows { .. }
                    | Op::WindowsAdjoint(_)
            )
    }

    /// Whether it sums products of two operands.
    pub fn is_contraction(&self) -> bool {
        matches!(self, Op::Matmul | Op::Conv(_) | Op::ConvInput(_) | Op::ConvWeight(_))
    }

    /// Whether it always has a buffer of its own.
    pub fn is_heavy(&self) -> bool {
        self.is_contraction() || matches!(self, Op::Reduce(..) | Op::Part(..))
    }

    /// Whether an elementwise op is worth computing again rather than storing.
    pub fn is_cheap(&self) -> bool {
        use UnaryOp::*;
        match self {
            Op::Unary(op) => {
                matches!(op, Neg | Abs | Sign | Relu | Not | Floor | Ceil | Trunc | Round | IsNan | IsInf | Recip)
            }
            Op::Binary(op) => !matches!(op, BinaryOp::Pow | BinaryOp::Atan2 | BinaryOp::Fmod),
            Op::Select | Op::Cast => true,
            _ => false,
        }
    }
}
