//! Attention as a layer.

use thalweg::{
    nn::{Attention, LayerConfig},
    prelude::*,
};
use thalweg_tests::{cpu, strict};

/// Numbers that a layer's weights can be told from.
fn wave(device: &Device, shape: &[usize], pace: f64) -> Tensor {
    let n = shape.iter().product();
    (Tensor::arange(device, n).cast(DType::F32) * pace).sin().reshape(shape)
}

fn close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    let (got, want) = (got.to_vec::<f64>().expect("values"), want.to_vec::<f64>().expect("values"));
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{got} is not {want}");
    }
}

/// The formula head by head: what the layer does in one product for all.
#[test]
fn many_heads_are_one_after_the_other() -> Result<()> {
    for device in [strict(), cpu()] {
        for causal in [false, true] {
            let layer = MultiheadAttention::new(6, 2).causal(causal).init(&device, &mut Rng::seed(3))?;
            if let Some(bias) = &layer.in_proj_bias {
                bias.set(&wave(&device, &[18], 0.4))?;
            }
            let (x, y) = (wave(&device, &[2, 4, 6], 0.7), wave(&device, &[2, 5, 6], 0.3));
            let mask = wave(&device, &[4, 5], 1.3);
            let part = |x: &Tensor, which: usize, head: usize| {
                let rows = 6 * which + 3 * head..6 * which + 3 * head + 3;
                let weight = layer.in_proj_weight.as_ref().expect("one for all").tensor().slice(0, rows.clone());
                let bias = layer.in_proj_bias.as_ref().map(|b| b.tensor().slice(0, rows));
                bias.into_iter().fold(x.matmul(&weight.t()), |y, b| y + b)
            };
            let heads = (0..2).map(|head| {
                let (q, k, v) = (part(&x, 0, head), part(&y, 1, head), part(&y, 2, head));
                let scores = q.matmul(&k.t()) / 3f64.sqrt() + &mask;
                let scores = match causal {
                    true => Tensor::ones(&device, (4, 5)).tril(0).gt(0).where_(scores, -1e30),
                    false => scores,
                };
                (scores.softmax(-1), scores.softmax(-1).matmul(&v))
            });
            let (weights, values): (Vec<Tensor>, Vec<Tensor>) = heads.unzip();
            close(&layer.forward(&x, &y, &y, Some(&mask)), &layer.out_proj.forward(&Tensor::concat(values, -1)));
            close(&layer.weights(&x, &y, Some(&mask)), &Tensor::stack(weights, 1));
        }
    }
    Ok(())
}

#[test]
fn names_and_first_weights_are_pytorchs() -> Result<()> {
    let layer = MultiheadAttention::new(64, 4).init(&strict(), &mut Rng::seed(0))?;
    let names: Vec<String> = layer.params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]);
    let joined = layer.in_proj_weight.as_ref().expect("one for all");
    assert_eq!(joined.shape(), [192, 64]);
    // Xavier of [3 E, E]: uniform in ±√(6 / 4 E). The output is a linear layer's: uniform in ±1 / √E.
    for (param, bound) in [(joined, (6.0f64 / 256.0).sqrt()), (&layer.out_proj.weight, 0.125)] {
        let largest = param.tensor().abs().amax(..).item()?;
        assert!(largest <= bound + 1e-7 && largest > 0.98 * bound, "{largest} of {bound}");
    }
    let biases = [&layer.in_proj_bias, &layer.out_proj.bias];
    for bias in biases.into_iter().flatten() {
        assert_eq!(bias.tensor().abs().sum(..).item()?, 0.0);
    }
    let plain = MultiheadAttention::new(8, 2).bias(false).init(&strict(), &mut Rng::seed(0))?;
    assert_eq!(plain.params().len(), 2);
    Ok(())
}

/// The layer's dropout hears `eval()`, also inside of a derived module, and so does one that is borrowed by a call.
#[test]
fn attention_drops_in_training_alone() -> Result<()> {
    #[derive(Module)]
    struct Block {
        attention: MultiheadAttention,
        dropout: Dropout,
    }
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(1);
        let block = Block {
            attention: MultiheadAttention::new(8, 2).dropout(0.5).init(&device, rng)?,
            dropout: Dropout::new(0.5).init(&device, rng)?,
        };
        let x = wave(&device, &[3, 16, 8], 0.37);
        let layer = |block: &Block| block.attention.forward(&x, &x, &x, None).to_vec::<f32>();
        let call = |block: &Block| {
            Attention { dropout: Some(&block.dropout), ..Attention::default() }.apply(&x, &x, &x).to_vec::<f32>()
        };
        for pass in [&layer as &dyn Fn(&Block) -> Result<Vec<f32>>, &call] {
            block.train();
            assert_ne!(pass(&block)?, pass(&block)?);
            block.eval();
            let still = pass(&block)?;
            assert_eq!(still, pass(&block)?);
            block.train();
            assert_ne!(still, pass(&block)?);
        }
    }
    Ok(())
}

/// Keys that are padding change nothing.
#[test]
fn padding_is_masked() -> Result<()> {
    let device = cpu();
    let layer = MultiheadAttention::new(4, 2).init(&device, &mut Rng::seed(5))?;
    let x = wave(&device, &[2, 3, 4], 0.9);
    let padded = Tensor::concat([&x, &(wave(&device, &[2, 2, 4], 2.1) * 100)], 1);
    let keep = Tensor::arange(&device, 5).lt(3).broadcast_to([2, 5]);
    let mask = keep.unsqueeze(1).unsqueeze(1);
    close(&layer.forward(&x, &padded, &padded, Some(&mask)), &layer.forward(&x, &x, &x, None));
    Ok(())
}

/// A block that asks for extents on the way: what is wrong comes out where a value is needed, not as a panic on the way.
#[test]
fn a_block_tells_its_first_error() -> Result<()> {
    #[derive(Module)]
    struct Block {
        qkv: Linear,
        out: Linear,
        heads: usize,
    }
    impl Block {
        fn forward(&self, x: &Tensor) -> Tensor {
            let (b, t, c) = (x.shape()[0], x.shape()[1], x.shape()[2]);
            let qkv = self.qkv.forward(x).reshape((b, t, 3, self.heads, -1)).permute([2, 0, 3, 1, 4]);
            let y = Attention::default().apply(&qkv.select(0, 0), &qkv.select(0, 1), &qkv.select(0, 2));
            self.out.forward(&y.transpose(1, 2).reshape((b, t, c))) + x
        }
    }
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(2);
        let block = |inputs: usize, rng: &mut Rng| -> Result<Block> {
            let qkv = Linear::new(inputs, 3 * inputs).init(&device, rng)?;
            Ok(Block { qkv, out: Linear::new(inputs, inputs).init(&device, rng)?, heads: 2 })
        };
        let blocks = vec![block(4, rng)?, block(8, rng)?];
        let x = wave(&device, &[2, 3, 8], 0.2);
        let loss = blocks[1].forward(&blocks[0].forward(&x)).square().mean(..);
        let opt = AdamW::default().init(&blocks)?;
        let errors = [loss.item().err(), loss.backward().err(), opt.step(&loss).err()];
        for error in errors {
            let text = error.expect("the first error").to_string();
            assert!(text.starts_with("matmul: shapes [2, 3, 8] and [4, 12] do not multiply"), "{text}");
            assert!(text.contains("nn/attention.rs"), "{text}");
        }
        // The block that fits works.
        let loss = blocks[1].forward(&x).square().mean(..);
        opt.step(&loss)?;
        assert!(loss.item()?.is_finite());
    }
    Ok(())
}

/// Any layer's settings, and layers that are there already, are made by one call.
#[test]
fn settings_are_made_alike() -> Result<()> {
    fn twice<S: LayerConfig + Clone>(settings: S, device: &Device) -> Result<[S::Layer; 2]> {
        let rng = &mut Rng::seed(4);
        Ok([settings.clone().init(device, rng)?, settings.init(device, rng)?])
    }
    let device = cpu();
    let [a, b] = twice(Linear::new(3, 2), &device)?;
    assert_ne!(a.weight.tensor().to_vec::<f32>(), b.weight.tensor().to_vec::<f32>());
    assert_eq!(twice(LayerNorm::new(3), &device)?.len(), 2);
    let [wrapped, _] = twice(thalweg::nn::WeightNorm::new(Linear::new(3, 2)), &device)?;
    close(&wrapped.forward(&Tensor::ones(&device, (1, 3))), &a.forward(&Tensor::ones(&device, (1, 3))));
    let [same, _] = twice(a.clone(), &device)?;
    assert!(same.weight.same(&a.weight));
    Ok(())
}
