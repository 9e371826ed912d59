//! Initialisations by the names that papers and libraries gave them.

use super::{Fan, Init, Nonlinearity};

/// # By name
impl Init {
    /// He's uniform initialisation for ReLU.
    pub const HE: Init = Init::ScaledUniform { fan: Fan::In, gain: std::f64::consts::SQRT_2 };
    /// Xavier's uniform initialisation.
    pub const XAVIER: Init = Init::ScaledUniform { fan: Fan::Average, gain: 1.0 };
    /// LeCun's: normal with variance `1 / fan_in`. For networks of SELU, and for those of PaLM.
    ///
    /// # Source
    /// LeCun et al. 1998, "Efficient BackProp", equation 16.
    pub const LECUN: Init = Init::ScaledNormal { fan: Fan::In, gain: 1.0 };
    /// What PyTorch gives linear and convolution layers: uniform in `±1 / √fan_in`.
    pub const TORCH: Init = Init::ScaledUniform { fan: Fan::In, gain: 0.577_350_269_189_625_8 };
    /// GPT-2's: normal with standard deviation 0.02, also for embeddings; [`Init::residual`] for what writes into the residual stream.
    ///
    /// # Source
    /// Radford et al. 2019, "Language models are unsupervised multitask learners".
    pub const GPT2: Init = Init::Normal(0.02);
    /// OPT's: normal with standard deviation 0.006; [`Init::residual`] for output layers.
    ///
    /// # Source
    /// Zhang et al. 2022, arXiv:2205.01068, section 2.2.
    pub const OPT: Init = Init::Normal(0.006);

    /// Uniform in `±gain · √(3 / fan)` with the gain of what follows.
    ///
    /// # Source
    /// He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.
    #[doc(alias("kaiming_uniform_", "kaiming_uniform"))]
    pub fn he_uniform(fan: Fan, nonlinearity: Nonlinearity) -> Init {
        Init::ScaledUniform { fan, gain: nonlinearity.gain() }
    }

    /// Normal with standard deviation `gain / √fan` and the gain of what follows.
    ///
    /// # Source
    /// As for [`Init::he_uniform`].
    #[doc(alias("kaiming_normal_", "kaiming_normal"))]
    pub fn he_normal(fan: Fan, nonlinearity: Nonlinearity) -> Init {
        Init::ScaledNormal { fan, gain: nonlinearity.gain() }
    }

    /// Uniform in `±gain · √(6 / (fan_in + fan_out))`.
    ///
    /// # Source
    /// Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 16.
    #[doc(alias("xavier_uniform_", "glorot_uniform"))]
    pub fn xavier_uniform(gain: f64) -> Init {
        Init::ScaledUniform { fan: Fan::Average, gain }
    }

    /// Normal with standard deviation `gain · √(2 / (fan_in + fan_out))`.
    ///
    /// # Source
    /// As for [`Init::xavier_uniform`], equation 12.
    #[doc(alias("xavier_normal_", "glorot_normal"))]
    pub fn xavier_normal(gain: f64) -> Init {
        Init::ScaledNormal { fan: Fan::Average, gain }
    }

    /// Normal with mean 0, cut at two standard deviations. What is left has a standard deviation of `0.879625661 std`.
    #[doc(alias = "trunc_normal_")]
    pub fn truncated_normal(std: f64) -> Init {
        Init::TruncatedNormal { mean: 0.0, std, low: -2.0 * std, high: 2.0 * std }
    }

    /// Normal with standard deviation `std / √(2L)`, for the two projections in each of L blocks that write into the residual
    /// stream of a Transformer: their sum has the variance of one.
    ///
    /// # Source
    /// Radford et al. 2019, as for [`Init::GPT2`].
    pub fn residual(std: f64, blocks: usize) -> Init {
        Init::Normal(std / (2.0 * blocks as f64).sqrt())
    }

    /// Normal with standard deviation `√(2 / (5d))`, for a Transformer of width d.
    ///
    /// # Source
    /// Nguyen & Salazar 2019, "Transformers without tears", arXiv:1910.05895, section 2.2.
    pub fn small(width: usize) -> Init {
        Init::Normal((2.0 / (5.0 * width as f64)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_graph::Rng;

    use super::*;

    #[test]
    fn draws_have_the_variance_they_promise() {
        let shape = [256, 64, 3, 3];
        let variance = |init: Init| {
            let draw = init.draw(&shape, &mut Rng::seed(7)).unwrap();
            draw.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / draw.len() as f64
        };
        let (fan_in, fan_out) = (64.0 * 9.0, 256.0 * 9.0);
        for (init, want) in [
            (Init::HE, 2.0 / fan_in),
            (Init::he_uniform(Fan::Out, Nonlinearity::Tanh), 25.0 / 9.0 / fan_out),
            (Init::he_normal(Fan::In, Nonlinearity::Linear), 1.0 / fan_in),
            (Init::XAVIER, 2.0 / (fan_in + fan_out)),
            (Init::xavier_normal(3.0), 18.0 / (fan_in + fan_out)),
            (Init::LECUN, 1.0 / fan_in),
            (Init::TORCH, 1.0 / (3.0 * fan_in)),
            (Init::GPT2, 4e-4),
            (Init::OPT, 3.6e-5),
            (Init::truncated_normal(0.02), 4e-4 * 0.773_741_303_549_923_2),
            (Init::residual(0.02, 12), 4e-4 / 24.0),
            (Init::small(768), 2.0 / 3840.0),
        ] {
            let got = variance(init);
            assert!((got / want - 1.0).abs() < 0.02, "{init:?}: {got} against {want}");
        }
    }

    #[test]
    fn named_ones_are_what_the_literature_says() {
        assert_eq!(Init::he_uniform(Fan::In, Nonlinearity::Relu), Init::HE);
        assert_eq!(Init::xavier_uniform(1.0), Init::XAVIER);
        let Init::ScaledUniform { fan, gain } = Init::he_uniform(Fan::In, Nonlinearity::LeakyRelu(5f64.sqrt())) else {
            panic!("uniform");
        };
        assert!(fan == Fan::In && (gain - 1.0 / 3f64.sqrt()).abs() < 1e-15);
        let Init::Normal(std) = Init::residual(0.006, 96) else { panic!("normal") };
        assert!((std - 0.000_433_012_701_9).abs() < 1e-13);
    }

    /// The second moment behind so many layers with ReLU, as a share of the input's: the median over 20 seeds.
    fn kept(init: Init, depth: usize) -> f64 {
        let width = 256;
        let moment = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>() / width as f32;
        let mut kept: Vec<f32> = (0..20)
            .map(|seed| {
                let rng = &mut Rng::seed(seed);
                let input = Init::Normal(1.0).draw(&[width], rng).unwrap();
                let output = (0..depth).fold(input.clone(), |x, _| {
                    let w = init.draw(&[width, width], rng).unwrap();
                    w.chunks_exact(width).map(|w| w.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>().max(0.0)).collect()
                });
                moment(&output) / moment(&input)
            })
            .collect();
        kept.sort_by(f32::total_cmp);
        f64::from(kept[10])
    }

    #[test]
    fn he_keeps_the_size_of_activations_and_xavier_halves_it_by_every_relu() {
        let he = kept(Init::HE, 50);
        assert!((0.5..=2.0).contains(&he), "{he}");
        let xavier = kept(Init::XAVIER, 10) * 1024.0;
        assert!((0.5..=2.0).contains(&xavier), "{xavier}");
    }
}
