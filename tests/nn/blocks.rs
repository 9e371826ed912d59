//! Blocks of vision models, and low-rank adaptation.

use thalweg::{
    nn::{Activation, ConvNorm, GraphConv, InvertedResidual, Lora, ShuffleUnit, SqueezeExcite, Weighted},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, names, wave};

/// As torchvision calls them.
#[test]
fn blocks_have_the_names_of_torchvision() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(1));
    let conv = ConvNorm::new(3, 8, 3).stride(2).init(&device, rng)?;
    assert_eq!(names(&conv), ["0.weight", "1.weight", "1.bias"]);
    assert_eq!(conv.forward(&wave(&device, &[2, 3, 7, 8])).shape(), [2, 8, 4, 4]);
    let inverted = InvertedResidual::new(4, 4, 6).init(&device, rng)?;
    let weights: Vec<String> = names(&inverted).into_iter().filter(|name| name.ends_with("weight")).collect();
    let want = ["conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3"];
    assert_eq!(weights, want.map(|name| format!("{name}.weight")));
    assert_eq!(inverted.conv.layers().len(), 4);
    let plain = InvertedResidual::new(4, 6, 1).stride(2).init(&device, rng)?;
    assert_eq!(names(&plain)[0..4], ["conv.0.0.weight", "conv.0.1.weight", "conv.0.1.bias", "conv.1.weight"]);
    assert_eq!(plain.forward(&wave(&device, &[1, 4, 5, 5])).shape(), [1, 6, 3, 3]);
    let unit = ShuffleUnit::new(4, 8).stride(2).init(&device, rng)?;
    let convs = ["branch1.0", "branch1.2", "branch2.0", "branch2.3", "branch2.5"];
    for name in convs {
        assert!(names(&unit).contains(&format!("{name}.weight")), "{name} in {:?}", names(&unit));
    }
    assert_eq!(unit.forward(&wave(&device, &[1, 4, 6, 6])).shape(), [1, 8, 3, 3]);
    assert_eq!(
        names(&SqueezeExcite::new(8, 2).init(&device, rng)?),
        ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    );
    Ok(())
}

/// A block whose branch gives nothing is the identity, and the half that goes through a unit comes out unchanged.
#[test]
fn what_goes_through_is_unchanged() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(2);
        let x = wave(&device, &[2, 4, 5, 5]);
        let inverted = InvertedResidual::new(4, 4, 2).init(&device, rng)?;
        let (_, gain) = inverted.params().into_iter().find(|(name, _)| name == "conv.3.weight").expect("a gain");
        gain.set(&Tensor::zeros(&device, [4]))?;
        close(&inverted.forward(&x).to_vec::<f64>()?, &x.to_vec::<f64>()?, 1e-6);
        let unit = ShuffleUnit::new(4, 4).init(&device, rng)?;
        let y = unit.forward(&x);
        for channel in 0..2 {
            let (got, want) = (y.select(1, 2 * channel), x.select(1, channel));
            close(&got.to_vec::<f64>()?, &want.to_vec::<f64>()?, 0.0);
        }
    }
    Ok(())
}

#[test]
fn channels_are_weighed_by_their_means() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let block = SqueezeExcite::new(3, 2).gate(Activation::Hardsigmoid).init(&device, &mut Rng::seed(3))?;
        let x = wave(&device, &[2, 3, 4, 5]);
        let linear = |conv: &Conv2d, x: &Tensor| {
            let bias = conv.bias.as_ref().expect("a bias").tensor();
            x.matmul(&conv.weight.tensor().flatten(1..).t()) + bias
        };
        let factor = linear(&block.fc2, &linear(&block.fc1, &x.mean([2, 3])).relu()).hardsigmoid();
        let want = &x * factor.unsqueeze(-1).unsqueeze(-1);
        close(&block.forward(&x).to_vec::<f64>()?, &want.to_vec::<f64>()?, 1e-5);
    }
    Ok(())
}

/// Three nodes in a line, of degrees 2, 3 and 2 with themselves.
#[test]
fn a_graph_brings_neighbours_together() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let line = Tensor::from_slice(&device, &[false, true, false, true, false, true, false, true, false], [3, 3]);
        let (side, edge) = (0.5, 1.0 / 6f64.sqrt());
        let want = [side, edge, 0.0, edge, 1.0 / 3.0, edge, 0.0, edge, side];
        close(&GraphConv::normalised(&line).to_vec::<f64>()?, &want, 1e-6);
        let layer = GraphConv::new(2, 4).init(&device, &mut Rng::seed(4))?;
        assert_eq!(names(&layer), ["lin.weight", "bias"]);
        let x = wave(&device, &[5, 3, 2]);
        let y = layer.forward(&x, &line);
        assert_eq!(y.shape(), [5, 3, 4]);
        let plain = layer.lin.forward(&x);
        let middle = plain.select(1, 0) * edge + plain.select(1, 1) * (1.0 / 3.0) + plain.select(1, 2) * edge;
        close(&y.select(1, 1).to_vec::<f64>()?, &middle.to_vec::<f64>()?, 1e-5);
        let text = layer.forward(&x, &x).to_vec::<f32>().unwrap_err().to_string();
        assert!(text.contains("graph_conv") && text.contains("[5, 3, 2]"), "{text}");
    }
    Ok(())
}

#[test]
fn low_rank_adaptation_learns_beside_a_frozen_weight() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(5);
        let linear = Linear::new(6, 5).init(&device, rng)?;
        let x = wave(&device, &[4, 6]);
        let before = linear.forward(&x).to_vec::<f64>()?;
        let weight = linear.weight.tensor().copy()?.to_vec::<f64>()?;
        let mut lora = Lora::new(linear, 2).alpha(8.0).init(&device, rng)?;
        assert_eq!(names(&lora), ["layer.weight", "layer.bias", "lora_a", "lora_b"]);
        close(&lora.forward(&x).to_vec::<f64>()?, &before, 1e-6);
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&lora)?;
        for _ in 0..3 {
            opt.step(&lora.forward(&x).square().mean(..))?;
        }
        assert_eq!(lora.layer.weight.tensor().to_vec::<f64>()?, weight, "frozen");
        let adapted = lora.forward(&x).to_vec::<f64>()?;
        let moved = adapted.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(moved > 0.01, "{device}: {moved}");
        // The definition: W x + b + α / r B A x.
        let ba = lora.lora_b.tensor().matmul(&lora.lora_a.tensor()) * 4;
        let want = x.matmul(&(lora.layer.weight().tensor() + ba).t()) + lora.layer.bias.as_ref().expect("b").tensor();
        close(&adapted, &want.to_vec::<f64>()?, 1e-5);
        lora.merge()?;
        lora.merge()?;
        assert!(lora.is_merged());
        close(&lora.forward(&x).to_vec::<f64>()?, &adapted, 1e-5);
        close(&lora.layer.forward(&x).to_vec::<f64>()?, &adapted, 1e-5);
        lora.unmerge()?;
        close(&lora.layer.weight.tensor().to_vec::<f64>()?, &weight, 1e-5);
        close(&lora.forward(&x).to_vec::<f64>()?, &adapted, 1e-5);
    }
    Ok(())
}
