//! Values and gradients of one executor against another.

mod agree;
mod graphs;
mod large;
mod limits;
mod messages;
