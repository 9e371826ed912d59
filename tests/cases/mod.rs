//! Every op at shapes that have gone wrong somewhere: 1, primes, around a tile, long reductions, strided views.

mod attention;
mod binary;
mod case;
mod contraction;
mod index;
mod interpolate;
mod loss;
mod movement;
mod norm;
mod order;
mod pool;
mod rearrange;
mod reduce;
mod scatter;
mod settings;
mod unary;

pub use attention::attention;
pub use binary::binary;
pub use case::Case;
pub(crate) use case::floats;
pub use contraction::{conv, einsum, matmul};
pub use index::index;
pub use interpolate::{grid_sample, interpolate};
pub use loss::loss;
pub use movement::movement;
pub use norm::{distance, norm};
pub use order::order;
pub use pool::pool;
pub use rearrange::rearrange;
pub use reduce::{reduce, strided};
pub use scatter::scatter;
pub use unary::unary;

/// All families at small shapes, and the settings that they leave out, for finite differences.
pub fn small() -> Vec<Case> {
    let mut all = unary(&[&[7]]);
    all.extend(binary(&[(&[3, 5], &[3, 5]), (&[3, 1], &[2, 1, 4])]));
    all.extend(reduce(&[&[2, 3, 4]]));
    all.extend(movement());
    all.extend(matmul(&[(&[3, 5], &[5, 2]), (&[2, 3, 4], &[4, 3]), (&[2, 1, 3, 4], &[3, 4, 2])]));
    all.extend(conv());
    all.extend(pool());
    all.extend(index());
    all.extend(rearrange());
    all.extend(scatter());
    all.extend(order(5));
    all.extend(order(37));
    all.extend(norm(&[&[3, 7]]));
    all.extend(distance());
    all.extend(einsum());
    all.extend(loss());
    all.extend(attention());
    all.extend(interpolate());
    all.extend(grid_sample());
    all.extend(settings::settings());
    all
}
