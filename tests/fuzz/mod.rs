//! Random programs on every executor: what the golden vectors and the table of cases cannot think of.
//!
//! A [`Program`] is a list of leaves and instructions. An instruction names a row of [`ROWS`] and, by numbers that are taken
//! modulo what there is, its operands and attributes, so that any part of a program is a program: that is how failures shrink.
//! Each runs on the strict executor in f64, which is right by definition, and in f32 on the devices under test, fused and op by op;
//! values and gradients must agree.
//!
//! # What agreement means
//! f32 rounds, and a program may make much of it: how much depends on the numbers, so no fixed tolerance is right. The bound is
//! measured instead, by Monte Carlo arithmetic (Parker 1997, "Monte Carlo arithmetic: exploiting randomness in floating-point
//! arithmetic"). The f64 run is repeated with every node of its graph, gradients included, disturbed at random by as much as a
//! sound f32 kernel may be off: 8 half units in the last place of the result and, of functions that are approximated, of the
//! operands; of sums and products `√n` times as much for each of `n` terms, and `√n / 4` times for all of them together, as equal
//! terms are rounded alike; nothing where an op copies, compares or selects.
//! (16-bit results have larger units.) Another such run is the strict executor's in f32, every node rounded. A result may be as far
//! from the undisturbed one as twice the farthest of these, plus the rounding of storing it. Two disturbed runs come first; what
//! they do not explain is given thirty more. Where these choose differently among ties, a device may choose as none of them does.
//!
//! Where the mathematics is unstable (near ties in a sort, a kink, a cancellation) the disturbed runs differ and nothing is held
//! against a device; where they agree exactly, as integers, positions and copies do, the device must as well.

mod caught;
mod check;
mod disturbed;
mod draws;
mod print;
mod program;
mod rows;
mod script;
mod series;
mod shapes;
mod shrink;
pub mod state;

pub use caught::silence_panics;
pub use check::{Contender, Failure, check};
pub use print::print;
pub use program::{Fill, Habits, Instruction, Leaf, Program};
pub use rows::{ROWS, Row};
pub use script::Script;
pub use series::{Series, Tally};
pub use shrink::shrink;
