//! Primitives: what a device computes in one launch, with one or several results, by a kernel of its own.

use super::{
    compose::{Compose, Value},
    segments::Segments,
};
use crate::{custom::Custom, shape::Type};

/// What everybody who meets a primitive may ask of it.
pub trait Compound {
    /// The name that errors, labels and files use.
    fn name(&self) -> &'static str;

    /// The shape and dtype of each result.
    fn outputs(&self, inputs: &[Type]) -> Vec<Type>;

    /// The results as other ops, which every device has. `None` if there are no such ops.
    fn compose(&self, c: &mut dyn Compose, inputs: &[Value]) -> Option<Vec<Value>>;

    /// Whether a kernel of its own is worth a launch with inputs like these; if not, it is composed wherever it can be.
    fn pays(&self, _inputs: &[Type]) -> bool {
        true
    }
}

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
    /// A user's own.
    Custom(Custom),
}
