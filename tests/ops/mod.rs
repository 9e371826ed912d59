//! Values and gradients of one executor against another.

mod absurd;
mod agree;
mod constants;
mod conventions;
mod custom;
mod division;
mod draws;
mod dtypes;
mod dynamic;
mod extremes;
mod graphs;
mod habits;
mod halves;
mod integers;
mod large;
mod limits;
mod messages;
mod names;
mod nan;
mod operands;
mod order;
mod orthogonal;
mod print;
mod scan;
mod segments;
mod settings;
