//! From one rate to another, which stays.

use std::f64::consts::PI;

use super::{Family, check};

/// A ramp is the way between its ends at the fraction `q` of its length, and whether its ends must be positive.
macro_rules! ramps {
    ($($(#[$doc:meta])* $ramp:ident, $ends:ident, |$a:ident, $b:ident, $q:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// `a` is where it begins, `b` where it ends, and `q = min(t / over, 1)`.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $ramp {
            /// a.
            pub from: f64,
            /// b.
            pub to: f64,
            /// After which progress it is there.
            pub over: f64,
        }

        impl Family for $ramp {
            fn at(&self, t: f64) -> f64 {
                let ($a, $b) = (self.from, self.to);
                // The ends are what was asked for, to the bit.
                if t >= self.over {
                    return $b;
                }
                let $q = t / self.over;
                if $q <= 0.0 { $a } else { $value }
            }

            fn check(&self) -> Result<(), String> {
                check::$ends("from", self.from)?;
                check::$ends("to", self.to)?;
                check::length("over", self.over)
            }

            fn length(&self) -> f64 {
                self.over
            }
        }
    )*};
}
ramps! {
    /// `b + (a - b) (1 - q)`.
    Linear, rate, |a, b, q| b + (a - b) * (1.0 - q);
    /// `b + ½ (a - b) (1 + cos πq)`: cosine annealing, and PyTorch's `SWALR`.
    ///
    /// # Source
    /// Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5.
    Cosine, rate, |a, b, q| b + 0.5 * (a - b) * (1.0 + (PI * q).cos());
    /// `a (b / a)^q`: the same factor in every step.
    Geometric, positive, |a, b, q| a * (b / a).powf(q);
    /// `b + (a - b) (1 - √q)`: falls at once, and ever more slowly.
    ///
    /// # Source
    /// Hägele et al. 2024, arXiv:2405.18392, §4: the decay at the end of a constant rate.
    Root, rate, |a, b, q| b + (a - b) * (1.0 - q.sqrt());
}
