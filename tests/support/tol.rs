//! Tolerances.

/// How far f32 results may be apart, as a share of the largest magnitude in the tensor.
#[derive(Clone, Copy, Debug)]
pub struct Tol(pub f64);

impl Tol {
    /// Rounding of a chain of elementwise functions, each within a few units in the last place.
    pub const ELEMENTWISE: Tol = Tol(32.0 * f32::EPSILON as f64);

    /// Rounding of a sum of `terms` terms in any order: `ε · √terms`, times a few for the terms' own errors.
    pub fn reduction(terms: usize) -> Tol {
        Tol(Tol::ELEMENTWISE.0 + 4.0 * f64::from(f32::EPSILON) * (terms as f64).sqrt())
    }
}
