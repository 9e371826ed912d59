//! What every layer of one input and one output has in common.

use std::fmt;

use thalweg_graph::{Module, Scope, Tensor};

/// A module from one tensor to one tensor. Every such layer of this crate is one; lists, tuples and options of layers are too, applied
/// one after the other, and [`Sequential`](crate::Sequential) is a list of layers of any type.
///
/// For a layer that is named, `forward` needs no import: the trait is for code that takes any.
///
/// ```
/// use thalweg_derive::Module;
/// use thalweg_graph::Tensor;
/// use thalweg_nn::{Layer, Linear};
///
/// #[derive(Clone, Debug, Module)]
/// struct Gated {
///     value: Linear,
///     gate: Linear,
/// }
///
/// impl Layer for Gated {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         self.value.forward(x) * self.gate.forward(x).sigmoid()
///     }
/// }
/// ```
pub trait Layer: Module + CloneLayer + fmt::Debug + Send + Sync {
    /// Applies it.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor;
}

/// That a boxed layer can be cloned. Every layer that is `Clone` has it.
pub trait CloneLayer {
    /// The same layer, tied to this one, in a box.
    fn clone_layer(&self) -> Box<dyn Layer>;
}

impl<L: Layer + Clone + 'static> CloneLayer for L {
    fn clone_layer(&self) -> Box<dyn Layer> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Layer> {
    fn clone(&self) -> Box<dyn Layer> {
        (**self).clone_layer()
    }
}

impl Layer for Box<dyn Layer> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        // The caller's position does not go through a layer whose type is not known.
        let _scope = Scope::called();
        (**self).forward(x)
    }
}

/// One after the other.
impl<L: Layer + Clone + 'static> Layer for Vec<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        // Not a fold: the caller's position does not go through a closure.
        let mut y = x.clone();
        for layer in self {
            y = layer.forward(&y);
        }
        y
    }
}

/// Nothing is the identity.
impl<L: Layer + Clone + 'static> Layer for Option<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Some(layer) => layer.forward(x),
            None => x.clone(),
        }
    }
}

macro_rules! tuples {
    ($($($name:ident $at:tt)+;)*) => {$(
        /// One after the other.
        impl<$($name: Layer + Clone + 'static),+> Layer for ($($name,)+) {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                let y = x.clone();
                $(let y = self.$at.forward(&y);)+
                y
            }
        }
    )*};
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}
