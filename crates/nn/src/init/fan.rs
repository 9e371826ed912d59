//! What keeps the size of values the same from layer to layer: how many numbers a unit sums, and what a nonlinearity leaves of them.

use thalweg_graph::{ErrorKind, shape::count};

/// A number of a weight `[out, in, k..]` that its variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The inputs of a unit, `in · Πk`: values keep their variance on the way forward.
    In,
    /// The outputs of a unit, `out · Πk`: gradients keep theirs on the way back.
    Out,
    /// The mean of both.
    Average,
}

impl Fan {
    /// The number for a weight of this shape.
    ///
    /// A weight that lies the other way round, like that of a transposed convolution, has the two exchanged; one in groups has the
    /// inputs of its group and all outputs, as in PyTorch.
    ///
    /// # Shapes
    /// `[out, in, k..]`
    /// # Errors
    /// Less than two axes.
    pub fn of(self, shape: &[usize]) -> Result<f64, ErrorKind> {
        let [out, inputs, kernel @ ..] = shape else {
            let problem = "has no inputs and outputs: it is not [out, in, k..]".to_string();
            return Err(ErrorKind::Shape { shape: shape.to_vec(), problem });
        };
        let receptive = count(kernel) as f64;
        let (fan_in, fan_out) = (*inputs as f64 * receptive, *out as f64 * receptive);
        Ok(match self {
            Fan::In => fan_in,
            Fan::Out => fan_out,
            Fan::Average => (fan_in + fan_out) / 2.0,
        })
    }
}

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// Nothing.
    Linear,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`
    Relu,
    /// `x` above 0, and this slope below.
    LeakyRelu(f64),
    /// The self-normalising exponential unit.
    Selu,
}

impl Nonlinearity {
    /// The factor for the standard deviation of the weights in front of it, by PyTorch's table:
    ///
    /// | nonlinearity | gain |
    /// |---|---|
    /// | linear, sigmoid | 1 |
    /// | tanh | 5/3 |
    /// | relu | √2 |
    /// | leaky relu of slope s | √(2 / (1 + s²)) |
    /// | selu | 3/4 |
    ///
    /// # Source
    /// He et al. 2015, arXiv:1502.01852, equations 10 and 15, for the rectifiers. For selu Klambauer et al. 2017, arXiv:1706.02515,
    /// have 1, which is [`Init::LECUN`](crate::Init::LECUN); PyTorch's 3/4 gives up their fixed point for steadier gradients.
    pub fn gain(self) -> f64 {
        match self {
            Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Relu => std::f64::consts::SQRT_2,
            Nonlinearity::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Nonlinearity::Selu => 0.75,
        }
    }
}

/// A gain that weights can have.
pub fn checked(gain: f64) -> Result<f64, ErrorKind> {
    match gain >= 0.0 && gain.is_finite() {
        true => Ok(gain),
        false => Err(ErrorKind::Invalid(format!("a gain of {gain}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_count_the_receptive_field() {
        let of = |shape: &[usize]| [Fan::In, Fan::Out, Fan::Average].map(|fan| fan.of(shape).unwrap());
        assert_eq!(of(&[256, 784]), [784.0, 256.0, 520.0]);
        assert_eq!(of(&[128, 64, 3, 3]), [576.0, 1152.0, 864.0]);
        assert!(Fan::In.of(&[3]).is_err() && Fan::Out.of(&[]).is_err());
    }

    #[test]
    fn gains_of_the_table() {
        for (nonlinearity, gain) in [
            (Nonlinearity::Sigmoid, 1.0),
            (Nonlinearity::Tanh, 1.666_666_666_666_666_7),
            (Nonlinearity::LeakyRelu(0.01), 1.414_142_856_997_835_4),
            (Nonlinearity::LeakyRelu(0.2), 1.386_750_490_563_072_8),
            (Nonlinearity::LeakyRelu(1.0), 1.0),
            (Nonlinearity::Selu, 0.75),
        ] {
            assert!((nonlinearity.gain() - gain).abs() < 1e-15, "{nonlinearity:?}");
        }
        assert_eq!(Nonlinearity::LeakyRelu(0.0).gain(), Nonlinearity::Relu.gain());
    }
}
