//! What layers are made from.

use thalweg_graph::{Device, Result, Rng};

use crate::Weighted;

/// Settings of a layer. `Layer::new(..)` gives them, their methods change them, `init(&device, rng)?` makes the layer.
///
/// Every layer is made so, also one of which nothing is drawn, like a norm, and one that holds nothing on the device, like
/// dropout: a model then makes all its layers alike, and one layer can be put in another's place. The trait is for code that
/// takes settings of any layer; for a given one, `init` needs no import.
pub trait LayerConfig {
    /// What is made.
    type Layer;

    /// Draws the weights.
    ///
    /// # Errors
    /// Settings that do not fit together; no memory.
    #[track_caller]
    fn init(self, device: &Device, rng: &mut Rng) -> Result<Self::Layer>;
}

/// A layer that exists is what it is: it can be wrapped like one that is still to be made.
impl<L: Weighted> LayerConfig for L {
    type Layer = L;

    fn init(self, _: &Device, _: &mut Rng) -> Result<L> {
        Ok(self)
    }
}
