//! Weight and spectral normalisation as wrappers of layers, and instance norm with running statistics.

use thalweg::{
    nn::{InstanceNorm, SpectralNorm, WeightNorm, Weighted},
    prelude::*,
};
use thalweg_tests::{cpu, strict};

use super::close;

#[test]
fn weight_norm_starts_as_the_layer_it_wraps() -> Result<()> {
    let device = strict();
    let rng = &mut Rng::seed(2);
    let linear = Linear::new(5, 3).init(&device, rng)?;
    let conv = Conv2d::new(2, 3, 3).init(&device, rng)?;
    let (x, image) = (Tensor::ones(&device, [4, 5]), Tensor::ones(&device, [1, 2, 5, 5]));
    let (plain, plain_image) = (linear.forward(&x).to_vec::<f64>()?, conv.forward(&image).to_vec::<f64>()?);
    let (linear, conv) =
        (WeightNorm::new(linear).init(&device, rng)?, WeightNorm::new(conv).axis(None).init(&device, rng)?);
    close(&linear.forward(&x).to_vec::<f64>()?, &plain, 1e-6);
    close(&conv.forward(&image).to_vec::<f64>()?, &plain_image, 1e-6);
    assert_eq!((linear.g.shape(), conv.g.shape()), (vec![3, 1], vec![1, 1, 1, 1]));
    let names: Vec<String> = linear.params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["layer.weight", "layer.bias", "g"]);
    let grads = linear.forward(&x).square().sum(..).backward()?;
    // The weight does not depend on the length of v, so its gradient stands across it.
    let (v, g) = (linear.layer.weight.tensor(), grads.get(&linear.layer.weight.tensor()));
    let along = g.map(|g| (g * v).sum(1).to_vec::<f64>()).transpose()?;
    close(&along.unwrap_or_default(), &[0.0; 3], 1e-5);
    let text = WeightNorm::new(Linear::new(5, 3)).axis(Some(2)).init(&device, rng).unwrap_err().to_string();
    assert!(text.contains("weight_norm") && text.contains("axis 2"), "{text}");
    Ok(())
}

#[test]
fn spectral_norm_finds_the_largest_singular_value() -> Result<()> {
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(2);
        let linear = Linear::new(2, 2).bias(false).init(&device, rng)?;
        // diag(3, -1) turned by 45 degrees: singular values 3 and 1.
        linear.weight.set(&Tensor::from_slice(&device, &[1.0f32, 2.0, 2.0, 1.0], [2, 2]))?;
        let norm = SpectralNorm::new(linear).init(&device, rng)?;
        let weight = norm.weight();
        close(&weight.to_vec::<f64>()?, &[1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0], 1e-5);
        let before = norm.u.tensor().to_vec::<f64>()?;
        norm.eval();
        norm.forward(&Tensor::ones(&device, [1, 2])).eval()?;
        assert_eq!(norm.u.tensor().to_vec::<f64>()?, before);
        let none = SpectralNorm::new(Linear::new(2, 2)).iterations(0);
        let text = none.init(&device, rng).unwrap_err().to_string();
        assert!(text.contains("spectral_norm") && text.contains("0 iterations"), "{text}");
    }
    Ok(())
}

#[test]
fn instance_norm_remembers_if_asked() -> Result<()> {
    let device = strict();
    let norm = InstanceNorm::new(1).track_running_stats(true).momentum(0.5).init(&device, &mut Rng::seed(0))?;
    // Means 2 and 6, unbiased variances 2 and 8.
    let x = Tensor::from_slice(&device, &[1.0f32, 3.0, 4.0, 8.0], [2, 1, 2]);
    close(&norm.forward(&x).to_vec::<f64>()?, &[-1.0, 1.0, -1.0, 1.0], 1e-5);
    let [mean, var] = [&norm.running_mean, &norm.running_var].map(|s| s.as_ref().map(|s| s.tensor().item()));
    close(&[mean.transpose()?.unwrap_or(0.0), var.transpose()?.unwrap_or(0.0)], &[2.0, 3.0], 1e-6);
    norm.eval();
    let want: Vec<f64> = [1.0, 3.0, 4.0, 8.0].iter().map(|x| (x - 2.0) / 3.0f64.sqrt()).collect();
    close(&norm.forward(&x).to_vec::<f64>()?, &want, 1e-5);
    Ok(())
}

/// A weight alone, in f64.
#[derive(Module)]
struct Alone {
    weight: Param,
}

impl Weighted for Alone {
    fn weight(&self) -> &Param {
        &self.weight
    }
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        weight.matmul(x)
    }
}

/// The largest singular value has the slope `u vᵀ`, which is what treating u and v as constants gives once they have converged;
/// and lengths of their own take the slope along v away.
#[test]
fn reparametrised_weights_have_the_gradients_of_differences() -> Result<()> {
    let device = strict();
    let x = Tensor::from_slice(&device, &[1.0f64, -0.5, 2.0], [3, 1]);
    let c = Tensor::from_slice(&device, &[0.7f64, -1.3], [2, 1]);
    let start = [3.0, 0.2, -0.1, 0.3, 0.4, 0.2];
    let layer = |w: &[f64]| Ok::<_, Error>(Alone { weight: Param::new(Tensor::from_slice(&device, w, [2, 3]))? });
    type Loss<'a> = dyn Fn(&[f64]) -> Result<(Tensor, Tensor)> + 'a;
    let spectral = |w: &[f64]| {
        let norm = SpectralNorm::new(layer(w)?).iterations(30).init(&device, &mut Rng::seed(3))?;
        Ok(((norm.forward(&x) * &c).sum(..), norm.layer.weight.tensor()))
    };
    let lengths = Tensor::from_slice(&device, &[1.5f64, -0.8], [2, 1]);
    let weight = |w: &[f64]| {
        let norm = WeightNorm::new(layer(w)?).init(&device, &mut Rng::seed(3))?;
        norm.g.set(&lengths)?;
        Ok(((norm.forward(&x) * &c).sum(..), norm.layer.weight.tensor()))
    };
    for (name, of) in [("spectral", &spectral as &Loss), ("weight", &weight)] {
        let (loss, leaf) = of(&start)?;
        let grads = loss.backward()?;
        let grad = grads.get(&leaf).map(|g| g.to_vec::<f64>()).transpose()?.unwrap_or_default();
        assert_eq!(grad.len(), start.len(), "{name}");
        for (i, grad) in grad.iter().enumerate() {
            let at = |h: f64| {
                let mut w = start;
                w[i] += h;
                of(&w)?.0.item()
            };
            let difference = (at(1e-5)? - at(-1e-5)?) / 2e-5;
            assert!((grad - difference).abs() < 1e-8, "{name}, {i}: {grad}, but differences give {difference}");
        }
    }
    Ok(())
}
