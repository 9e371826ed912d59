//! Values and gradients of one executor against another.

mod agree;
mod graphs;
mod messages;
