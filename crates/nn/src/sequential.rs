//! Layers one after the other.

use std::fmt;

use thalweg_graph::{Module, Path, Scope, Tensor, Visitor, VisitorMut};

use crate::Layer;

/// Layers of any types, applied one after the other. Each is called by its place, as in PyTorch's `nn.Sequential`: `0.weight`,
/// `2.weight`; or by a name of its own.
///
/// Where the types are known, a tuple or a `Vec` of layers is a layer as well and calls its parts alike.
///
/// ```
/// use std::sync::Arc;
///
/// use thalweg_cpu::FastCpu;
/// use thalweg_graph::{Device, Module, Rng, Tensor};
/// use thalweg_nn::{Activation, Linear, Sequential};
///
/// let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
/// let net = Sequential::new()
///     .then(Linear::new(4, 8).init(&device, rng)?)
///     .then(Activation::Relu)
///     .then_named("head", Linear::new(8, 3).init(&device, rng)?);
/// assert_eq!(net.forward(&Tensor::ones(&device, (2, 4))).shape(), [2, 3]);
/// let names: Vec<String> = net.params().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "head.weight", "head.bias"]);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
}

impl Sequential {
    /// Of no layers yet: the identity.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// With a layer more, called by its place.
    pub fn then(self, layer: impl Layer + 'static) -> Sequential {
        let place = self.layers.len();
        self.then_named(place, layer)
    }

    /// With a layer more, called so. Names are told apart by the caller.
    pub fn then_named(mut self, name: impl fmt::Display, layer: impl Layer + 'static) -> Sequential {
        self.layers.push((name.to_string(), Box::new(layer)));
        self
    }

    /// The layers with their names, in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (&str, &dyn Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), &**layer))
    }

    /// Applies them, the first first.
    ///
    /// # Errors
    /// Those of the layers.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        // The caller's position does not go through a layer whose type is not known.
        let _scope = Scope::called();
        let mut y = x.clone();
        for (_, layer) in &self.layers {
            y = layer.forward(&y);
        }
        y
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward(x)
    }
}

impl Module for Sequential {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        visitor.module(path, "Sequential");
        self.layers.iter().for_each(|(name, layer)| layer.visit(&path.join(name), visitor));
    }
    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        self.layers.iter_mut().for_each(|(name, layer)| layer.visit_mut(&path.join(name), visitor));
    }
}
