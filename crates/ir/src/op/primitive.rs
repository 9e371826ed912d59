//! Primitives: what a device computes in one launch, with one or several results, by a kernel of its own.

use super::{compound::Compound, scan::Scan, segments::Segments};
use crate::custom::Custom;

macro_rules! primitives {
    ($($(#[$doc:meta])* $name:ident($inner:ty)),* $(,)?) => {
        /// A primitive with its settings.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Primitive {
            $($(#[$doc])* $name($inner),)*
        }

        impl std::ops::Deref for Primitive {
            type Target = dyn Compound;
            fn deref(&self) -> &(dyn Compound + 'static) {
                match self {
                    $(Primitive::$name(of) => of,)*
                }
            }
        }
    };
}

primitives! {
    /// Rows combined by the segment that each belongs to.
    Segments(Segments),
    /// A recorded step, walked over sequences.
    Scan(Scan),
    /// A user's own.
    Custom(Custom),
}
