//! The Transformer's layers against their formulas, and attention with all that it can be given.

use thalweg::{
    nn::{Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

/// Numbers that differ from place to place.
fn wave(device: &Device, shape: &[usize], pace: f64) -> Tensor {
    let n = shape.iter().product();
    (Tensor::arange(device, n).cast(DType::F32) * pace).sin().reshape(shape)
}

#[track_caller]
fn close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    let (got, want) = (got.to_vec::<f64>().expect("values"), want.to_vec::<f64>().expect("values"));
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{got} is not {want}");
    }
}

fn names(module: &dyn Module) -> Vec<String> {
    module.params().into_iter().map(|(name, _)| name).collect()
}

/// The names in front of their parts.
fn under(of: &str, parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| format!("{of}.{part}")).collect()
}

const ATTENTION: [&str; 4] = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"];
const AFFINE: [&str; 2] = ["weight", "bias"];

#[test]
fn names_are_pytorchs() -> Result<()> {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let affine = |all: &[&str]| all.iter().flat_map(|of| under(of, &AFFINE)).collect::<Vec<String>>();
    let encoder = [under("self_attn", &ATTENTION), affine(&["linear1", "linear2", "norm1", "norm2"])].concat();
    let decoder = [
        under("self_attn", &ATTENTION),
        under("multihead_attn", &ATTENTION),
        affine(&["linear1", "linear2", "norm1", "norm2", "norm3"]),
    ]
    .concat();
    let one = TransformerEncoderLayer::new(4, 2).feedforward(6);
    assert_eq!(names(&one.clone().init(&device, rng)?), encoder);
    assert_eq!(names(&TransformerDecoderLayer::new(4, 2).feedforward(6).init(&device, rng)?), decoder);
    let stack = TransformerEncoder::new(one.clone(), 2).norm(true).init(&device, rng)?;
    let within = |of: &str, all: &[String]| all.iter().map(|name| format!("{of}.{name}")).collect::<Vec<String>>();
    let want = [within("layers.0", &encoder), within("layers.1", &encoder), under("norm", &AFFINE)].concat();
    assert_eq!(names(&stack), want);
    let whole = Transformer::new(4, 2).encoder_layers(1).decoder_layers(2).feedforward(6).init(&device, rng)?;
    let parts = [
        within("encoder.layers.0", &encoder),
        under("encoder.norm", &AFFINE),
        within("decoder.layers.0", &decoder),
        within("decoder.layers.1", &decoder),
        under("decoder.norm", &AFFINE),
    ];
    assert_eq!(names(&whole), parts.concat());
    // Every matrix is Xavier's.
    let weight = whole.encoder.layers[0].linear1.weight.tensor().abs().amax(..).item()?;
    assert!(weight <= 0.6f64.sqrt() && weight > 0.5, "{weight}");
    let plain = one.bias(false).init(&device, rng)?;
    assert!(names(&plain).iter().all(|name| !name.contains("bias")));
    let apart = MultiheadAttention::new(4, 2).kdim(3).add_bias_kv(true).init(&device, rng)?;
    let want = ["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "bias_k", "bias_v"];
    assert_eq!(names(&apart)[..6], want);
    assert_eq!(apart.k_proj_weight.as_ref().map(Param::shape), Some(vec![4, 3]));
    assert_eq!(apart.bias_k.as_ref().map(Param::shape), Some(vec![1, 1, 4]));
    Ok(())
}

#[test]
fn layers_are_their_formulas() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(1);
        let (x, memory) = (wave(&device, &[2, 3, 4], 0.7), wave(&device, &[2, 5, 4], 0.3));
        for first in [false, true] {
            let layer = TransformerEncoderLayer::new(4, 2).feedforward(6).dropout(0.0).norm_first(first);
            let layer = layer.activation(Tensor::gelu).init(&device, rng)?;
            let attended = |x: &Tensor| layer.self_attn.forward(x, x, x, None);
            let fed = |x: &Tensor| layer.linear2.forward(&layer.linear1.forward(x).gelu());
            let want = match first {
                true => {
                    let x = &x + attended(&layer.norm1.forward(&x));
                    &x + fed(&layer.norm2.forward(&x))
                }
                false => {
                    let x = layer.norm1.forward(&(&x + attended(&x)));
                    layer.norm2.forward(&(&x + fed(&x)))
                }
            };
            close(&layer.forward(&x, None), &want);

            let layer = TransformerDecoderLayer::new(4, 2).feedforward(6).dropout(0.0).norm_first(first);
            let layer = layer.init(&device, rng)?;
            let attended = |x: &Tensor| layer.self_attn.forward(x, x, x, None);
            let looked_up = |x: &Tensor| layer.multihead_attn.forward(x, &memory, &memory, None);
            let fed = |x: &Tensor| layer.linear2.forward(&layer.linear1.forward(x).relu());
            let want = match first {
                true => {
                    let x = &x + attended(&layer.norm1.forward(&x));
                    let x = &x + looked_up(&layer.norm2.forward(&x));
                    &x + fed(&layer.norm3.forward(&x))
                }
                false => {
                    let x = layer.norm1.forward(&(&x + attended(&x)));
                    let x = layer.norm2.forward(&(&x + looked_up(&x)));
                    layer.norm3.forward(&(&x + fed(&x)))
                }
            };
            close(&layer.forward(&x, &memory, None, None), &want);
        }
        let whole = Transformer::new(4, 2).encoder_layers(2).decoder_layers(1).feedforward(6).dropout(0.0);
        let whole = whole.init(&device, rng)?;
        let [first, second] = &whole.encoder.layers[..] else { unreachable!("there are two") };
        let norm = |norm: &Option<LayerNorm>, x: &Tensor| norm.as_ref().expect("a norm behind").forward(x);
        let encoded = norm(&whole.encoder.norm, &second.forward(&first.forward(&memory, None), None));
        let want = norm(&whole.decoder.norm, &whole.decoder.layers[0].forward(&x, &encoded, None, None));
        close(&whole.forward(&memory, &x, None, None, None), &want);
    }
    Ok(())
}

#[test]
fn what_is_masked_changes_nothing() -> Result<()> {
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(2);
        let layer = TransformerDecoderLayer::new(4, 2).feedforward(6).dropout(0.0).causal(true).init(&device, rng)?;
        let decoder = TransformerDecoder::new(TransformerDecoderLayer::new(4, 2).feedforward(6).dropout(0.0), 2);
        let decoder = decoder.init(&device, rng)?;
        let (x, memory) = (wave(&device, &[2, 4, 4], 0.7), wave(&device, &[2, 5, 4], 0.3));
        // What comes later, and what is padding of the memory.
        let later = Tensor::concat([&x.narrow(1, 0, 2), &(x.narrow(1, 2, 2) * 9)], 1);
        let padded = Tensor::concat([&memory, &(memory.narrow(1, 0, 2) * 100)], 1);
        let keep = Tensor::arange(&device, 7).lt(5);
        let want = layer.forward(&x, &memory, None, None);
        close(&layer.forward(&later, &padded, None, Some(&keep)).narrow(1, 0, 2), &want.narrow(1, 0, 2));
        let seen = Tensor::ones(&device, [4, 4]).tril(0).gt(0);
        let far = seen.where_(Tensor::zeros(&device, [4, 4]), f64::NEG_INFINITY);
        let by_mask = decoder.forward(&x, &padded, Some(&seen), Some(&keep));
        close(&by_mask, &decoder.forward(&x, &memory, Some(&far), None));
        let unlike = decoder.forward(&x, &memory, None, None).to_vec::<f32>()?;
        assert_ne!(by_mask.to_vec::<f32>()?, unlike);
    }
    Ok(())
}

/// One product for queries, keys and values, or for keys and values, gives what one for each does, and the same gradients.
#[test]
fn what_is_made_of_one_tensor_is_one_product() -> Result<()> {
    let device = Device::cpu()?;
    let layer = MultiheadAttention::new(8, 2).init(&device, &mut Rng::seed(3))?;
    if let Some(bias) = &layer.in_proj_bias {
        bias.set(&wave(&device, &[24], 0.4))?;
    }
    let (x, y) = (wave(&device, &[2, 4, 8], 0.7), wave(&device, &[2, 5, 8], 0.3));
    let weights = layer.in_proj_weight.clone().expect("one for all");
    let run = |q: &Tensor, k: &Tensor, v: &Tensor| -> Result<(Tensor, Tensor, u64)> {
        let out = layer.forward(q, k, v, None);
        let grads = out.square().sum(..).backward()?;
        let before = device.stats().launches;
        out.eval()?;
        let launches = device.stats().launches - before;
        Ok((out, grads.get(&weights.tensor()).expect("they count").clone(), launches))
    };
    let other = |t: &Tensor| t.reshape(t.shape()) + 0.0;
    let (same, apart) = (run(&x, &x, &x)?, run(&x, &other(&x), &other(&x))?);
    close(&same.0, &apart.0);
    close(&same.1, &apart.1);
    assert!(same.2 < apart.2, "{} launches, {} apart", same.2, apart.2);
    let (same, apart) = (run(&x, &y, &y)?, run(&x, &y, &other(&y))?);
    close(&same.0, &apart.0);
    close(&same.1, &apart.1);
    Ok(())
}

/// Keys that nobody gives: a learned one and one of zeros, whatever the mask says of the others.
#[test]
fn keys_can_be_added() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let layer = MultiheadAttention::new(4, 2).add_bias_kv(true).add_zero_attn(true).causal(true);
        let layer = layer.init(&device, &mut Rng::seed(4))?;
        let x = wave(&device, &[2, 3, 4], 0.7);
        let part = |which: usize| {
            let rows = 4 * which..4 * which + 4;
            let weight = layer.in_proj_weight.as_ref().expect("one for all").tensor().slice(0, rows);
            x.matmul(&weight.t())
        };
        let learned = |bias: &Option<Param>| bias.as_ref().expect("a bias").tensor().broadcast_to([2, 1, 4]);
        let zero = Tensor::zeros(&device, [2, 1, 4]);
        let heads = |x: &Tensor| x.unflatten(-1, (2, 2)).transpose(1, 2);
        let longer = |x: &Tensor, bias: &Option<Param>| heads(&Tensor::concat([x, &learned(bias), &zero], 1));
        let (q, k, v) = (heads(&part(0)), longer(&part(1), &layer.bias_k), longer(&part(2), &layer.bias_v));
        let at = Tensor::arange(&device, 5);
        let seen = Tensor::arange(&device, 3).unsqueeze(1).ge(&at).or(at.ge(3));
        for mask in [None, Some(at.narrow(0, 0, 3).ne(0)), Some(Tensor::from_slice(&device, &[false], [1]))] {
            let seen = match &mask {
                Some(mask) => seen.and(Tensor::concat([&mask.broadcast_to([3]), &at.narrow(0, 3, 2).ge(0)], 0)),
                None => seen.clone(),
            };
            let attention = Attention { mask: Some(&seen), ..Attention::default() };
            let want = layer.out_proj.forward(&attention.apply(&q, &k, &v).transpose(1, 2).flatten(2..));
            close(&layer.forward(&x, &x, &x, mask.as_ref()), &want);
            close(&layer.weights(&x, &x, mask.as_ref()), &attention.weights(&q, &k));
        }
    }
    Ok(())
}

#[test]
fn dropout_is_of_training_alone() -> Result<()> {
    let device = cpu();
    let layer = TransformerEncoder::new(TransformerEncoderLayer::new(8, 2).feedforward(16), 2);
    let layer = layer.init(&device, &mut Rng::seed(5))?;
    let x = wave(&device, &[2, 6, 8], 0.7);
    let run = || layer.forward(&x, None).to_vec::<f32>();
    assert_ne!(run()?, run()?);
    layer.eval();
    assert_eq!(run()?, run()?);
    Ok(())
}

#[test]
fn sixteen_bits_are_close_to_thirty_two() -> Result<()> {
    let run = |device: &Device| -> Result<Vec<f64>> {
        let layer = Transformer::new(8, 2).encoder_layers(2).decoder_layers(2).feedforward(16).dropout(0.0);
        let layer = layer.norm_first(true).init(device, &mut Rng::seed(6))?;
        let (x, y) = (wave(device, &[2, 5, 8], 0.7), wave(device, &[2, 6, 8], 0.3));
        layer.forward(&x, &y, None, None, None).to_vec()
    };
    for device in [cpu(), test_gpu!()] {
        let want = run(&device)?;
        for (precision, tol) in [(Precision::MixedF16, 2e-2), (Precision::MixedBf16, 1.5e-1)] {
            let got = run(&device.with_precision(precision))?;
            let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off > 0.0 && off < tol, "off by {off} in {precision:?} on {device}");
        }
    }
    Ok(())
}
