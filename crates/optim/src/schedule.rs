//! Learning rates over a run: values that compose, compare and print themselves, and pure functions of progress in f64.
//!
//! Progress is the number of steps taken, from 0: what a schedule gives for `t` is the rate of step `t + 1`. Inside
//! [`Family::in_epochs`], [`Family::in_samples`] or [`Family::in_tokens`] it is counted in these instead.
//!
//! ```
//! use thalweg_optim::schedule::{Cosine, Family, WarmUp};
//!
//! let rate = WarmUp { to: 3e-4, over: 2000.0 }.then(Cosine { from: 3e-4, to: 3e-5, over: 248e3 });
//! assert_eq!(rate.at(1999.0), 3e-4);
//! assert_eq!(
//!     rate.to_string(),
//!     "WarmUp { to: 0.0003, over: 2000.0 }.until(2000.0, Cosine { from: 0.0003, to: 3e-5, over: 248000.0 })"
//! );
//! ```

use std::fmt;

mod batch;
mod check;
mod presets;
mod recurrence;
#[cfg(test)]
mod tests;

pub use batch::{BatchSize, instead_of_decay};
pub use coupled::Coupling;
pub use cyclic::Peaks;
pub use one_cycle::{Curve, Phases};
pub use presets::{bert, constant_factor, gopher, gpt, gpt3, linear_with_warm_up, llama, opt, palm, t5, wsd};
pub use unit::{Unit, Worth};

/// The families: the file of each, and its types. A new family is a file and a line here.
macro_rules! families {
    ($($file:ident: $($family:ident),+;)*) => {
        $(mod $file; pub use $file::{$($family),+};)*

        /// A schedule of any family. Prints itself as Rust that makes it.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Schedule {
            $($(#[doc = concat!("See [`", stringify!($family), "`].")] $family($family),)+)*
        }

        $($(impl From<$family> for Schedule {
            fn from(family: $family) -> Schedule {
                Schedule::$family(family)
            }
        })+)*

        impl Family for Schedule {
            fn at(&self, t: f64) -> f64 {
                match self { $($(Schedule::$family(family) => family.at(t),)+)* }
            }
            fn check(&self) -> Result<(), String> {
                match self { $($(Schedule::$family(family) => family.check(),)+)* }
            }
            fn length(&self) -> f64 {
                match self { $($(Schedule::$family(family) => family.length(),)+)* }
            }
        }

        impl fmt::Debug for Schedule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($(Schedule::$family(family) => family.fmt(f),)+)* }
            }
        }
    };
}
families! {
    constant: Constant;
    ramp: Linear, Cosine, Geometric, Root;
    polynomial: Polynomial;
    decay: StepDecay, MultiStep, Exponential, InverseTime;
    cosine: CosineWave, Restarts;
    cyclic: Cyclic;
    one_cycle: OneCycle;
    warm_up: WarmUp, SaturatingWarmUp;
    inverse_sqrt: InverseSqrt, Noam, RootAfter;
    stairs: Stairs;
    lambda: Lambda, Multiplicative;
    compose: Until, Product, Clamp;
    coupled: Coupled;
    unit: In;
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Schedule {
    /// The rates of the first so many steps.
    pub fn rates(&self, steps: usize) -> Vec<f64> {
        (0..steps).map(|t| self.at(t as f64)).collect()
    }
}

/// What every schedule can do, of whatever family.
pub trait Family: Into<Schedule> + Clone {
    /// The rate at this progress.
    fn at(&self, t: f64) -> f64;

    /// What is wrong with its numbers, if anything.
    ///
    /// # Errors
    /// A description of it.
    fn check(&self) -> Result<(), String>;

    /// Where it comes to its end and stays; infinite where it has none.
    fn length(&self) -> f64 {
        f64::INFINITY
    }

    /// This one before `at`, and then the next one, whose progress begins at 0 there.
    fn until(self, at: f64, next: impl Into<Schedule>) -> Schedule {
        Until { first: Box::new(self.into()), at, next: Box::new(next.into()) }.into()
    }

    /// This one to its end, and then the next one.
    fn then(self, next: impl Into<Schedule>) -> Schedule {
        let at = self.length();
        self.until(at, next)
    }

    /// This one's rate times the other's, at the same progress.
    fn times(self, other: impl Into<Schedule>) -> Schedule {
        Product { one: Box::new(self.into()), other: Box::new(other.into()) }.into()
    }

    /// This one, but at least `low` and at most `high`.
    fn clamp(self, low: f64, high: f64) -> Schedule {
        Clamp { schedule: Box::new(self.into()), low, high }.into()
    }

    /// This one as it follows the samples of a step: so many, or as many as a schedule of batch sizes says.
    fn coupled(self, coupling: Coupling, batch: impl Into<Worth>) -> Schedule {
        Coupled { schedule: Box::new(self.into()), coupling, batch: batch.into() }.into()
    }

    /// This one by epochs of so many steps, and by fractions of them.
    fn in_epochs(self, steps: f64) -> Schedule {
        In::new(self.into(), Unit::Epochs(steps)).into()
    }

    /// This one by epochs of so many steps: the rate stays the same within each.
    fn in_whole_epochs(self, steps: f64) -> Schedule {
        In::new(self.into(), Unit::WholeEpochs(steps)).into()
    }

    /// This one by samples, of which a step takes so many, or as many as a schedule of batch sizes says.
    fn in_samples(self, batch: impl Into<Worth>) -> Schedule {
        In::new(self.into(), Unit::Samples(batch.into())).into()
    }

    /// This one by tokens, of which a step takes so many, or as many as a schedule of batch sizes says.
    fn in_tokens(self, batch: impl Into<Worth>) -> Schedule {
        In::new(self.into(), Unit::Tokens(batch.into())).into()
    }
}
