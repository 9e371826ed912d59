//! Layers that take their parameters from a case.

use thalweg_graph::{Module, Rng};
use thalweg_nn::LayerConfig;

use super::{call::Call, outcome::Stop};

/// A layer with these settings and the parameters of a case, which are inputs with the layer's own names, `.` written `__`.
pub fn layer<S: LayerConfig<Layer: Module>>(c: &Call, settings: S) -> Result<S::Layer, Stop> {
    filled(c, made(c, settings)?, |name| name.replace('.', "__"))
}

/// A layer with these settings, for its parameters to be set.
pub fn made<S: LayerConfig>(c: &Call, settings: S) -> Result<S::Layer, Stop> {
    Ok(settings.init(c.device, &mut Rng::seed(0))?)
}

/// The same of a layer that is there, with other names: what the case calls a parameter.
pub fn filled<M: Module>(c: &Call, layer: M, called: impl Fn(&str) -> String) -> Result<M, Stop> {
    let layer = layer.cast(c.dtype)?;
    for (name, param) in layer.params() {
        let input = called(&name);
        let value = c.named(&input).ok_or_else(|| Stop::wrong(format!("no input {input}, for {name}")))?;
        param.set(&value.detach())?;
        c.stands_for(&input, param.tensor());
    }
    Ok(layer)
}
