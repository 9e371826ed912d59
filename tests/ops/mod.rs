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
mod graphs;
mod large;
mod limits;
mod messages;
mod order;
mod orthogonal;
